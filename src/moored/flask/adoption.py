"""Taking over the live sessions of Flask-Session, or of Flask's own cookie."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from moored.adopt.flask_cookie import FlaskCookie
from moored.adopt.flask_session import flask_session
from moored.adopt.old import Old, OldCookies, OldRows
from moored.adopt.place import Place
from moored.adopt.store import Adopting
from moored.adopt.window import Window
from moored.errors import ConfigurationError
from moored.flask.config import Settings
from moored.kinds.sessions.settings import SessionSettings
from moored.seal import KeyRing
from moored.state import State
from moored.web.store import ServerSide


def adopting_store_maker(
    app: Flask, state: State, settings: Settings, ring: Callable[[], KeyRing]
) -> Callable[[SessionSettings], Adopting]:
    """What makes the store of the app's sessions and of those still with whom ``settings.adopt`` names.

    Raises ConfigurationError for what cannot be adopted from, and for pickles that may not be
    read although there are some.
    """
    if settings.session_store != "engine":
        raise ConfigurationError(
            "sessions are carried over to the engine only: leave MOORED_SESSION_STORE out, or MOORED_ADOPT."
        )
    names = settings.adopt or ()
    places: list[Place | FlaskCookie] = []
    for name in names:
        if name == "flask-cookie":
            places.append(FlaskCookie(app))
        else:
            place = _place(app, allow_pickle=settings.adopt_pickle)
            state.on_close(place.close)
            places.append(place)

    def is_empty() -> bool:  # of cookies nobody knows
        return not any([isinstance(place, FlaskCookie) or not place.is_empty() for place in places])

    window = Window("+".join(names), settings.alongside, is_empty)

    def make(sessions: SessionSettings) -> Adopting:
        olds: list[Old] = [
            OldCookies(place, sessions, ring)
            if isinstance(place, FlaskCookie)
            else OldRows(place, sessions, ring)
            for place in places
        ]
        return Adopting(ServerSide(sessions, ring), olds, window)

    return make


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
