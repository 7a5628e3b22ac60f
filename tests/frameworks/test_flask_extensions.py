"""Extensions that live in the session: Flask-Login and Flask-WTF."""

from __future__ import annotations

import re
from collections.abc import Callable

import flask
import pytest
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_wtf.csrf import CSRFProtect, generate_csrf
from tests.frameworks.rig import MakeRig, Rig, cookies, session, value


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture(params=["memory", "sqlite", "redis"])
def login(make_rig: MakeRig, request: pytest.FixtureRequest) -> Rig:
    """An app with Flask-Login."""
    rig = make_rig(request.getfixturevalue(f"{request.param}_url"))
    manager = LoginManager(rig.app)
    manager.user_loader(User)

    @rig.app.get("/in/<name>")
    def sign_in(name: str) -> str:
        login_user(User(name))
        return ""

    @rig.app.get("/out")
    def sign_out() -> str:
        logout_user()
        return ""

    @rig.app.get("/me")
    @login_required  # type: ignore[untyped-decorator]
    def me() -> str:
        return str(current_user.id)

    return rig


def stolen(rig: Rig, cookie: str) -> FlaskClient:
    client = rig.browser()
    client.set_cookie("session", cookie)
    return client


def test_flask_login_signs_in_and_out(login: Rig) -> None:
    login.visit(lambda: session().update(cart=["book"]))
    before = value(login.client)
    assert login.client.get("/me").status_code == 401
    login.client.get("/in/ann")
    during = value(login.client)
    assert during != before
    assert login.client.get("/me").text == "ann"
    assert login.look(lambda: session().subject) == "ann"
    assert len(login.mooring.state.sessions.of("ann")) == 1
    assert stolen(login, before).get("/me").status_code == 401

    login.client.get("/out")
    assert value(login.client) not in ("", during)
    assert login.client.get("/me").status_code == 401
    assert stolen(login, during).get("/me").status_code == 401
    assert login.data()["cart"] == ["book"]


def test_flask_login_users_do_not_get_each_others_data(login: Rig) -> None:
    login.client.get("/in/ann")
    login.visit(lambda: session().update(letters=["of ann"]))
    login.client.get("/in/bob")
    assert login.client.get("/me").text == "bob"
    assert "letters" not in login.data()
    assert login.mooring.state.sessions.of("ann") == []


def test_giving_the_password_again_is_a_new_cookie(login: Rig) -> None:
    login.client.get("/in/ann")
    login.visit(lambda: session().update(_fresh=False, cart=["book"]))
    before = value(login.client)
    login.client.get("/in/ann")
    assert value(login.client) != before
    assert login.data()["cart"] == ["book"]
    assert stolen(login, before).get("/me").status_code == 401


def test_revoking_a_subject_signs_flask_logins_user_out(login: Rig) -> None:
    clients = [login.browser(), login.browser()]
    for client in clients:
        client.get("/in/ann")
    login.mooring.state.sessions.revoke_subject("ann")
    assert [client.get("/me").status_code for client in clients] == [401, 401]


def test_flask_login_itself_looks_at_the_session_after_every_request(login: Rig) -> None:
    """Its remember cookie needs that: one read, and none for visitors without a cookie."""
    login.client.get("/in/ann")
    login.steps()
    answer = login.visit(lambda: "nothing to do with users")
    assert login.steps() == [("Read",)]
    assert cookies(answer) == []
    login.visit(str, login.browser())
    assert login.steps() == []


TOKEN = re.compile(r"token=(\S+)")


@pytest.fixture
def forms(make_rig: MakeRig) -> Rig:
    """An app with Flask-WTF's protection of forms."""
    rig = make_rig()
    CSRFProtect(rig.app)

    @rig.app.get("/form")
    def form() -> str:
        return f"token={generate_csrf()}"

    @rig.app.post("/in")
    def sign_in() -> str:
        flask.session["user_id"] = 42
        return "signed in"

    @rig.app.post("/buy")
    def buy() -> str:
        flask.session.setdefault("cart", []).append("book")
        return "bought"

    return rig


def token(client: FlaskClient) -> str:
    found = TOKEN.search(client.get("/form").text)
    assert found
    return found[1]


def post(client: FlaskClient, path: str, csrf: str) -> int:
    return client.post(path, data={"csrf_token": csrf}).status_code


def test_flask_wtf_tokens_live_in_the_session_and_not_through_a_login(forms: Rig) -> None:
    client = forms.client
    early = token(client)
    assert post(client, "/buy", early) == 200
    assert post(client, "/buy", "made up") == 400
    assert post(forms.browser(), "/buy", early) == 400
    assert post(client, "/in", early) == 200
    assert "csrf_token" not in forms.look(lambda: dict(session()))
    assert post(client, "/buy", early) == 400
    assert post(client, "/buy", token(client)) == 200
    assert forms.data()["cart"] == ["book", "book"]


def test_flask_wtf_asks_for_the_token_once(forms: Rig) -> None:
    forms.client.get("/form")
    forms.steps()
    assert cookies(forms.client.get("/form")) == []
    assert forms.steps() == [("Read",)]


def test_an_untouched_request_stays_untouched_with_flask_wtf(forms: Rig) -> None:
    token(forms.client)
    forms.steps()
    view: Callable[[], str] = str
    assert "Vary" not in forms.visit(view).headers
    assert forms.steps() == []
