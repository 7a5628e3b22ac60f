"""What is written stays written, whatever was or was not read before."""

from __future__ import annotations

import flask
import pytest
from tests.frameworks.rig import Rig, session


@pytest.mark.parametrize("value", [None, False, 0, "", b"", 1.5, [], {}], ids=repr)
def test_a_value_written_over_one_that_was_not_read(rig: Rig, value: object) -> None:
    rig.visit(lambda: flask.session.update(n=5))
    rig.visit(lambda: flask.session.update(n=value))
    assert rig.data() == {"n": value}


@pytest.mark.parametrize("value", [None, False, 0, "zero"], ids=repr)
def test_a_value_changed_saved_and_changed_back_in_one_request(rig: Rig, value: object) -> None:
    rig.visit(lambda: flask.session.update(n=value))

    def view() -> None:
        read = flask.session["n"]
        flask.session["n"] = 1
        session().append("items", "saves what was changed so far")
        flask.session["n"] = read

    rig.visit(view)
    assert rig.data() == {"n": value, "items": ["saves what was changed so far"]}


def test_a_value_that_was_read_cleared_and_written_again(rig: Rig) -> None:
    rig.visit(lambda: flask.session.update(n=5, m=6))

    def view() -> None:
        read = flask.session["n"]
        flask.session.clear()
        flask.session["n"] = read

    rig.visit(view)
    assert rig.data() == {"n": 5}


def test_signing_in_again_as_the_same_user_after_signing_out_in_one_request(rig: Rig) -> None:
    rig.visit(lambda: flask.session.update(user_id="u", cart=["a"]))

    def view() -> None:
        user = flask.session["user_id"]
        session().logout()
        flask.session["user_id"] = user

    before = rig.look(lambda: session().selector)
    rig.visit(view)
    assert rig.look(lambda: (session().subject, dict(flask.session))) == ("u", {"user_id": "u"})
    assert rig.look(lambda: session().selector) != before
