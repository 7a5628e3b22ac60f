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
from moored.commands import Read, Record
from moored.errors import ConfigurationError
from moored.flask.config import Settings
from moored.flask.extension import mooring
from moored.flask.interface import MooredSessionInterface
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

    rows = [place for place in places if not isinstance(place, FlaskCookie)]

    def is_empty() -> bool:  # whether there are cookies nobody knows
        return len(rows) == len(places) and all([place.is_empty() for place in rows])

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


# --- Of an application that is set up ---------------------------------------------------------------


def adopting_store(app: Flask) -> Adopting | None:
    """What takes sessions over for the application, if anything does.

    Raises ConfigurationError for settings that keep it from serving.
    """
    interface = app.session_interface
    store = interface.host.store if isinstance(interface, MooredSessionInterface) else None
    return store if isinstance(store, Adopting) else None


def old_names(store: Adopting) -> str:
    """From whom sessions are taken over."""
    return " and ".join([old.name for old in store.olds])


def seconds_left(app: Flask, store: Adopting) -> float:
    """For how long workers without Moored may serve; all of it before one of ours has begun.

    Looking begins nothing.  Raises Unavailable.
    """
    record = mooring(app).state.binding.run(_read(store.window.key))
    left = store.window.length if record is None else store.window.left(record)
    return left / 1000


async def _read(key: str) -> Record | None:
    return await Read(key)
