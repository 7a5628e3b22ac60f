"""``Session(app)`` in the place of Flask-Session's, with its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
import redis
from flask.testing import FlaskClient
from tests.frameworks.rig import cookies

from moored import ConfigurationError
from moored.flask import Session
from moored.flask.extension import mooring
from moored.testing.servers import RedisServer

MakeClient = Callable[..., FlaskClient]


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """Makes clients of applications, and closes their state at the end."""
    apps: list[flask.Flask] = []

    def make(**config: Any) -> FlaskClient:
        app = flask.Flask("drop-in")
        app.config.update({"SECRET_KEY": "a secret of these tests", "TESTING": True, **config})
        extension = Session()
        extension.init_app(app)
        apps.append(app)

        @app.get("/add")
        def add() -> list[str]:
            cart: list[str] = flask.session.get("cart", [])
            cart.append("book")
            flask.session["cart"] = cart
            return cart

        return app.test_client()

    yield make
    for app in apps:
        mooring(app).state.close()


@pytest.fixture
def lent(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=redis_server.port, db=3) as client:
        client.flushdb()
        yield client


def keys(client: redis.Redis) -> list[bytes]:
    found: Any = client.keys("*")
    return list(found)


def test_a_lent_client_is_used_for_where_it_leads_and_left_alone(
    lent: redis.Redis, make_client: MakeClient
) -> None:
    retry = lent.connection_pool.connection_kwargs.get("retry")
    client = make_client(SESSION_TYPE="redis", SESSION_REDIS=lent, SESSION_USE_SIGNER=True)
    assert client.get("/add").json == ["book"]
    assert client.get("/add").json == ["book", "book"]
    assert {key.partition(b":")[0] for key in keys(lent)} == {b"session"}
    assert lent.connection_pool.connection_kwargs.get("retry") is retry
    assert lent.ping()


def test_the_prefix_is_flask_sessions(lent: redis.Redis, make_client: MakeClient) -> None:
    client = make_client(SESSION_TYPE="redis", SESSION_REDIS=lent, SESSION_KEY_PREFIX="shop:")
    client.get("/add")
    assert {key.partition(b":")[0] for key in keys(lent)} == {b"shop"}


@pytest.mark.parametrize(
    ("config", "lasts"),
    [({}, True), ({"SESSION_PERMANENT": True}, True), ({"SESSION_PERMANENT": False}, False)],
    ids=["by default", "permanent", "not"],
)
def test_sessions_are_permanent_unless_told_otherwise(
    config: dict[str, Any], lasts: bool, make_client: MakeClient
) -> None:
    client = make_client(MOORED_URL="memory:", **config)
    (cookie,) = cookies(client.get("/add"))
    assert ("Max-Age" in cookie) is lasts


def test_moored_url_wins(lent: redis.Redis, make_client: MakeClient) -> None:
    client = make_client(MOORED_URL="memory:", SESSION_TYPE="redis", SESSION_REDIS=lent)
    assert client.get("/add").json == ["book"]
    assert keys(lent) == []
    assert mooring(client.application).state.url.scheme == "memory"


def test_a_url_is_no_client() -> None:
    app = flask.Flask(__name__)
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS="redis://localhost")
    with pytest.raises(ConfigurationError, match=r"must be a redis\.Redis client, not str"):
        Session(app)
