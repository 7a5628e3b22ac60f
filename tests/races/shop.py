"""The application that the races are run in, as a WSGI server with several workers imports it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import flask
from flask import Flask, request
from tests.races.gates import Gates
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from moored.flask import Moored
from moored.flask.interface import FlaskSession

IDLE = 1.2  # seconds without use after which a session of /idle ends
ABSOLUTE = 1.5  # seconds after which a session of /absolute ends


def session() -> FlaskSession:
    """The session of this request."""
    return cast(FlaskSession, flask.session._get_current_object())  # type: ignore[attr-defined]


def make_shop(gates: Gates, **config: Any) -> Flask:
    """A shop: a cart, things to set, signing in and out.

    ``?gate=name`` makes a handler wait there, after it has read the session and before it
    changes it.
    """
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": "the secret of these tests", **config})
    Moored(app)

    def pause() -> None:
        if gate := request.args.get("gate"):
            session().get("cart")
            gates.pass_through(gate)

    def post(path: str) -> Callable[[Callable[..., Any]], Any]:
        return app.post(path)

    @app.get("/untouched")
    def untouched() -> str:
        return str(os.getpid())

    @app.get("/")
    def all_of_it() -> dict[str, Any]:
        mine = session()
        return {"pid": os.getpid(), "selector": mine.selector, "subject": mine.subject, "data": dict(mine)}

    @post("/add/<item>")
    def add(item: str) -> dict[str, Any]:
        cart = session().setdefault("cart", [])
        pause()
        cart.append(item)
        return {"cart": cart}

    @post("/set/<name>/<value>")
    def change(name: str, value: str) -> dict[str, Any]:
        pause()
        session()[name] = value
        return {}

    @post("/nested/<branch>/<leaf>")
    def nested(branch: str, leaf: str) -> dict[str, Any]:
        leaves = session().setdefault("tree", {}).setdefault(branch, {})
        pause()
        leaves[leaf] = os.getpid()
        return {}

    @post("/login/<user>")
    def login(user: str) -> dict[str, Any]:
        session().signing_in(user)
        pause()
        session()["user_id"] = user
        return {}

    @post("/logout")
    def logout() -> dict[str, Any]:
        pause()
        session().clear()
        return {}

    @post("/again")
    def again() -> dict[str, Any]:
        session().login(session()["user_id"])
        return {}

    @post("/forget")
    def forget() -> dict[str, Any]:
        session().pop("user_id")
        return {}

    @post("/everywhere")
    def everywhere() -> dict[str, Any]:
        session().logout_everywhere(keep_this="keep" in request.args)
        return {}

    return app


def wsgi() -> Any:
    """The shop, and two with short lives."""
    gates = Gates(Path(os.environ["SHOP_GATES"]))
    return DispatcherMiddleware(
        make_shop(gates),
        {
            "/idle": make_shop(gates, MOORED_SESSION_IDLE=IDLE),
            "/absolute": make_shop(gates, MOORED_SESSION_ABSOLUTE=ABSOLUTE),
        },
    )
