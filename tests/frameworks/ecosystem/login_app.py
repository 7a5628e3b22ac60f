"""A small application with Flask-Login: a page for members, one for fresh sign-ins, a changed password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import flask
from flask import Flask, request
from flask_login import (
    LoginManager,
    UserMixin,
    confirm_login,
    current_user,
    fresh_login_required,
    login_remembered,
    login_required,
    login_user,
    logout_user,
)

from moored import Unavailable
from moored.flask import FlaskSession, Moored

Init = Callable[[Flask], object]


def session() -> FlaskSession:
    """The session of this request, with what Moored adds to Flask's."""
    return cast(FlaskSession, flask.session)


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


def load(user_id: str) -> User | None:
    return None if user_id == "deleted" else User(user_id)


def make_app(*, moored: Init = Moored, login_first: bool = False, **config: Any) -> Flask:
    """The application; ``moored`` gives it its sessions, after Flask-Login if ``login_first``."""
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": "the secret of these tests", "TESTING": True, **config})
    manager = LoginManager()
    manager.user_loader(load)
    manager.login_view = "door"  # pyright: ignore[reportAttributeAccessIssue]
    for init in (manager.init_app, moored) if login_first else (moored, manager.init_app):
        init(app)

    @app.get("/door")
    def door() -> str:
        return "sign in here: " + " ".join(map(str, flask.get_flashed_messages()))

    @app.post("/in/<name>")
    def sign_in(name: str) -> str:
        if "check" in request.args:
            session().signing_in(name)  # before the password is looked at
        login_user(User(name), remember="remember" in request.args)
        return "hello"

    @app.post("/out")
    def sign_out() -> str:
        logout_user()
        return "goodbye"

    @app.post("/leave")
    def leave() -> str:
        session().logout()
        return "goodbye"

    @app.post("/anew/<name>")
    def anew(name: str) -> str:
        session().clear()
        login_user(User(name), remember=True)
        return "hello again"

    @app.post("/renew")
    def renew() -> str:
        session().regenerate()
        return "renewed"

    @app.post("/confirm")
    @login_required  # type: ignore[untyped-decorator]
    def confirm() -> str:
        confirm_login()
        return "confirmed"

    @app.get("/me")
    @login_required  # type: ignore[untyped-decorator]
    def me() -> str:
        return str(current_user.id)

    @app.get("/who")
    def who() -> str:
        return str(current_user.id) if current_user.is_authenticated else "nobody"

    @app.errorhandler(Unavailable)
    def away(error: Unavailable) -> tuple[str, int, dict[str, str]]:
        return f"away, {who()}", 503, {"Retry-After": "5"}

    @app.get("/secret")
    @fresh_login_required  # type: ignore[untyped-decorator]
    def secret() -> str:
        return "secret"

    @app.get("/remembered")
    def remembered() -> str:
        return "yes" if login_remembered() else "no"

    @app.get("/open")
    def untouched() -> str:
        return "for everybody"

    @app.post("/cart/<item>")
    def cart(item: str) -> list[str]:
        items: list[str] = flask.session.setdefault("cart", [])
        items.append(item)
        return items

    @app.post("/password")
    @login_required  # type: ignore[untyped-decorator]
    def password() -> str:
        if "check" in request.args:
            session().signing_in(current_user.id)
        session().logout_everywhere(keep_this="keep" in request.args)
        return "changed"

    return app
