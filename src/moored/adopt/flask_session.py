"""Where Flask-Session keeps an app's sessions, by the settings that it reads itself (SESSION_...)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from flask import Flask

from moored.adopt.formats import Msgspec
from moored.adopt.place import Place
from moored.adopt.session_redis import lent_redis
from moored.adopt.sids import Sids
from moored.errors import ConfigurationError

SUPPORTED = "redis, sqlalchemy, filesystem, and cachelib with a FileSystemCache"


def flask_session(app: Flask, *, allow_pickle: bool) -> Place:
    """The place that ``SESSION_TYPE`` and its companions name, with Flask-Session 0.8's defaults.

    Opens nothing.  Raises ConfigurationError for what cannot be adopted from, and for settings
    that cannot be.
    """
    config: dict[str, Any] = app.config
    kind = str(config.get("SESSION_TYPE") or "").lower()
    if kind in ("", "null") and config.get("SESSION_REDIS") is not None:
        kind = "redis"
    length = config.get("SESSION_ID_LENGTH", 32)
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ConfigurationError(f"SESSION_ID_LENGTH must be a whole number above 0, not {length!r}.")
    secret = (lambda: app.secret_key) if config.get("SESSION_USE_SIGNER", False) else None
    sids = Sids(config.get("SESSION_KEY_PREFIX", "session:"), length, secret)
    match kind:
        case "redis":
            return _redis(config, sids, _format(config, allow_pickle))
        case "sqlalchemy":
            return _sqlalchemy(app, config, sids, _format(config, allow_pickle))
        case "filesystem":
            return _folder(config, sids, allow_pickle)
        case "cachelib":
            return _cachelib(config, sids, allow_pickle)
    raise ConfigurationError(
        f"sessions of Flask-Session cannot be adopted from SESSION_TYPE = {kind!r}, only from {SUPPORTED}."
    )


def _format(config: dict[str, Any], allow_pickle: bool) -> Msgspec:
    name: Literal["msgpack", "json"] = config.get("SESSION_SERIALIZATION_FORMAT", "msgpack")
    if name not in ("msgpack", "json"):
        raise ConfigurationError(f"SESSION_SERIALIZATION_FORMAT must be 'msgpack' or 'json', not {name!r}.")
    return Msgspec(name, allow_pickle=allow_pickle)


def _redis(config: dict[str, Any], sids: Sids, form: Msgspec) -> Place:
    import redis

    from moored.adopt.redis_rows import RedisRows

    client = lent_redis(config)
    if client is None:
        client = redis.Redis()  # as Flask-Session does; it connects when it is used, and here it is not
    return RedisRows(client, sids, form)


def _sqlalchemy(app: Flask, config: dict[str, Any], sids: Sids, form: Msgspec) -> Place:
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy.engine import Engine

    from moored.adopt.sql_rows import SqlRows

    given, bind = config.get("SESSION_SQLALCHEMY"), config.get("SESSION_SQLALCHEMY_BIND_KEY")
    if not (given is None or isinstance(given, SQLAlchemy)):
        raise ConfigurationError(
            f"SESSION_SQLALCHEMY must be Flask-SQLAlchemy's SQLAlchemy, not {type(given).__name__}."
        )

    @cache  # a context that is left runs the app's teardown functions: once is enough
    def engine() -> Engine:
        database = given or app.extensions.get("sqlalchemy")
        if database is None:
            raise ConfigurationError(
                "there is no database to adopt sessions from: set SESSION_SQLALCHEMY to the SQLAlchemy() of"
                " the app."
            )
        with app.app_context():
            try:
                found: Engine = database.engines[bind]
                return found
            except (KeyError, RuntimeError):  # RuntimeError: init_app was not called
                pass
        raise ConfigurationError(
            "the database of SESSION_SQLALCHEMY has no engine for this app: call its init_app(app), and name"
            " one of SQLALCHEMY_BINDS in SESSION_SQLALCHEMY_BIND_KEY, or none."
        )

    return SqlRows(
        engine,
        config.get("SESSION_SQLALCHEMY_TABLE", "sessions"),
        sids,
        form,
        schema=config.get("SESSION_SQLALCHEMY_SCHEMA"),
        sequence=config.get("SESSION_SQLALCHEMY_SEQUENCE"),
    )


def _folder(config: dict[str, Any], sids: Sids, allow_pickle: bool) -> Place:
    from moored.adopt.file_rows import FileRows

    folder = Path(config.get("SESSION_FILE_DIR", "flask_session")).absolute()
    mode = config.get("SESSION_FILE_MODE", 0o600)
    return FileRows(folder, sids, digest=None, mode=mode, allow_pickle=allow_pickle)


def _cachelib(config: dict[str, Any], sids: Sids, allow_pickle: bool) -> Place:
    from moored.adopt.file_rows import FileRows

    lent: Any = config.get("SESSION_CACHELIB")
    if lent is None:  # as Flask-Session does
        folder = Path("flask_session").absolute()
        return FileRows(folder, sids, digest=None, mode=0o600, allow_pickle=allow_pickle)
    from cachelib.file import FileSystemCache
    from cachelib.serializers import FileSystemSerializer

    if not isinstance(lent, FileSystemCache) or type(lent.serializer) is not FileSystemSerializer:
        raise ConfigurationError(
            f"sessions cannot be adopted from SESSION_CACHELIB, a {type(lent).__name__}: only from a"
            " FileSystemCache with cachelib's own serializer."
        )
    kept: Any = lent  # there is no public way to ask where and how
    return FileRows(
        Path(kept._path).absolute(),
        sids,
        digest=kept._hash_method,
        mode=kept._mode,
        allow_pickle=allow_pickle,
    )
