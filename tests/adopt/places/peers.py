"""Applications whose sessions Flask-Session keeps, each with the place that reads them."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import flask
import flask_session
import redis
from cachelib.file import FileSystemCache
from flask_sqlalchemy import SQLAlchemy
from tests.adopt.databases import DATABASES, DatabaseUrl

from moored.adopt.flask_session import flask_session as place_of
from moored.adopt.place import Place
from moored.adopt.redis_rows import RedisRows

SECRET = "a secret of these tests"
KINDS = ("redis", "redis json", "sqlite", "filesystem", "cachelib", "cachelib md5")


class Peer:
    """One application.  ``place`` is made from its settings, ``visit`` is a request to it."""

    def __init__(
        self, kind: str, folder: Path, redis_port: int, database_url: DatabaseUrl, **config: Any
    ) -> None:
        self._ends = ExitStack()
        self.kind = kind
        self.app = flask.Flask("peer", instance_path=str(folder / "instance"))
        self.prefix = f"{secrets.token_hex(4)}:"
        self.app.config.update(SECRET_KEY=SECRET, SESSION_KEY_PREFIX=self.prefix, **config)
        self.app.config.update(self._settings(kind, folder, redis_port, database_url))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Flask-Session's about its own settings
            flask_session.Session(self.app)
        self.app.add_url_rule("/", view_func=self._view)
        self.client = self.app.test_client()
        self._do: Callable[[Any], object] = dict
        self.place = self.new_place()

    def _settings(
        self, kind: str, folder: Path, redis_port: int, database_url: DatabaseUrl
    ) -> dict[str, Any]:
        if kind.startswith("redis"):
            client = self._ends.enter_context(redis.Redis(port=redis_port, db=5))
            form = "json" if kind.endswith("json") else "msgpack"
            return {
                "SESSION_TYPE": "redis",
                "SESSION_REDIS": client,
                "SESSION_SERIALIZATION_FORMAT": form,
            }
        if kind in DATABASES:
            self.app.config["SQLALCHEMY_DATABASE_URI"] = database_url(kind)
            database = SQLAlchemy(self.app)
            self._ends.callback(self._dispose)
            return {"SESSION_TYPE": "sqlalchemy", "SESSION_SQLALCHEMY": database}
        if kind == "filesystem":
            return {"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": str(folder / "files")}
        import hashlib

        digest = hashlib.md5 if kind.endswith("md5") else hashlib.sha256
        cache = FileSystemCache(str(folder / "files"), hash_method=digest)
        return {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}

    def _dispose(self) -> None:
        self.engine.dispose()

    @property
    def engine(self) -> Any:
        with self.app.app_context():
            return self.app.config["SESSION_SQLALCHEMY"].engine

    def new_place(self, allow_pickle: bool = True) -> Place:
        place = place_of(self.app, allow_pickle=allow_pickle)
        if isinstance(place, RedisRows):
            self._ends.callback(place.close)
        return place

    def _view(self) -> str:
        self.seen = self._do(flask.session)
        return ""

    def visit(self, do: Callable[[Any], object] = dict) -> Any:
        """A request; what ``do`` answers of the session, by default all that is in it."""
        self._do = do
        self.response = self.client.get("/")
        assert self.response.status_code == 200
        return self.seen

    def store(self, **values: Any) -> str:
        """A request that stores values; the id of the row."""
        self.visit(lambda session: session.update(values))
        return self.row()

    @property
    def cookie(self) -> str:
        cookie = self.client.get_cookie("session")
        assert cookie is not None
        return cookie.value

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.set_cookie("session", value)

    def row(self) -> str:
        """The id of the row that the client's cookie names."""
        row = self.place.row_id(self.cookie)
        assert row is not None
        return row

    def another(self) -> None:
        """Another browser."""
        self.client = self.app.test_client()

    def close(self) -> None:
        self._ends.close()
