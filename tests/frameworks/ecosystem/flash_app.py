"""A small application that flashes messages."""

from __future__ import annotations

from typing import Any, cast

import flask
from flask import Flask, flash, get_flashed_messages, request
from tests.races.gates import Gates

from moored.flask import FlaskSession, Moored


def make_app(gates: Gates | None = None, **config: Any) -> Flask:
    """The application; ``?gate=name`` makes a handler wait there, once it has read the session."""
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": "the secret of these tests", "TESTING": True, **config})
    Moored(app)

    def pause() -> None:
        if gates and (gate := request.args.get("gate")):
            gates.pass_through(gate)

    @app.post("/say/<message>")
    def say(message: str) -> str:
        flask.session.get("_flashes")
        pause()
        flash(message, request.args.get("category", "message"))
        return "said"

    @app.get("/read")
    def read() -> list[Any]:
        found = get_flashed_messages(with_categories="categories" in request.args)
        pause()
        return list(found)

    @app.get("/read/once")
    def read_once() -> list[Any]:
        found = cast(FlaskSession, flask.session).take("_flashes", [])
        pause()
        return [message for _, message in found]

    @app.post("/in/<name>")
    def sign_in(name: str) -> str:
        cast(FlaskSession, flask.session).login(name)
        flash(f"welcome, {name}")
        return "hello"

    @app.post("/out")
    def sign_out() -> str:
        flask.session.clear()
        flash("goodbye")
        return "goodbye"

    return app
