"""The shop's application: its settings, and what all of its pages share."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, abort, current_app, g, render_template, request
from flask.wrappers import Response
from werkzeug.exceptions import HTTPException, NotFound, ServiceUnavailable

from moored.demo import wording
from moored.demo.account import ABSOLUTE, account, last_session, remember_session
from moored.demo.books import Books
from moored.demo.break_it import break_it
from moored.demo.checkout import checkout
from moored.demo.goods import total
from moored.demo.lab import lab
from moored.demo.shop import shop
from moored.demo.visitor import cart, state, visitor
from moored.errors import GoneError, LoginRefused, MooredError
from moored.flask import Moored
from moored.web.cross_site import SAFE, is_cross_site
from moored.web.problem import problem

IDLE = 3600  # seconds after which a visitor who does nothing is forgotten
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def default_folder() -> Path:
    """Where the shop keeps what it keeps (XDG base directory specification)."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "moored" / "demo"


def create_app(url: str, secret: str | None = None, books: Path | None = None) -> Flask:
    """The shop, with its state at ``url`` and accounts and orders in the SQLite file ``books``.

    ``secret`` is Flask's ``SECRET_KEY``; state in a SQLite file can do without.
    """
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secret,
        MAX_CONTENT_LENGTH=10_000,
        MOORED_SESSION_IDLE=IDLE,
        MOORED_SESSION_ABSOLUTE=ABSOLUTE,
        # Two requests that add to one line of the cart: both additions count.
        MOORED_MERGE={"cart.*": "sum"},
        MOORED_LOGIN_CROSS_SITE="refuse",
    )
    app.extensions["books"] = Books(books or default_folder() / "books.db")
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(sqlite3.Error, _without_books)
    Moored(app, url)
    app.before_request(_refuse_other_sites)
    app.before_request(_refuse_ended_sessions)
    app.after_request(_harden)
    app.after_request(remember_session)
    app.context_processor(_frame)
    for show in (wording.euros, wording.ago, wording.until, wording.clock, wording.device, wording.ending):
        app.add_template_filter(show)
    for part in (shop, checkout, account, break_it, lab):
        app.register_blueprint(part)
    return app


def _frame() -> dict[str, Any]:
    """What surrounds every page.  One that tells of an error does not touch the session."""
    place = {"place": state().url, "worker": os.getpid()}
    if "bare" in g:
        return {**place, "bare": True}
    lines = cart()
    return {
        **place,
        "visitor": visitor(),
        "name": visitor().get("name", visitor().subject),
        "pieces": sum(lines.values()),
        "total": total(lines),
        "last": last_session(),
    }


def _refused(error: HTTPException) -> tuple[str, int]:
    """The page for what was refused, or could not be done: then the cause is Moored's error."""
    code, title, detail = error.code or 500, error.name, error.description or ""
    if isinstance(error, NotFound):
        detail = "Nothing of that name is here. It may have been washed away."
    if isinstance(error.__cause__, LoginRefused):
        detail = "This account was signed out everywhere while you were signing in. Sign in again."
    elif isinstance(error.__cause__, MooredError):
        detail = msgspec.json.decode(problem(error.__cause__, "json").body)["detail"]
    g.bare = True
    gone = isinstance(error.__cause__, GoneError)
    return render_template("error.html", title=title, detail=detail, gone=gone), code


def _without_books(error: sqlite3.Error) -> tuple[str, int]:
    """The page for when accounts and orders cannot be read or written."""
    current_app.logger.error("The books cannot be used: %s", error)
    return _refused(
        ServiceUnavailable(
            f"The shop's books cannot be used right now: {error}. Try again in a moment. An order that is"
            " sent again is placed once."
        )
    )


def _refuse_other_sites() -> None:
    """Only the shop's own pages may change something (and programs that are no browser)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        foreign = is_cross_site(request.method, None, request.headers.get("Origin"), request.host)
    else:
        foreign = request.method not in SAFE and site not in ("same-origin", "none")
    if foreign:
        abort(403, "This request came from another site.")


def _refuse_ended_sessions() -> None:
    """Tell a browser whose session was ended elsewhere, rather than drop what it puts into the cart.

    For half a minute Moored takes requests with such a cookie for stragglers, and nothing that
    they write is kept.
    """
    writes = request.method not in SAFE and request.blueprint != "account"
    if writes and current_app.config["SESSION_COOKIE_NAME"] in request.cookies and visitor().superseded:
        raise GoneError("this session was ended, or somebody signed in to it, a moment ago.")


def _harden(response: Response) -> Response:
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "static":
        headers["Cache-Control"] = "no-store"
    return response
