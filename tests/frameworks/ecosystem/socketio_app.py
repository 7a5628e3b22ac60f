"""A small application with Flask-SocketIO: a chat whose members are in the session."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

import flask
from flask import Flask
from flask_socketio import Namespace, emit
from tests.races.gates import Gates

from moored.flask import FlaskSession, Moored
from moored.flask.socketio import SocketIO


def session() -> FlaskSession:
    """The session of this request or event, with what Moored adds to Flask's."""
    return cast(FlaskSession, flask.session)


class Quiet(Namespace):  # type: ignore[misc]
    """Handlers as a class, and none for connections."""

    def on_who(self) -> str | None:
        return session().subject


class Chat:
    """The application, and what its handlers have seen."""

    def __init__(
        self,
        gates: Gates | None = None,
        *,
        check_every: float = 60.0,
        async_mode: str = "threading",
        **config: Any,
    ) -> None:
        self.app = app = Flask(__name__)
        app.config.update({"SECRET_KEY": "the secret of these tests", "TESTING": True, **config})
        # A ping lets a polling client go whose goodbye did not leave: by default after 25 seconds.
        self.socketio = socketio = SocketIO(
            app, check_every=check_every, async_mode=async_mode, ping_interval=1
        )
        Moored(app)
        self.handled: list[str] = []
        self.gone: list[str | None] = []
        self.errors: list[Exception] = []
        socketio.on_namespace(Quiet("/quiet"))
        on: Callable[[str], Callable[[Any], Any]] = socketio.on

        @app.post("/in/<name>")
        def sign_in(name: str) -> str:
            session().login(name)
            return "hello"

        @app.post("/out")
        def sign_out() -> str:
            session().logout()
            return "goodbye"

        @app.post("/in-by-field/<name>")
        def sign_in_by_field(name: str) -> str:
            session()["user_id"] = name
            return "hello"

        @app.post("/set/<name>/<value>")
        def put(name: str, value: str) -> str:
            session()[name] = value
            return "kept"

        @app.get("/all")
        def everything() -> dict[str, Any]:
            return session().to_dict()

        @on("connect")
        def connect() -> None:
            emit("welcome", session().subject)

        @on("disconnect")
        def disconnect(reason: str) -> None:
            self.gone.append(session().subject)
            session().pop("online", None)

        @on("all")
        def see() -> dict[str, Any]:
            self.handled.append("all")
            return session().to_dict()

        @on("say")
        def say(word: str, gate: str | None = None) -> list[str]:
            words: list[str] = session().setdefault("said", [])
            if gate and gates:
                gates.pass_through(gate)
            words.append(word)
            return words

        @on("say and fail")
        def fail(word: str) -> None:
            session().setdefault("said", []).append(word)
            raise ZeroDivisionError

        @on("in")
        def enter(name: str) -> None:
            session().login(name)

        @on("in by field")
        def enter_by_field(name: str) -> None:
            session()["user_id"] = name

        @on("out")
        def logout() -> str:
            session().logout()
            return "goodbye"

        @on("forget")
        def forget() -> None:
            del session()["user_id"]

        @on("nothing")
        def nothing() -> str:
            self.handled.append("nothing")
            return "done"

        @socketio.on_error_default  # type: ignore[untyped-decorator]
        def failed(error: Exception) -> str:
            self.errors.append(error)
            return type(error).__name__


def with_greenlets() -> Flask:
    """For gunicorn's gevent worker."""
    return Chat(check_every=0.1, async_mode="gevent", MOORED_URL=os.environ["MOORED_URL"]).app
