"""What applications' own tests are given."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from tests.frameworks.rig import MakeRig, Rig, cookies, session, value

from moored import MisuseError
from moored.flask.testing import in_memory, sign_in


def test_sign_in_gives_a_client_a_session_of_its_own(each: Rig) -> None:
    sign_in(each.client, 42, cart=["book"])
    assert each.look(lambda: (session().subject, session()["cart"])) == ("42", ["book"])
    assert each.data(each.browser()) == {}
    other = each.browser()
    sign_in(other, "ann")
    assert each.look(lambda: session().subject, other) == "ann"
    assert {info.subject for s in ("42", "ann") for info in each.mooring.state.sessions.of(s)} == {
        "42",
        "ann",
    }


def test_sign_in_with_the_field_that_the_application_looks_at(rig: Rig) -> None:
    sign_in(rig.client, 42, user_id=42)
    assert rig.look(lambda: (session().subject, session()["user_id"])) == ("42", 42)


def test_sign_in_needs_moored() -> None:
    with pytest.raises(MisuseError, match="does not use Moored"):
        sign_in(flask.Flask("bare").test_client(), 1)


def test_in_memory_keeps_the_tests_of_an_app_apart(make_rig: MakeRig, sqlite_url: str) -> None:
    rig = make_rig(sqlite_url)
    rig.visit(lambda: session().update(a=1))
    outside = value(rig.client)
    for _ in range(2):
        with in_memory(rig.app) as state:
            client = rig.browser()
            sign_in(client, "ann")
            assert rig.look(lambda: session().subject, client) == "ann"
            assert len(state.sessions.of("ann")) == 1
            assert state.url.scheme == "memory"
            client.set_cookie("session", outside)
            assert rig.data(client) == {}
    assert rig.data() == {"a": 1}
    assert rig.mooring.state.sessions.of("ann") == []


def test_in_memory_keeps_what_the_drop_in_was_told() -> None:
    from moored.flask import Session

    app = flask.Flask("drop-in")
    app.config.update(SECRET_KEY="a secret", MOORED_URL="memory:", SESSION_PERMANENT=True)
    Session(app)

    @app.get("/")
    def view() -> Any:
        flask.session["a"] = 1
        return ""

    with in_memory(app):
        assert "Max-Age" in cookies(app.test_client().get("/"))[0]
