"""What the scenes of “Break it” send their requests to.

Some scenes are fired by the visitor's browser at the handlers here.  Those that need other
browsers are played by the server, against itself, over HTTP.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from threading import BoundedSemaphore
from typing import Any

import msgspec
from flask import Blueprint, abort, current_app, request, session, stream_with_context
from flask.wrappers import Response

from moored.demo import attacks, rush
from moored.demo.robot import Site, Verdict
from moored.demo.visitor import books, state, visitor
from moored.errors import MooredError

DAWDLE = 0.05  # seconds between reading and writing: time enough for others to come in between
SLOW = 2.0  # seconds that the slow request takes

lab: Blueprint = Blueprint("lab", __name__, url_prefix="/lab")
_playing = BoundedSemaphore(2)  # in one worker: each takes a thread of it, and further requests need theirs


@lab.post("/begin")
def begin() -> dict[str, Any]:
    """Make sure that there is a session, so that all that follows is about one."""
    visitor()["notes"] = {}
    return look()


@lab.get("/look")
def look() -> dict[str, Any]:
    """What is kept now."""
    return {
        "corks": visitor().get("cart", {}).get("cork", 0),
        "notes": sum(map(len, visitor().get("notes", {}).values())),
        "subject": visitor().subject,
        "selector": visitor().selector,
        "begun": visitor().get("begun", []),
    }


@lab.post("/cork")
def add_cork() -> dict[str, Any]:
    """Read the cart, dawdle, write."""
    cart = session.setdefault("cart", {})
    corks, read = cart.get("cork", 0), time.monotonic()
    time.sleep(DAWDLE)
    cart["cork"] = corks + 1
    return {"read": read, "written": time.monotonic(), "worker": os.getpid()}


@lab.post("/note")
def add_note() -> dict[str, Any]:
    """Read the notes, dawdle, write one: nested, no flag."""
    tab, number = request.form["tab"], request.form["number"]
    notes, read = session["notes"], time.monotonic()
    time.sleep(DAWDLE)
    notes.setdefault(tab, {})[number] = "written"
    return {"read": read, "written": time.monotonic(), "worker": os.getpid()}


@lab.post("/deep")
def change_deep() -> dict[str, Any]:
    """Change something inside of what is stored, and say nothing of it."""
    number = request.form["number"]
    session["notes"]["boat"][number] = "changed"
    return {"worker": os.getpid()}


@lab.post("/boat")
def build_boat() -> dict[str, Any]:
    """Store the value that is changed from inside afterwards."""
    session["notes"] = {"boat": {}}
    return look()


@lab.post("/slow")
def slow() -> dict[str, Any]:
    """Read the session, take two seconds, write to it."""
    subject = visitor().subject
    visitor().append("begun", "slow")  # saved at once: now the scene may sign out
    time.sleep(SLOW)
    session["note"] = f"{subject} was here"
    return {"subject": subject, "worker": os.getpid()}


# --- Scenes that the server plays: what happens, one JSON object a line -------------------------


@lab.post("/race")
def race() -> Response:
    """A slow request over a sign-out."""
    return _played(lambda site: attacks.slow_over_sign_out(site, books(), state()))


@lab.post("/planted")
def planted() -> Response:
    """A planted cookie over a sign-in."""
    return _played(lambda site: attacks.planted_cookie(site, books()))


@lab.post("/rush")
def last_five() -> Response:
    """Thirty shoppers, five pieces."""
    return _played(lambda site: rush.last_five(site, books().file))


def _played(scene: Callable[[Site], Iterator[Any]]) -> Response:
    # The server's own address, not the Host header, which anybody can set.
    host, port = request.environ["SERVER_NAME"], int(request.environ["SERVER_PORT"])
    if host not in ("127.0.0.1", "localhost", "::1"):
        abort(501, "This is played on loopback only.")
    site = Site(host, port, current_app.config["SESSION_COOKIE_NAME"], time.monotonic())
    return Response(stream_with_context(_lines(scene(site))), mimetype="application/x-ndjson")


def _lines(steps: Iterator[Any]) -> Iterator[bytes]:
    for step in _safely(steps):
        yield msgspec.json.encode(step) + b"\n"


def _safely(steps: Iterator[Any]) -> Iterator[Any]:
    if not _playing.acquire(blocking=False):
        yield Verdict(False, "Several of these are running already. Try again in a few seconds.")
        return
    try:
        yield from steps
    except (OSError, HTTPException, msgspec.DecodeError, KeyError, MooredError, sqlite3.Error) as error:
        yield Verdict(False, f"It could not be played: {str(error) or type(error).__name__}.")
    finally:
        _playing.release()
