"""The sides: ways to keep the shop's sessions.  Each is what its library's documentation says to write."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from flask import Flask
from msgspec import Struct


class Place(Struct, frozen=True):
    """Where a side may keep state: a folder of its own, and a Redis, if there is one.

    ``redis`` is the URL as it was given; every key on it begins with ``prefix``.
    """

    folder: str
    redis: str = ""
    prefix: str = "moored-prove:"


Install = Callable[[Flask, Place], None]


def flask_cookie(app: Flask, place: Place) -> None:
    """Flask's own signed cookie: nothing to install."""


def flask_session_in_files(app: Flask, place: Place) -> None:
    """Flask-Session, in files."""
    from cachelib.file import FileSystemCache
    from flask_session import Session

    app.config["SESSION_TYPE"] = "cachelib"
    app.config["SESSION_CACHELIB"] = FileSystemCache(cache_dir=place.folder)
    Session(app)


def flask_session_on_redis(app: Flask, place: Place) -> None:
    """Flask-Session, on Redis."""
    from flask_session import Session
    from redis import Redis

    app.config["SESSION_TYPE"] = "redis"
    app.config["SESSION_REDIS"] = Redis.from_url(place.redis)
    app.config["SESSION_KEY_PREFIX"] = f"{place.prefix}session:"
    Session(app)


def moored_on_sqlite(app: Flask, place: Place) -> None:
    """Moored, on SQLite."""
    from moored.flask import Moored

    Moored(app, f"sqlite:///{place.folder}/moored.db")


def moored_on_redis(app: Flask, place: Place) -> None:
    """Moored, on Redis."""
    from moored.flask import Moored

    sign = "&" if "?" in place.redis else "?"
    Moored(app, f"{place.redis}{sign}prefix={place.prefix}")


class Side(Struct, frozen=True):
    """One way to keep sessions; ``ours`` marks those that must not lose anything."""

    id: str
    library: str
    store: str
    install: Install
    ours: bool = False

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.library} {self.store}"

    @property
    def where(self) -> str:
        """The name by which a worker process finds ``install``."""
        return f"{self.install.__module__}:{self.install.__name__}"

    @property
    def source(self) -> str:
        """The lines that differ from side to side."""
        return inspect.getsource(self.install)


def sides(*, redis: bool) -> tuple[Side, ...]:
    """All sides that can be run with a Redis, or without one."""
    cookie = Side("flask-cookie", "Flask", "signed cookie", flask_cookie)
    sqlite = Side("moored-sqlite", "Moored", "on SQLite", moored_on_sqlite, ours=True)
    if not redis:
        files = Side("flask-session-files", "Flask-Session", "in files", flask_session_in_files)
        return cookie, files, sqlite
    return (
        cookie,
        Side("flask-session-redis", "Flask-Session", "on Redis", flask_session_on_redis),
        sqlite,
        Side("moored-redis", "Moored", "on Redis", moored_on_redis, ours=True),
    )


def program(some: Iterable[Side]) -> str:
    """The program that is run: the shop, and of each side the lines that differ."""
    from pathlib import Path

    shop = Path(__file__).with_name("shop.py").read_text()
    lines = ["# --- The shop, the same on every side " + "-" * 50, "", shop, ""]
    for side in some:
        lines += [f"# --- {side.title} " + "-" * (83 - len(side.title)), "", side.source, ""]
    return "\n".join(lines)
