"""Flask's own session cookies: what Flask writes is read, and the other way round."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import TimestampSigner
from markupsafe import Markup

from moored import ConfigurationError, EncodingError
from moored.adopt.flask_cookie import FlaskCookie

VALUES: dict[str, Any] = {
    "user_id": 7,
    "name": "Zoë 🛒",
    "_permanent": True,
    "cart": [{"sku": "a", "pair": (1, "b")}],
    "_flashes": [("message", Markup("<b>saved</b>"))],
    "bytes": b"\x00\xff",
    "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "id": UUID(int=5),
    "long": "x" * 500,  # Flask compresses what gets shorter by it
}


class Peer:
    """An application whose sessions are Flask's."""

    def __init__(self, **config: Any) -> None:
        self.app = flask.Flask("peer")
        self.app.config.update(SECRET_KEY="a secret of these tests", **config)
        self.app.add_url_rule("/", view_func=self._view)
        self.client = self.app.test_client()
        self.place = FlaskCookie(self.app)
        self._do: Callable[[Any], object] = dict

    def _view(self) -> str:
        self.seen = self._do(flask.session)
        return ""

    def visit(self, do: Callable[[Any], object] = dict) -> Any:
        self._do = do
        assert self.client.get("/").status_code == 200
        return self.seen

    @property
    def cookie(self) -> str:
        cookie = self.client.get_cookie("session")
        assert cookie is not None
        return cookie.value

    def sign_at(self, seconds: int, values: object) -> str:
        """A cookie as Flask made it at that time."""
        serializer = SecureCookieSessionInterface().get_signing_serializer(self.app)
        assert serializer is not None

        class Then(TimestampSigner):
            def get_timestamp(self) -> int:
                return seconds

        serializer.signer = Then
        return str(serializer.dumps(values))


@pytest.fixture
def peer() -> Peer:
    return Peer()


def test_what_flask_writes_is_read_as_it_reads_it(peer: Peer) -> None:
    began = int(time.time()) * 1000
    peer.visit(lambda session: session.update(VALUES))
    row = peer.place.open(peer.cookie)
    assert row is not None
    assert row.values == peer.visit() == VALUES
    assert type(row.values["_flashes"][0][1]) is Markup
    assert row.raw == peer.cookie.encode()
    assert row.written is not None
    assert began <= row.written <= time.time() * 1000
    assert row.expires == row.written + 31 * 24 * 60 * 60 * 1000
    assert not row.moved


def test_what_is_signed_is_read_by_flask(peer: Peer) -> None:
    peer.client.set_cookie("session", peer.place.sign(VALUES))
    assert peer.visit() == VALUES


def test_the_time_of_signing_is_told(peer: Peer) -> None:
    then = int(time.time()) - 100
    row = peer.place.open(peer.sign_at(then, {"n": 1}))
    assert row is not None
    assert row.written == then * 1000


def test_a_cookie_lives_as_long_as_for_flask() -> None:
    peer = Peer(PERMANENT_SESSION_LIFETIME=timedelta(seconds=1_000))
    now = int(time.time())
    assert peer.place.open(peer.sign_at(now - 900, {"n": 1})) is not None
    assert peer.place.open(peer.sign_at(now - 1_100, {"n": 1})) is None
    assert peer.place.open(peer.sign_at(now + 1_000, {"n": 1})) is None  # neither does Flask take it


def test_earlier_keys_are_taken() -> None:
    cookie = Peer().place.sign({"n": 1})
    peer = Peer(SECRET_KEY_FALLBACKS=["a secret of these tests"])
    peer.app.secret_key = "the next secret"
    assert peer.place.open(cookie) is not None
    assert peer.place.open(peer.place.sign({"n": 1})) is not None
    peer.app.config["SECRET_KEY_FALLBACKS"] = None
    assert peer.place.open(cookie) is None


def test_what_flask_would_not_take_is_none(peer: Peer) -> None:
    good = peer.place.sign(VALUES)
    other = Peer()
    other.app.secret_key = "another"
    payload, at, signature = good.rsplit(".", 2)
    bad = [
        "",
        "x",
        "...",
        good[:-1],
        good + "x",
        f"{payload}.{signature}",
        f"{payload}x.{at}.{signature}",
        f"{payload}.{at}x.{signature}",
        other.place.sign(VALUES),
        peer.sign_at(int(time.time()), [1, 2]),
        "é" * 40,
        "\ud800" * 40,
    ]
    assert [peer.place.open(cookie) for cookie in bad] == [None] * len(bad)


def test_without_a_key_there_are_no_sessions() -> None:
    app = flask.Flask("app")
    place = FlaskCookie(app)
    assert place.open(Peer().place.sign({"n": 1})) is None
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        place.sign({"n": 1})


def test_a_value_that_flask_cannot_carry_is_refused_and_not_shown(peer: Peer) -> None:
    with pytest.raises(EncodingError) as caught:
        peer.place.sign({"n": {"verysecret": object()}})
    assert "verysecret" not in repr(caught.value) + repr(caught.value.__context__)


def test_secrets_are_not_shown(peer: Peer) -> None:
    cookie = peer.place.sign({"user_id": "verysecret"})
    shown = repr(peer.place.open(cookie))
    assert cookie not in shown
    assert "verysecret" not in shown
