"""``moored top`` while sessions are taken over: what the old library still has is not passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from tests.adopt.shops import Browser, Pair, shop

from moored.cli.program import program
from moored.flask import Moored
from moored.flask.cli import group
from moored.flask.extension import mooring


@pytest.fixture(params=["redis", "files"])
def kind(request: pytest.FixtureRequest) -> str:
    """Where the old sessions are."""
    return str(request.param)


def top(app: Flask) -> Any:
    """``flask moored top --json``."""
    done = app.test_cli_runner().invoke(group, ["top", "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def shown(app: Flask) -> list[str]:
    """What people see of it: the line about those sessions, as words."""
    done = app.test_cli_runner().invoke(group, ["top"])
    assert done.exit_code == 0, done.output
    return next(
        (line.split() for line in done.stdout.splitlines() if line.startswith("not carried over")), []
    )


def test_those_that_have_not_moved_are_counted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    browsers = [Browser() for _ in range(3)]
    for number, browser in enumerate(browsers):
        browser.get(old, f"/add/{number}")
    left = top(new)["not_carried_over"]
    assert left["source"].startswith("Flask-Session ")
    assert (left["sessions"], left["complete"]) == (3, True)
    browsers[0].get(new, "/look")
    said = top(new)
    assert (said["counted"]["sessions"], said["not_carried_over"]["sessions"]) == (1, 2)
    assert shown(new) == ["not", "carried", "over", "2"]
    with monkeypatch.context() as patch:
        patch.setattr("moored.adopt.bulk.LOOKS", 1)
        assert "at least" in " ".join(shown(new))
        assert not top(new)["not_carried_over"]["complete"]
    for browser in browsers:
        browser.get(new, "/look")
    assert top(new)["not_carried_over"] is None
    assert shown(new) == []


def test_without_the_application_it_is_said_that_they_are_not_counted(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    Browser().get(old, "/add/anchor")
    url = new.config.get("MOORED_URL") or f"{mooring(new).state.url}"

    def seen() -> Any:
        done = CliRunner().invoke(program, ["top", "--json", "--url", url])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["not_carried_over"]

    assert seen() is None  # nobody was asked for a session yet
    Browser().get(new, "/add/anchor")
    assert seen() == {"source": "", "sessions": None, "complete": False}


def test_sessions_in_cookies_cannot_be_counted() -> None:
    app = shop(MOORED_URL="memory:", MOORED_ADOPT="flask-cookie")
    Moored(app)
    source = "Flask's session cookie"
    assert top(app)["not_carried_over"] == {"source": source, "sessions": None, "complete": False}
    assert shown(app) == ["not", "carried", "over", "not", "counted"]
