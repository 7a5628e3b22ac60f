"""The shop that is moved while it serves; gunicorn imports it, with SHOP_FOLDER set.

The file ``sessions.py`` in that folder is what a deployment changes: it imports ``Session``.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import flask
import redis
from flask import Flask, session
from flask_sqlalchemy import SQLAlchemy

folder = Path(os.environ["SHOP_FOLDER"])
sys.path.insert(0, str(folder))

sessions: Any = import_module("sessions")

app = Flask("shop", instance_path=str(folder))
app.config.update(SECRET_KEY="the secret of these tests", **sessions.CONFIG)
if url := os.environ.get("SHOP_REDIS"):
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.Redis.from_url(url))
elif url := os.environ.get("SHOP_DATABASE"):
    app.config.update(SESSION_TYPE="sqlalchemy", SQLALCHEMY_DATABASE_URI=url)
    app.config.update(SESSION_SQLALCHEMY=SQLAlchemy(app), MOORED_URL=f"sqlite:///{folder}/moored.db")
else:
    app.config.update(SESSION_TYPE="filesystem", SESSION_FILE_DIR=str(folder / "files"))
sessions.Session(app)


@app.get("/in/<int:user>")
def sign_in(user: int) -> str:
    session["user_id"] = user
    return ""


@app.get("/add/<item>")
def add(item: str) -> str:
    session["cart"] = [*session.get("cart", []), item]
    return ""


@app.get("/look")
def look() -> dict[str, Any]:
    return {"cart": session.get("cart", []), "user": session.get("user_id")}


@app.after_request
def tell(response: flask.Response) -> flask.Response:
    response.headers["X-Sessions"] = f"{sessions.VERSION} {os.getpid()}"
    return response
