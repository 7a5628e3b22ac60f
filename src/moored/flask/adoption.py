"""Taking over the live sessions of Flask-Session, or of Flask's own cookie."""

from __future__ import annotations

from typing import Any

from flask import Flask

from moored.adopt.flask_cookie import FlaskCookie
from moored.adopt.flask_session import flask_session
from moored.adopt.old import Old, OldCookies, OldRows
from moored.adopt.place import Place
from moored.adopt.store import Adopting
from moored.adopt.window import Window
from moored.errors import ConfigurationError
from moored.state import State
from moored.web.store import ServerSide, SessionStore


def adopting(app: Flask, state: State, store: SessionStore, found: dict[str, Any]) -> Adopting:
    """The app's sessions, and those that are still with whom ``MOORED_ADOPT`` names.

    Raises ConfigurationError for what cannot be adopted from, and for pickles that may not be
    read although there are some.
    """
    if not isinstance(store, ServerSide):
        raise ConfigurationError(
            "sessions are carried over to the engine only: leave MOORED_SESSION_STORE out, or MOORED_ADOPT."
        )
    olds: list[Old] = []
    rows: list[OldRows] = []
    for name in found["MOORED_ADOPT"]:
        if name == "flask-cookie":
            olds.append(OldCookies(FlaskCookie(app), store.settings, store.ring))
        else:
            place = _place(app, allow_pickle=found["MOORED_ADOPT_PICKLE"])
            state.on_close(place.close)
            rows.append(OldRows(place, store.settings, store.ring))
            olds.append(rows[-1])

    def is_empty() -> bool:
        return len(rows) == len(olds) and all(old.place.is_empty() for old in rows)

    return Adopting(store, olds, Window("+".join(found["MOORED_ADOPT"]), found["MOORED_ALONGSIDE"], is_empty))


def _place(app: Flask, *, allow_pickle: bool) -> Place:
    try:
        return flask_session(app, allow_pickle=allow_pickle)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "moored"):
            raise
        raise ConfigurationError(
            f"sessions cannot be adopted from SESSION_TYPE = {app.config.get('SESSION_TYPE')!r}: that needs"
            f" the package {missing!r}, which is not installed. Install it, or set MOORED_ADOPT = []: then"
            " everybody signs in again."
        ) from None
