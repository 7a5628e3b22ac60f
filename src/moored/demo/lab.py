"""“Break it”: requests made to lose something, and the count of what was kept.

Two scenes are fired by the visitor's browser at the handlers here.  The third needs a second
browser, whose every answer can be seen: the server plays it, against itself, over HTTP.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from flask import Blueprint, abort, current_app, request, session
from flask.wrappers import Response
from msgspec import Struct

from moored.demo.race import Race
from moored.demo.visitor import state, visitor

DAWDLE = 0.05  # seconds between reading and writing: time enough for others to come in between
SLOW = 2.0  # seconds that the slow request takes

lab = Blueprint("lab", __name__, url_prefix="/lab")


@lab.post("/begin")
def begin() -> dict[str, Any]:
    """Make sure that there is a session, so that all that follows is about one."""
    visitor()["notes"] = {}
    return look()


@lab.get("/look")
def look() -> dict[str, Any]:
    """What is kept now."""
    corks = visitor().get("cart", {}).get("cork", 0)
    return {
        "corks": corks,
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


@lab.post("/slow")
def slow() -> dict[str, Any]:
    """Read the session, take two seconds, write to it."""
    subject = visitor().subject
    visitor().append("begun", "slow")  # saved at once: now the race may sign out
    time.sleep(SLOW)
    session["note"] = f"{subject} was here"
    return {"subject": subject, "worker": os.getpid()}


@lab.post("/note")
def add_note() -> dict[str, Any]:
    """Read the notes, dawdle, write one: nested, no flag."""
    tab, number = request.form["tab"], request.form["number"]
    notes, read = session["notes"], time.monotonic()
    time.sleep(DAWDLE)
    notes.setdefault(tab, {})[number] = "written"
    return {"read": read, "written": time.monotonic(), "worker": os.getpid()}


@lab.post("/race")
def race() -> Response:
    """Sign out while a slow request is under way: the exchanges, one JSON object a line, as they happen."""
    # The server's own address, not the Host header, which anybody can set.
    host, port = request.environ["SERVER_NAME"], int(request.environ["SERVER_PORT"])
    if host not in ("127.0.0.1", "localhost", "::1"):
        abort(501, "The race runs on loopback only.")
    steps = Race(host, port, current_app.config["SESSION_COOKIE_NAME"], state()).run()
    return Response(_lines(steps), mimetype="application/x-ndjson")


def _lines(steps: Iterator[Any]) -> Iterator[bytes]:
    for step in steps:
        yield msgspec.json.encode(step) + b"\n"


class Scene(Struct, frozen=True):
    """One thing to try: what it does, and the code that it tries it on."""

    name: str
    title: str
    does: str
    button: str
    handler: Callable[[], object]

    @property
    def source(self) -> str:
        """The handler as it stands in this file."""
        return inspect.getsource(self.handler)


SCENES = (
    Scene(
        "corks",
        "Fifty adds at once",
        "Your browser adds a cork float to your cart 50 times, as many at a time as it can. Each request"
        " reads the cart, dawdles for 50 ms and writes it back. One setting says that quantities add up.",
        "Add 50 corks",
        add_cork,
    ),
    Scene(
        "race",
        "A slow request over a sign-out",
        "A second browser (played by the server) starts a request that takes two seconds and then writes"
        " to its session. Meanwhile it signs out. Your own session is not touched.",
        "Race the sign-out",
        slow,
    ),
    Scene(
        "tabs",
        "Two tabs, one session",
        "Two tabs write 20 notes each, side by side, deep inside one value of your session. There is no"
        " setting, no flag and no lock.",
        "Write from two tabs",
        add_note,
    ),
)
