"""``Session``: in place of Flask-Session's, with its settings."""

from __future__ import annotations

from typing import Any

from flask import Flask

from moored.errors import ConfigurationError
from moored.flask.config import read
from moored.flask.extension import Moored
from moored.state import State
from moored.url import parse

INSTEAD = {
    "sqlalchemy": "a SQLite file (MOORED_URL = 'sqlite:///sessions.db') or Redis",
    "filesystem": "a SQLite file: MOORED_URL = 'sqlite:///sessions.db'",
    "cachelib": "a SQLite file: MOORED_URL = 'sqlite:///sessions.db'",
    "memcached": "Redis: MOORED_URL = 'redis://host:6379/0'",
    "mongodb": "Redis: MOORED_URL = 'redis://host:6379/0'",
    "dynamodb": "Redis: MOORED_URL = 'redis://host:6379/0'",
}


class Session(Moored):
    """``Session(app)`` as Flask-Session's users write it, or ``Session()`` and ``init_app(app)``.

    Understands ``SESSION_TYPE = "redis"`` with ``SESSION_REDIS`` (the client is not touched:
    its connection settings are used, its retries are not), ``SESSION_KEY_PREFIX`` and
    ``SESSION_PERMANENT``.  ``SESSION_USE_SIGNER``, ``SESSION_ID_LENGTH`` and
    ``SESSION_SERIALIZATION_FORMAT`` need nothing done: every cookie carries a keyed check.
    ``MOORED_URL``, in the settings or the environment, wins.  Raises ConfigurationError for
    other types, naming what to use.
    """

    def init_app(self, app: Flask) -> None:
        """Let the app's sessions be kept by Moored, as Flask-Session's settings say."""
        found = read(app)
        permanent = bool(app.config.get("SESSION_PERMANENT", True))
        kind = str(app.config.get("SESSION_TYPE") or "").lower()
        if not kind and app.config.get("SESSION_REDIS") is not None:
            kind = "redis"
        if self._chosen(found) or kind in ("", "null"):
            super().init_app(app)
            app.session_interface.session_class.permanent_by_default = permanent  # type: ignore[attr-defined]
            return
        if kind != "redis":
            instead = INSTEAD.get(kind, "redis, or leave SESSION_TYPE out for a SQLite file")
            raise ConfigurationError(f"SESSION_TYPE = {kind!r} is not supported here yet. Use {instead}.")
        self._set_up(app, _redis_state(app.config), found, permanent)


def _redis_state(config: dict[str, Any]) -> State:
    """State on the Redis that Flask-Session would use: the lent client's, or localhost."""
    prefix = config.get("SESSION_KEY_PREFIX", "session:")
    client = config.get("SESSION_REDIS")
    if client is None:
        return State("redis://localhost:6379/0", prefix=prefix)
    import redis

    if not isinstance(client, redis.Redis):
        raise ConfigurationError(
            f"SESSION_REDIS must be a redis.Redis client, not {type(client).__name__}. For a URL, use"
            " MOORED_URL."
        )
    there = client.connection_pool.connection_kwargs
    if path := there.get("path"):
        place = f"unix://{path}"
    else:
        place = f"redis://{there.get('host', 'localhost')}:{there.get('port', 6379)}/{there.get('db', 0)}"
    engine, url = parse(place, {"prefix": prefix})
    return State.over(engine.from_client(client, prefix=prefix), url)
