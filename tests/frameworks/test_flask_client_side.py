"""Sessions in the cookie itself, by the same API."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flask
import pytest
from tests.frameworks.rig import MakeRig, Rig, cookies, session

from moored import ConfigurationError, OutOfBounds, TooLargeError, UnsupportedError
from moored.flask.extension import mooring
from moored.seal import KeyRing
from moored.web.client_side import LARGEST, ClientSide

SORTS = ["signed-cookie", "sealed-cookie"]


@pytest.fixture(params=SORTS)
def rig(request: pytest.FixtureRequest, make_rig: MakeRig) -> Rig:
    """An app whose sessions are in cookies, and can be revoked by what is kept in memory."""
    return make_rig(MOORED_SESSION_STORE=request.param)


def value(rig: Rig) -> str:
    """The cookie that the browser holds."""
    cookie = rig.client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def store(rig: Rig) -> ClientSide:
    found = mooring(rig.app).interface.host.store
    assert isinstance(found, ClientSide)
    return found


def advance(rig: Rig, **by: Any) -> None:
    """Let time pass on the web server."""
    before = store(rig)._clock
    store(rig)._clock = lambda: before() + timedelta(**by).total_seconds()


def put(**values: Any) -> Any:
    return lambda: flask.session.update(values)


def test_values_keep_their_types_and_nothing_is_sent_to_the_engine(rig: Rig) -> None:
    values = {"cart": [{"id": 1, "when": datetime(2026, 1, 2, tzinfo=UTC)}], "raw": b"\0", "pair": (1, 2)}
    rig.visit(put(**values))
    assert rig.data() == values
    assert rig.steps() == []


def test_a_change_inside_a_value_counts_and_reading_sets_no_cookie(rig: Rig) -> None:
    rig.visit(put(cart=["anchor"]))
    rig.visit(lambda: flask.session["cart"].append("bell"))
    assert rig.data() == {"cart": ["anchor", "bell"]}
    assert cookies(rig.visit(lambda: str(len(flask.session)))) == []


def test_a_signed_cookie_can_be_read_and_a_sealed_one_cannot(make_rig: MakeRig) -> None:
    read = {}
    for sort in SORTS:
        rig = make_rig(MOORED_SESSION_STORE=sort)
        rig.visit(put(note="in plain sight"))
        text = value(rig)[1:]
        read[sort] = b"in plain sight" in base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert read == {"signed-cookie": True, "sealed-cookie": False}


def test_each_sort_reads_the_other(make_rig: MakeRig) -> None:
    signed, sealed = (make_rig(MOORED_SESSION_STORE=sort) for sort in SORTS)
    signed.visit(put(n=1))
    sealed.client.set_cookie("session", value(signed))
    assert sealed.data() == {"n": 1}


def test_no_other_value_of_a_cookie_is_believed(rig: Rig) -> None:
    rig.visit(put(n=1))
    good = value(rig)
    for at in range(len(good)):
        other = "A" if good[at] != "A" else "B"
        rig.client.set_cookie("session", good[:at] + other + good[at + 1 :])
        if rig.data() == {"n": 1}:  # the last letter holds bits that mean nothing
            assert at == len(good) - 1
    for bad in ("", "s", "x", good[:-1], good[:40], "s" + good[1:] + "AAAA", "é", "s" * LARGEST, "s" * 4000):
        rig.client.set_cookie("session", bad)
        assert rig.data() == {}


def test_a_value_made_under_another_secret_is_not_believed_and_an_old_one_of_ours_is(
    make_rig: MakeRig,
) -> None:
    first = make_rig(MOORED_SESSION_STORE="sealed-cookie", SECRET_KEY="one that was used before")
    first.visit(put(n=1))
    later = make_rig(
        MOORED_SESSION_STORE="sealed-cookie",
        SECRET_KEY="another",
        SECRET_KEY_FALLBACKS=["one that was used before"],
    )
    stranger = make_rig(MOORED_SESSION_STORE="sealed-cookie", SECRET_KEY="somebody else's")
    for rig, found in ((later, {"n": 1}), (stranger, {})):
        rig.client.set_cookie("session", value(first))
        assert rig.data() == found


def test_a_session_ends_without_use_and_at_last_whatever_its_use(make_rig: MakeRig) -> None:
    rig = make_rig(
        MOORED_SESSION_STORE="signed-cookie", MOORED_SESSION_IDLE=3600, MOORED_SESSION_ABSOLUTE=7200
    )
    rig.visit(put(n=1))
    advance(rig, minutes=59)
    assert rig.data() == {"n": 1}  # and with this use it is good for another hour
    advance(rig, minutes=59)
    assert rig.data() == {"n": 1}
    advance(rig, minutes=3)
    assert rig.data() == {}
    rig.visit(put(n=2))
    advance(rig, minutes=61)
    assert rig.data() == {}


def test_signing_in_drops_what_a_visitor_may_have_planted_and_signing_out_everything(rig: Rig) -> None:
    rig.visit(put(cart=["anchor"], csrf_token="known"))
    rig.visit(lambda: session().login("ann"))
    assert rig.data() == {"cart": ["anchor"]}
    assert rig.look(lambda: (session().subject, session().generation)) == ("ann", 1)
    rig.visit(lambda: session().logout())
    assert rig.client.get_cookie("session") is None


def test_another_person_gets_nothing_of_the_last_one(rig: Rig) -> None:
    rig.visit(lambda: flask.session.update(user_id=1, note="Ann's"))
    selector = rig.look(lambda: session().selector)
    rig.visit(put(user_id=2))
    assert rig.data() == {"user_id": 2}
    assert rig.look(lambda: session().selector) != selector


def test_removing_the_identity_keeps_the_data(rig: Rig) -> None:
    rig.visit(put(user_id=1, theme="dark"))
    rig.visit(lambda: str(flask.session.pop("user_id")))
    assert rig.look(lambda: session().subject) is None
    assert rig.data() == {"theme": "dark"}


def test_signing_out_everywhere_ends_every_cookie_also_copies(rig: Rig) -> None:
    others = [rig.browser(), rig.browser()]
    for client in (rig.client, *others):
        rig.visit(lambda: session().login("ann"), client)
    copy = value(rig)
    rig.visit(lambda: session().logout_everywhere(keep_this=True))
    assert rig.look(lambda: session().subject) == "ann"
    assert [rig.look(lambda: session().subject, client) for client in others] == [None, None]
    rig.client.set_cookie("session", copy)
    assert rig.look(lambda: session().subject) is None
    rig.visit(lambda: session().login("ann"))
    rig.mooring.state.sessions.revoke_subject("ann")
    assert rig.look(lambda: session().subject) is None


def test_signed_out_everywhere_while_a_sign_in_is_under_way_it_is_refused(rig: Rig) -> None:
    def sign_in() -> None:
        session().signing_in("ann")
        rig.mooring.state.sessions.revoke_subject("ann")
        session().login("ann")

    assert rig.visit(sign_in).status_code == 409
    assert rig.look(lambda: session().subject) is None


def test_without_an_engine_they_cannot_be_ended_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moored.flask import Moored

    monkeypatch.delenv("MOORED_URL", raising=False)
    app = flask.Flask("alone", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="the secret of these tests", MOORED_SESSION_STORE="signed-cookie")
    app.config["TESTING"] = app.config["PROPAGATE_EXCEPTIONS"] = True
    Moored(app)

    @app.get("/in")
    def sign_in() -> str:
        session().login("ann")
        return ""

    @app.get("/everywhere")
    def everywhere() -> str:
        with pytest.raises(UnsupportedError, match="set MOORED_URL"):
            session().logout_everywhere()
        return session().subject or ""

    client = app.test_client()
    client.get("/in")
    assert client.get("/everywhere").text == "ann"
    assert not list(tmp_path.iterdir())  # nothing is kept anywhere


def test_changes_at_once_are_made_to_the_cookie(rig: Rig) -> None:
    def change() -> Any:
        got = session().take("code"), session().take("code", "gone"), session().add("n", 2)
        with pytest.raises(OutOfBounds):
            session().add("n", 1, max=2)
        session().append("cart", "anchor", unique=True)
        return *got, session().append("cart", "anchor", unique=True)

    rig.visit(put(code=7))
    assert rig.look(change) == (7, "gone", 2, ["anchor"])
    assert rig.data() == {"n": 2, "cart": ["anchor"]}


def test_exclusive_use_is_refused(rig: Rig) -> None:
    def use() -> None:
        with pytest.raises(UnsupportedError, match="on the server"), session().exclusive():
            pass

    rig.visit(use)


def test_a_session_that_is_too_large_is_refused_and_the_old_one_kept(rig: Rig) -> None:
    rig.visit(put(cart=["anchor"]))
    with pytest.raises(TooLargeError, match=r"'notes'.*MOORED_SESSION_STORE"):
        rig.visit(put(notes="x" * 4000))
    assert rig.data() == {"cart": ["anchor"]}


def test_a_session_just_small_enough_arrives(rig: Rig) -> None:
    """A browser keeps a cookie whose name and value have 4,096 bytes."""
    size = 2650
    rig.visit(put(notes="x" * size))
    assert rig.data() == {"notes": "x" * size}
    assert 3_600 < len(value(rig)) <= LARGEST


def test_a_gate_outlives_the_cookies_that_it_let_in(make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE="signed-cookie")
    rig.visit(lambda: session().login("ann"))
    rig.wait(80 * 86_400)
    rig.visit(lambda: session().login("ann"), rig.browser())
    rig.wait(80 * 86_400)
    assert rig.look(lambda: session().subject) == "ann"


def test_a_word_that_is_no_store_is_refused(make_rig: MakeRig) -> None:
    with pytest.raises(ConfigurationError, match=r"MOORED_SESSION_STORE must be .*signed-cookie"):
        make_rig(MOORED_SESSION_STORE="cookie")


def test_nothing_of_a_cookie_is_in_a_repr() -> None:
    from moored.kinds.sessions.settings import SessionSettings

    ring = KeyRing(["the secret of these tests"])
    made = ClientSide(SessionSettings(), lambda: ring, sealed=False, revocable=False)
    with pytest.raises(StopIteration) as done:
        made.create({"card": b"\xa44242"}).send(None)
    assert "4242" not in repr(done.value.value.credential)
    assert done.value.value.credential.value not in repr(done.value.value.credential)
