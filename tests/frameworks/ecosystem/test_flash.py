"""Flashed messages: none is lost between requests that run at once, and each is shown."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.frameworks.ecosystem.flash_app import make_app
from tests.frameworks.rig import twin
from tests.races.gates import Gates

from moored.flask.testing import in_memory, sign_in

Close = Callable[[Flask], Flask]


@pytest.fixture
def app(close: Close, shared_url: str, gates: Gates) -> Flask:
    return close(make_app(gates, MOORED_URL=shared_url))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    with client.session_transaction() as session:
        session["colour"] = "red"
    return client


def read(client: FlaskClient, path: str = "/read", **query: str) -> Any:
    return client.get(path, query_string=query).json


def test_a_message_is_shown_once(client: FlaskClient) -> None:
    client.post("/say/saved")
    client.post("/say/careful?category=warning")
    assert read(client, categories="1") == [["message", "saved"], ["warning", "careful"]]
    assert read(client) == []


def test_messages_that_are_flashed_at_once_are_all_shown(client: FlaskClient) -> None:
    barrier = Barrier(16)

    def say(number: int) -> int:
        tab = twin(client)
        barrier.wait()
        return tab.post(f"/say/{number}").status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(say, range(16))) == {200}
    assert sorted(map(int, read(client))) == list(range(16))


def test_a_message_flashed_by_a_slow_request_is_not_lost(client: FlaskClient, gates: Gates) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(twin(client).post, "/say/slow?gate=slow")
        gates.wait_for("slow")
        client.post("/say/quick")
        gates.open("slow")
        slow.result()
    assert read(client) == ["quick", "slow"]


def test_a_message_that_comes_while_others_are_shown_stays(client: FlaskClient, gates: Gates) -> None:
    client.post("/say/early")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(read, twin(client), gate="slow")
        gates.wait_for("slow")
        client.post("/say/late")
        gates.open("slow")
        assert slow.result() == ["early"]
    assert read(client) == ["late"]


def test_two_tabs_that_read_at_once_may_both_show_a_message(client: FlaskClient, gates: Gates) -> None:
    """Flask reads, and removes afterwards.  It is not shown a third time."""
    client.post("/say/hello")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(read, twin(client), gate="slow")
        gates.wait_for("slow")
        assert read(client) == ["hello"]
        gates.open("slow")
        assert slow.result() == ["hello"]
    assert read(client) == []


def test_taken_messages_are_shown_in_one_tab_only(client: FlaskClient, gates: Gates) -> None:
    client.post("/say/hello")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(read, twin(client), "/read/once", gate="slow")
        gates.wait_for("slow")
        assert read(client, "/read/once") == []
        gates.open("slow")
        assert slow.result() == ["hello"]


def test_messages_survive_a_sign_in_and_follow_a_sign_out(client: FlaskClient) -> None:
    client.post("/say/before")
    client.post("/in/ann")
    assert read(client) == ["before", "welcome, ann"]
    client.post("/out")
    assert read(client) == ["goodbye"]


def test_a_visitor_can_be_told_something(app: Flask) -> None:
    client = app.test_client()
    client.post("/say/hello")
    assert read(client) == ["hello"]


def test_the_helpers_for_tests(client: FlaskClient) -> None:
    client.post("/say/outside")
    app = client.application
    with in_memory(app):
        inside = app.test_client()
        sign_in(inside, "ann", _flashes=[("message", "welcome")])
        with inside.session_transaction() as session:
            assert session["_flashes"] == [("message", "welcome")]
        assert read(inside) == ["welcome"]
    assert read(client) == ["outside"]
