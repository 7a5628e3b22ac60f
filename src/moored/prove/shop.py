"""The shop: ordinary Flask.  No line of it knows how its sessions are kept."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from flask import Flask, request, session
from flask.wrappers import Response

app: Flask = Flask(__name__)


@app.post("/begin")
def begin() -> str:
    """Somebody opens the shop."""
    session["wishes"] = []
    return "welcome"


@app.post("/cart/<item>")
def add_to_cart(item: str) -> str:
    """Add to the cart, and say so by assigning it."""
    cart = session.get("cart", [])
    work()
    cart.append(item)
    session["cart"] = cart
    return "added"


@app.post("/setting/<name>")
def change_setting(name: str) -> str:
    """Set one key of the session."""
    user = session.get("user_id", "a visitor")
    work()
    session[name] = f"set by {user}"
    return "set"


@app.post("/wish/<item>")
def add_wish(item: str) -> str:
    """Change a value in place, and say nothing of it: no session.modified = True."""
    session["wishes"].append(item)
    return "noted"


@app.post("/sign-in/<name>")
def sign_in(name: str) -> str:
    """As in Flask's tutorial: clear, then keep the user's id."""
    session.clear()
    session["user_id"] = name
    return "signed in"


@app.post("/sign-out")
def sign_out() -> str:
    """As in Flask's tutorial."""
    session.clear()
    return "signed out"


@app.post("/report")
def make_report() -> str:
    """A slow request: it writes to the session when its work is done."""
    user = session.get("user_id", "nobody")
    work()
    session["report"] = "ready"
    return f"a report for {user}"


@app.get("/session")
def look() -> dict[str, Any]:
    """What is in the session now."""
    return dict(session)


def work() -> None:
    """Between reading and writing a handler asks a database or another service.

    Here it waits, if the prover wants it to, until the prover lets it go on.
    """
    if "Gate" in request.headers:
        with socket.create_connection(("127.0.0.1", app.config["GATE"])) as gate:
            gate.sendall(b"read\n")
            time.sleep(float(gate.recv(32)))


@app.after_request
def sign(response: Response) -> Response:
    """Say which of the server's processes answered."""
    response.headers["Process"] = str(os.getpid())
    return response
