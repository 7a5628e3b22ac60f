"""Flask-WTF: its token is in the session, stays through everything but a sign-in, and costs nothing more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.frameworks.ecosystem.wtf_app import make_app
from tests.frameworks.rig import twin
from tests.races.gates import Gates

from moored.flask.extension import mooring
from moored.flask.testing import in_memory, sign_in
from moored.policy import Sent

Close = Callable[[Flask], Flask]


@pytest.fixture
def app(close: Close, shared_url: str, gates: Gates) -> Flask:
    return close(make_app(gates, MOORED_URL=shared_url))


def token(client: FlaskClient, **query: str) -> str:
    answer = client.get("/form", query_string=query)
    assert answer.status_code == 200
    return answer.text


def post(client: FlaskClient, path: str, csrf: str, **query: str) -> int:
    return client.post(path, data={"csrf_token": csrf}, query_string=query).status_code


def cart(client: FlaskClient) -> list[str]:
    with client.session_transaction() as session:
        items: list[str] = session.get("cart", [])
        return items


def test_a_form_needs_the_token_of_its_session(app: Flask) -> None:
    client = app.test_client()
    csrf = token(client)
    assert post(client, "/buy/book", csrf) == 200
    assert post(client, "/buy/book", "made up") == 400
    assert client.post("/buy/book").status_code == 400
    assert post(app.test_client(), "/buy/book", csrf) == 400
    assert client.post("/buy/mug", headers={"X-CSRFToken": csrf}).json == ["book", "mug"]


def test_a_sign_in_drops_the_token(app: Flask) -> None:
    """Whoever planted the visitor's session would know it."""
    client = app.test_client()
    early = token(client)
    assert post(client, "/in", early) == 200
    with client.session_transaction() as session:
        assert "csrf_token" not in session
    assert post(client, "/buy/book", early) == 400
    assert post(client, "/buy/book", token(client)) == 200


def test_another_name_of_the_token_is_to_be_said(close: Close) -> None:
    names: dict[str, Any] = {"WTF_CSRF_FIELD_NAME": "proof", "MOORED_FRESH_ON_LOGIN": ["proof"]}
    client = close(make_app(MOORED_URL="memory:", **names)).test_client()
    early = token(client)
    assert client.post("/in", data={"proof": early}).status_code == 200
    with client.session_transaction() as session:
        assert "proof" not in session


def test_a_script_can_be_given_the_new_token_by_the_sign_in_itself(app: Flask) -> None:
    client = app.test_client()
    early = token(client)
    answer = client.post("/in/script", headers={"X-CSRFToken": early})
    assert post(client, "/buy/book", early) == 400
    assert post(client, "/buy/book", answer.text) == 200


def test_a_sign_out_makes_every_form_worthless(app: Flask) -> None:
    client = app.test_client()
    post(client, "/in", token(client))
    csrf = token(client)
    assert post(client, "/out", csrf) == 200
    assert post(client, "/buy/book", csrf) == 400


def test_two_tabs_share_a_token(app: Flask) -> None:
    client = app.test_client()
    first = token(client)
    tab = twin(client)
    second = token(tab)
    assert [post(client, "/buy/book", second), post(tab, "/buy/mug", first)] == [200, 200]
    assert cart(client) == ["book", "mug"]


def test_a_form_rendered_in_another_tab_before_the_sign_in_is_refused_once(app: Flask) -> None:
    client = app.test_client()
    csrf = token(client)
    assert post(client, "/in", csrf) == 200
    tab = twin(client)
    assert post(tab, "/buy/book", csrf) == 400
    assert post(tab, "/buy/book", token(tab)) == 200


def test_two_tabs_that_ask_for_the_first_token_at_once(app: Flask, gates: Gates) -> None:
    """The session keeps one token. The other form is refused, and is good when it is rendered anew."""
    client = app.test_client()
    with client.session_transaction() as session:
        session["colour"] = "red"
    tab = twin(client)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(token, client, gate="slow")
        gates.wait_for("slow")
        quick = token(tab)
        gates.open("slow")
        forms = [(client, slow.result()), (tab, quick)]
    statuses = [post(browser, "/buy/book", csrf) for browser, csrf in forms]
    assert sorted(statuses) == [200, 400]
    assert [post(browser, "/buy/mug", token(browser)) for browser, _ in forms] == [200, 200]
    with client.session_transaction() as session:
        assert session["colour"] == "red"


def test_a_form_sent_twice_at_once_is_two_changes(app: Flask, gates: Gates) -> None:
    """A token proves where the form came from, not that it was sent once: both are acknowledged and kept."""
    client = app.test_client()
    csrf = token(client)
    tab = twin(client)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(post, client, "/buy/slow", csrf, gate="slow")
        gates.wait_for("slow")
        assert post(tab, "/buy/quick", csrf) == 200
        gates.open("slow")
        assert slow.result() == 200
    assert cart(client) == ["quick", "slow"]


def test_a_form_that_must_be_sent_once(app: Flask, gates: Gates) -> None:
    client = app.test_client()
    csrf = client.get("/order").text
    tab = twin(client)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(post, client, "/order", csrf, gate="slow")
        gates.wait_for("slow")
        assert post(tab, "/order", csrf) == 409
        gates.open("slow")
        assert slow.result() == 200


def test_what_it_costs(close: Close) -> None:
    app = close(make_app(MOORED_URL="memory:"))
    client = app.test_client()
    token(client)
    sent: list[Sent] = []
    mooring(app).state.observe(sent.append)
    answer = client.get("/form")
    assert answer.headers.getlist("Set-Cookie") == []
    assert [step.commands for step in sent] == [("Read",)]
    untouched = client.get("/open")
    assert "Vary" not in untouched.headers
    assert len(sent) == 1


def test_the_helpers_for_tests(app: Flask) -> None:
    client = app.test_client()
    outside = token(client)
    with in_memory(app):
        inside: Any = app.test_client()
        sign_in(inside, "ann", user_id="ann")
        csrf = token(inside)
        assert post(inside, "/buy/book", csrf) == 200
        with inside.session_transaction() as session:
            assert session["csrf_token"]
        assert post(inside, "/buy/book", outside) == 400
    assert post(client, "/buy/book", outside) == 200
