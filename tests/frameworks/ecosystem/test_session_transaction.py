"""``session_transaction()`` of Flask's test client: a request like any other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from flask import Flask
from tests.frameworks.ecosystem.transaction_app import make_app
from tests.frameworks.rig import twin

from moored import Unavailable
from moored.flask import FlaskSession
from moored.flask.extension import mooring
from moored.flask.testing import in_memory, sign_in
from moored.testing.servers import RedisServer

Close = Callable[[Flask], Flask]


@pytest.fixture
def app(close: Close, shared_url: str) -> Flask:
    return close(make_app(MOORED_URL=shared_url))


def test_what_is_put_there_is_what_the_application_sees(app: Flask) -> None:
    client = app.test_client()
    with client.session_transaction() as session:
        session["cart"] = ["book"]
    assert client.get("/me").json == {"subject": None, "cart": ["book"]}
    assert client.post("/cart/mug").json == ["book", "mug"]
    with client.session_transaction() as session:
        assert session["cart"] == ["book", "mug"]


def test_values_keep_their_types_and_changes_inside_count(app: Flask) -> None:
    client = app.test_client()
    values = {"when": datetime(2026, 1, 2, tzinfo=UTC), "pair": (1, b"2"), "all": {3}, "deep": {"a": [1]}}
    with client.session_transaction() as session:
        session.update(values)
    with client.session_transaction() as session:
        assert dict(session) == values
        session["deep"]["a"].append(2)
    with client.session_transaction() as session:
        assert session["deep"] == {"a": [1, 2]}


def test_what_the_application_changes_meanwhile_is_merged(app: Flask) -> None:
    client = app.test_client()
    client.post("/cart/book")
    other = twin(client)
    with client.session_transaction() as session:
        session["cart"].append("mug")
        other.post("/cart/pen")
    assert other.get("/me").json == {"subject": None, "cart": ["book", "pen", "mug"]}


def test_only_looking_sets_no_cookie(app: Flask) -> None:
    client = app.test_client()
    with client.session_transaction() as session:
        assert session.get("cart") is None
    assert client.get_cookie("session") is None


def test_a_block_that_raises_saves_nothing(app: Flask) -> None:
    client = app.test_client()
    client.post("/cart/book")

    def fail() -> None:
        with client.session_transaction() as session:
            session["cart"] = []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert client.get("/me").json == {"subject": None, "cart": ["book"]}


def test_signing_in_and_out(app: Flask) -> None:
    client = app.test_client()
    client.post("/cart/book")
    before = client.get_cookie("session")
    with client.session_transaction() as session:
        cast(FlaskSession, session).login("ann")
    after = client.get_cookie("session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert client.get("/me").json == {"subject": "ann", "cart": ["book"]}
    with client.session_transaction() as session:
        session.clear()
    assert client.get_cookie("session") is None
    assert mooring(app).state.sessions.of("ann") == []


def test_sign_in(app: Flask) -> None:
    client, other = app.test_client(), app.test_client()
    sign_in(client, 42, cart=["book"])
    sign_in(other, 42)
    assert client.get("/me").json == {"subject": "42", "cart": ["book"]}
    assert len(mooring(app).state.sessions.of(42)) == 2


def test_in_memory(app: Flask) -> None:
    client = app.test_client()
    client.post("/cart/book")
    with in_memory(app) as state:
        inside = app.test_client()
        sign_in(inside, "ann")
        assert [info.subject for info in state.sessions.of("ann")] == ["ann"]
        assert client.get("/me").json == {"subject": None, "cart": []}
    assert mooring(app).state.sessions.of("ann") == []


def test_a_session_that_cannot_be_reached(close: Close) -> None:
    """The block raises what a view would have raised."""
    with RedisServer() as server:
        app = close(make_app(MOORED_URL=f"{server.url}?deadline=1"))
        client = app.test_client()
        client.post("/cart/book")
        server.kill()
        found: list[Any] = []

        def look() -> None:
            with client.session_transaction() as session:
                found.append(session["cart"])

        with pytest.raises(Unavailable):
            look()
        assert found == []
