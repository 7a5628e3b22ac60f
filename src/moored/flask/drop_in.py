"""``Session``: in place of Flask-Session's, with its settings and its live sessions."""

from __future__ import annotations

from typing import Any

from flask import Flask
from msgspec.structs import replace

from moored.adopt.session_redis import lent_redis
from moored.errors import ConfigurationError
from moored.flask.config import OF_FLASK_SESSION, Settings, Source
from moored.flask.extension import Moored
from moored.spelling import did_you_mean
from moored.state import State
from moored.url import parse

ADOPTED = ("redis", "sqlalchemy", "filesystem", "cachelib")
FILES = ("filesystem", "cachelib")
INSTEAD = {
    "sqlalchemy": "Redis (MOORED_URL = 'redis://host:6379/0'), or a SQLite file (MOORED_URL ="
    " 'sqlite:///sessions.db') where one host serves",
    "memcached": "Redis: MOORED_URL = 'redis://host:6379/0'",
    "mongodb": "Redis: MOORED_URL = 'redis://host:6379/0'",
    "dynamodb": "Redis: MOORED_URL = 'redis://host:6379/0'",
}


class Session(Moored):
    """``Session(app)`` as Flask-Session's users write it, or ``Session()`` and ``init_app(app)``.

    State is kept where ``SESSION_TYPE = "redis"`` and ``SESSION_REDIS`` say (the client is not
    touched: its connection settings are used, its retries are not), or at ``MOORED_URL``,
    which wins; for sessions in files, by default in a SQLite file.  ``SESSION_KEY_PREFIX``
    and ``SESSION_PERMANENT`` are understood.  Live sessions of Flask-Session on Redis, in
    SQLAlchemy or in files are taken over, unless ``MOORED_ADOPT`` is an empty list.  Raises
    ConfigurationError for other types, naming what to use.
    """

    _also_read = OF_FLASK_SESSION

    def init_app(self, app: Flask) -> None:
        """Let the app's sessions be kept by Moored, as Flask-Session's settings say."""
        settings = self._settings(app)
        permanent = bool(app.config.get("SESSION_PERMANENT", True))
        kind = str(app.config.get("SESSION_TYPE") or "").lower()
        if kind in ("", "null"):
            kind = "redis" if app.config.get("SESSION_REDIS") is not None else ""
        if settings.adopt is None and kind in ADOPTED and settings.session_store == "engine":
            settings = replace(settings, adopt=("flask-session",))
        if kind in FILES and "flask-session" in (settings.adopt or ()):
            _check_pickles(app, settings)
        url, source = self._place(app, settings)
        if source is not Source.DEFAULT or not kind or kind in FILES:
            self._set_up(app, settings, State(url), source, permanent=permanent)
        elif kind == "redis":
            state = _redis_state(app.config)
            self._set_up(app, settings, state, Source.FLASK_SESSION, permanent=permanent)
        else:
            raise _nowhere(kind)


def _nowhere(kind: str) -> ConfigurationError:
    if kind in INSTEAD:
        return ConfigurationError(
            f"with SESSION_TYPE = {kind!r}, Moored must be told where to keep sessions. Use {INSTEAD[kind]}."
        )
    hint = did_you_mean(kind, (*ADOPTED, *INSTEAD))
    hint = hint or " Leave it out for a SQLite file, or set MOORED_URL."
    return ConfigurationError(f"there is no SESSION_TYPE = {kind!r}.{hint}")


def _check_pickles(app: Flask, settings: Settings) -> None:
    """Flask-Session's files are pickles, which are not read unless somebody says so."""
    from moored.adopt.flask_session import flask_session

    if not settings.adopt_pickle and not flask_session(app, allow_pickle=False).is_empty():
        raise ConfigurationError(
            "there are sessions of Flask-Session in files, and those are pickles. To take them over, set"
            " MOORED_ADOPT_PICKLE = True: they are read by an unpickler that makes plain values and runs"
            " nothing. To let everybody sign in again instead, set MOORED_ADOPT = []."
        )


def _redis_state(config: dict[str, Any]) -> State:
    """State on the Redis that Flask-Session would use: the lent client's, or localhost."""
    prefix = config.get("SESSION_KEY_PREFIX", "session:")
    client = lent_redis(config)
    if client is None:
        return State("redis://localhost:6379/0", prefix=prefix)
    there = client.connection_pool.connection_kwargs
    if path := there.get("path"):
        place = f"unix://{path}"
    else:
        place = f"redis://{there.get('host', 'localhost')}:{there.get('port', 6379)}/{there.get('db', 0)}"
    engine, url = parse(place, {"prefix": prefix})
    return State.over(engine.from_client(client, prefix=prefix), url)
