"""A small application whose session the tests prepare and look into."""

from __future__ import annotations

from typing import Any, cast

import flask
from flask import Flask

from moored.flask import FlaskSession, Moored


def make_app(**config: Any) -> Flask:
    """The application."""
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": "the secret of these tests", "TESTING": True, **config})
    Moored(app)

    @app.get("/me")
    def me() -> dict[str, Any]:
        session = cast(FlaskSession, flask.session)
        return {"subject": session.subject, "cart": session.get("cart", [])}

    @app.post("/cart/<item>")
    def add(item: str) -> list[str]:
        items: list[str] = flask.session.setdefault("cart", [])
        items.append(item)
        return items

    return app
