"""A small application with Flask-WTF: forms, posts from scripts, and a sign-in."""

from __future__ import annotations

from typing import Any, cast

import flask
from flask import Flask, g, request
from flask_wtf.csrf import CSRFProtect, generate_csrf
from tests.races.gates import Gates

from moored.flask import FlaskSession, Moored


def session() -> FlaskSession:
    """The session of this request, with what Moored adds to Flask's."""
    return cast(FlaskSession, flask.session)


def make_app(gates: Gates | None = None, **config: Any) -> Flask:
    """The application; ``?gate=name`` makes a handler wait there, before its response."""
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": "the secret of these tests", "TESTING": True, **config})
    CSRFProtect(app)
    Moored(app)

    def pause() -> None:
        if gates and (gate := request.args.get("gate")):
            gates.pass_through(gate)

    @app.get("/form")
    def form() -> str:
        token = str(generate_csrf())
        pause()
        return token

    @app.get("/open")
    def untouched() -> str:
        return "for everybody"

    @app.post("/in")
    def sign_in() -> str:
        session()["user_id"] = 42
        return "hello"

    @app.post("/in/script")
    def sign_in_by_script() -> str:
        session()["user_id"] = 42
        session().pop("csrf_token", None)
        g.pop("csrf_token", None)
        return str(generate_csrf())

    @app.post("/out")
    def sign_out() -> str:
        session().logout()
        return "goodbye"

    @app.post("/buy/<item>")
    def buy(item: str) -> list[str]:
        items: list[str] = session().setdefault("cart", [])
        pause()
        items.append(item)
        return items

    @app.post("/order")
    def order() -> tuple[str, int]:
        form = session().take("form")
        pause()
        return ("ordered", 200) if form else ("ordered already", 409)

    @app.get("/order")
    def order_form() -> str:
        session()["form"] = "open"
        return str(generate_csrf())

    return app
