"""One shop, with its sessions kept by Flask-Session or by Moored, and a browser for both."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import flask
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from flask_session import Session as FlaskSession

from moored.adopt.store import Adopting
from moored.flask import Moored, Session
from moored.flask.extension import mooring

Config = dict[str, Any]


def shop(**config: Any) -> Flask:
    """A shop without sessions yet.  What the views do is what applications do."""
    app = Flask("shop", instance_path=config.pop("instance_path", None))
    app.config.update(SECRET_KEY="the secret of these tests", TESTING=True, **config)
    if "SESSION_SQLALCHEMY" in config:
        config["SESSION_SQLALCHEMY"].init_app(app)

    @app.get("/add/<item>")
    def add(item: str) -> list[str]:
        session["cart"] = [*session.get("cart", []), item]
        return session["cart"]  # type: ignore[no-any-return]

    @app.get("/in/<int:user>")
    def sign_in(user: int) -> str:
        session["user_id"] = user
        return ""

    @app.get("/out")
    def sign_out() -> str:
        session.clear()
        return ""

    @app.get("/look")
    def look() -> Config:
        return {"cart": session.get("cart", []), "user": session.get("user_id")}

    @app.get("/everywhere")
    def everywhere() -> str:
        session.logout_everywhere(keep_this="keep" in flask.request.args)  # type: ignore[attr-defined]
        return ""

    return app


def before(**config: Any) -> Flask:
    """The shop as it was: with Flask-Session, or with Flask's cookie if there is no SESSION_TYPE."""
    app = shop(**config)
    if "SESSION_TYPE" in config:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of signed cookies and of files
            FlaskSession(app)
    else:
        assert isinstance(app.session_interface, SecureCookieSessionInterface)
    return app


def after(**config: Any) -> Flask:
    """The shop with its import changed."""
    app = shop(**config)
    if "SESSION_TYPE" in config:
        Session(app)
    else:
        Moored(app)
    return app


def store(app: Flask) -> Adopting:
    """Where the app's sessions are while they are taken over."""
    found = mooring(app).interface.host.store
    assert isinstance(found, Adopting)
    return found


class Browser:
    """A browser that meets old and new workers behind one address."""

    def __init__(self) -> None:
        self.cookie = ""

    def get(self, app: Flask, path: str) -> Any:
        """The answer: JSON if it is, else text."""
        client = app.test_client()
        if self.cookie:
            client.set_cookie("session", self.cookie)
        response = client.get(path)
        assert response.status_code == 200, response.text
        held = client.get_cookie("session")
        self.cookie = held.value if held else ""
        return response.json if response.is_json else response.text

    def cart(self, app: Flask) -> list[str]:
        """What is in the cart."""
        return self.get(app, "/look")["cart"]  # type: ignore[no-any-return]

    def user(self, app: Flask) -> int | None:
        """Who is signed in."""
        return self.get(app, "/look")["user"]  # type: ignore[no-any-return]


Pair = Callable[..., tuple[Flask, Flask]]
