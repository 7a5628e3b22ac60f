"""``moored adopt``: the sessions that nobody touches."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from click.testing import CliRunner, Result
from flask import Flask
from tests.adopt.databases import DATABASES
from tests.adopt.shops import Browser, Pair, after, before

from moored.flask import Session
from moored.flask.cli import group
from moored.flask.extension import mooring
from moored.kinds.sessions.record import COOKIE_LENGTH

MANY = 30


@pytest.fixture(params=["redis", "sqlite", "files"])
def kind(request: pytest.FixtureRequest) -> str:
    """Where the old sessions are."""
    return str(request.param)


def call(app: Flask, *arguments: str) -> Result:
    """``flask moored`` with these."""
    return app.test_cli_runner().invoke(group, arguments)


def counts(result: Result) -> dict[str, int]:
    assert result.exit_code in (0, 1), result.output
    found = {name: number for name, number in json.loads(result.stdout)["counts"].items() if number}
    assert all(isinstance(number, int) for number in found.values())
    return found


@pytest.mark.parametrize("kind", ["redis", *DATABASES, "files"], indirect=True)
def test_all_are_carried_over_and_each_once(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    browsers = [Browser() for _ in range(MANY)]
    for number, browser in enumerate(browsers):
        browser.get(old, f"/add/{number}")
        if number % 2:
            browser.get(old, f"/in/{number}")
    browsers[0].get(new, "/look")  # this one is over already
    mooring(new).state.sessions.revoke_subject(1)
    assert "29 sessions are left" in call(new, "doctor").output

    assert counts(call(new, "adopt", "--json")) == {"moved": MANY - 2, "already": 1, "ended": 1}
    assert counts(call(new, "adopt", "--json")) == {"already": MANY}
    told = call(new, "doctor").output
    assert "No session is left" in told
    # Where the old settings say where Moored keeps sessions, nobody is told to take them out.
    assert ("Keep SESSION_TYPE, SESSION_REDIS" in told) is ("MOORED_URL" not in new.config)

    for number, browser in enumerate(browsers):
        found = browser.get(new, "/look")
        if number == 1:
            assert found == {"cart": [], "user": None}
        else:
            assert found == {"cart": [str(number)], "user": number if number % 2 else None}
            assert len(browser.cookie) == COOKIE_LENGTH
    assert [info.subject for info in mooring(new).state.sessions.of(3)] == ["3"]


@pytest.mark.parametrize("url", ["", "code", "app", "environment"])
def test_settings_that_say_where_moored_keeps_sessions_are_to_stay(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.delenv("MOORED_URL", raising=False)
    if url == "environment":
        monkeypatch.setenv("MOORED_URL", redis_url)
    parts, app = urlsplit(redis_url), Flask("shop")
    app.config.update(
        SECRET_KEY="a secret of these tests",
        SESSION_TYPE="redis",
        SESSION_REDIS=redis.Redis(port=parts.port or 0),
        SESSION_KEY_PREFIX=parts.query.removeprefix("prefix="),
        MOORED_URL=redis_url if url == "app" else None,
        MOORED_ALONGSIDE=0,
    )
    Session(app, redis_url if url == "code" else None)
    told = call(app, "doctor").output
    assert ("Keep SESSION_TYPE, SESSION_REDIS" in told) is (url == "")
    assert ("take Flask-Session's own settings out" in " ".join(told.split())) is (url != "")
    shown = json.loads(call(app, "config", "show", "--json").stdout)["settings"][0]
    sources = {"": "Flask-Session's settings", "code": "the app's code", "app": "MOORED_URL of the app"}
    assert shown["source"] == sources.get(url, "MOORED_URL in the environment")
    mooring(app).state.close()


def test_not_while_old_workers_may_be_serving(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/in/7")
    result = call(new, "adopt")
    assert result.exit_code == 4
    assert "MOORED_ALONGSIDE = 0" in result.output
    assert "you can go back" in call(new, "doctor").output
    assert browser.user(old) == 7


def test_sessions_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    config = {"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": str(folder), "MOORED_ADOPT_PICKLE": True}
    Browser().get(before(**config), "/add/anchor")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:4] + b"not a pickle")
    new = after(instance_path=str(tmp_path), MOORED_ALONGSIDE=0, MOORED_URL="memory:", **config)
    result = call(new, "adopt", "--json")
    assert result.exit_code == 1
    assert counts(result) == {"unreadable": 1}


def test_an_application_that_adopts_nothing(tmp_path: Path) -> None:
    from moored.flask import Moored

    app = Flask("plain", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="the secret of these tests", MOORED_URL="memory:")
    Moored(app)
    result = call(app, "adopt")
    assert result.exit_code == 4
    assert "MOORED_ADOPT" in result.output


def test_without_flask_the_application_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moored.cli.program import program

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(program, ["adopt"])
    assert result.exit_code == 2
    assert "--app" in result.output
    (tmp_path / "adopting_app.py").write_text(
        "from flask import Flask\nfrom moored.flask import Moored\napp = Flask(__name__)\n"
        "app.config.update(SECRET_KEY='the secret of these tests', MOORED_URL='memory:',"
        " MOORED_ADOPT='flask-cookie')\nMoored(app)\n"
    )
    result = CliRunner().invoke(program, ["adopt", "--app", "adopting_app"])
    assert result.exit_code == 4
    assert "with the browsers" in result.output


def test_what_is_not_carried_over_yet_is_no_mystery(pair: Pair) -> None:
    old, new = pair()
    Browser().get(old, "/in/1")
    listed = call(new, "sessions", "list")
    assert "No sessions." in listed.stdout
    assert "are not listed; `flask moored doctor` says how long" in listed.stderr
    told = json.loads(call(new, "config", "show", "--json").stdout)["settings"]
    adopt = next(each for each in told if each["name"] == "MOORED_ADOPT")
    said = new.config.get("MOORED_ADOPT")
    assert (adopt["value"], adopt["source"]) == (
        (["flask-session"], "moored.flask.Session") if said is None else (said, "app.config")
    )


def test_looking_begins_nothing(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/in/1")
    _, later = pair(MOORED_ALONGSIDE=0)
    for command in (("doctor",), ("sessions", "list"), ("config", "show")):
        call(later, *command)  # would end the hour that nobody has begun, if it began anything
    browser.get(new, "/look")
    assert "For another" in call(new, "doctor").output
    assert browser.user(old) == 1
