"""One small Flask application, its session kept in every way that is compared.

``/untouched`` has nothing to do with the session, ``/read`` looks at who is signed in and at
the cart, ``/change`` reads the cart, changes one number in it and writes it back.  ``/start``
signs the user in with a session of about 1 KB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from uuid import uuid4

import flask
import msgspec
from flask import Flask
from flask.sessions import SessionInterface, SessionMixin
from flask.wrappers import Request, Response
from werkzeug.test import EnvironBuilder

from benchmarks.measure import Contender, micros_each

ACTS = ("untouched", "read", "change")
SECRET = "benchmark-benchmark-benchmark-benchmark"
SESSION: dict[str, Any] = {
    "user_id": "5b7f2a0c-94d1-4e0b-8a57-6f3d2c1b0a99",
    "name": "Augusta Ada King",
    "csrf_token": "3f0c1d8a6b5e4f72a9c04d1be8576f32c1aa90d4",
    "locale": "en-GB",
    "theme": "dark",
    "cart": {f"sku-{number:05}": number % 7 + 1 for number in range(1001, 1013)},
    "viewed": [f"/shop/books/isbn-97802625{number}" for number in range(10870, 10882)],
    "address": {
        "street": "12 St James's Square",
        "city": "London",
        "postcode": "SW1Y 4JH",
        "country": "GB",
        "note": "Leave with the porter if nobody is in.",
    },
    "preferences": {"newsletter": False, "currency": "GBP", "page_size": 48, "layout": "grid"},
    "searches": [
        "sketch of the analytical engine",
        "bernoulli numbers by machinery",
        "jacquard loom cards, 24 holes, used",
        "notes on menabrea, first printing",
        "difference engine no. 2 poster",
    ],
}
SESSION_BYTES = len(msgspec.msgpack.encode(SESSION))


def new_app(session: MutableMapping[str, Any] | None = None, content: dict[str, Any] = SESSION) -> Flask:
    """The application; ``session``, if given, takes the place of Flask's."""
    app = Flask("benchmark")
    app.config["SECRET_KEY"] = SECRET
    mine: Any = flask.session if session is None else session

    @app.get("/untouched")
    def untouched() -> str:
        return "ok"

    @app.get("/read")
    def read() -> str:
        return "ok" if mine["user_id"] and mine["cart"] else "empty"

    @app.get("/change")
    def change() -> str:
        cart = mine["cart"]
        cart["sku-01001"] = (cart["sku-01001"] + 1) % 100
        mine["cart"] = cart
        return "ok"

    @app.get("/start")
    def start() -> str:
        mine.update({**content, "user_id": str(uuid4())})
        return "ok"

    return app


class Client:
    """Browsers of some users, who take turns, in this process and without a server between them.

    ``cookie``: of a single user who is signed in already; without it all sign in now.
    """

    def __init__(self, app: Flask, users: int = 1, cookie: str = "") -> None:
        self.app = app
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self._cookies = [cookie] * users
        self._turn = 0
        self._environs: dict[str, dict[str, Any]] = {}
        if not cookie:
            for _ in range(users):
                self.call("/start")

    @property
    def cookie(self) -> str:
        """The cookie of the user whose turn it is."""
        return self._cookies[self._turn]

    def call(self, path: str) -> None:
        """One request; raises RuntimeError unless it is answered with 200."""
        environ = self._environs.get(path)
        if environ is None:
            environ = self._environs[path] = EnvironBuilder(path=path).get_environ()
        environ = {**environ, "wsgi.input": BytesIO(), "HTTP_COOKIE": self.cookie}
        response = self.app.wsgi_app(environ, self._start)
        self.body = b"".join(response)
        if hasattr(response, "close"):
            response.close()
        self._turn = (self._turn + 1) % len(self._cookies)

    def _start(self, status: str, headers: list[tuple[str, str]], info: Any = None) -> Any:
        if status != "200 OK":
            raise RuntimeError(f"the application answered {status}")
        self.headers = headers
        for name, value in headers:
            if name == "Set-Cookie":
                self._cookies[self._turn] = value.partition(";")[0]

    def contender(self, path: str, times: int) -> Contender:
        """A contender whose figure is the microseconds of one such request."""
        return micros_each(lambda: self.call(path), times)


# --- Without a session, and the least that can be done -------------------------------------


class NoSessions(SessionInterface):
    """Keeps nothing: what a request costs without sessions."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        return self.make_null_session(app)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        pass


class LazySession(SessionMixin):
    """All values in one packed value, read at the first touch, written if something was set."""

    modified = False

    def __init__(self, sid: str, load: Callable[[str], bytes | None]) -> None:
        self.sid, self._load = sid, load
        self._values: dict[str, Any] | None = None

    @property
    def values_now(self) -> dict[str, Any]:
        if self._values is None:
            data = self._load(self.sid) if self.sid else None
            self._values = msgspec.msgpack.decode(data) if data else {}
        return self._values

    def touched(self) -> bool:
        return self._values is not None

    def __getitem__(self, name: str) -> Any:
        return self.values_now[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.values_now[name] = value
        self.modified = True

    def __delitem__(self, name: str) -> None:
        del self.values_now[name]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_now)

    def __len__(self) -> int:
        return len(self.values_now)


class LazySessions(SessionInterface):
    """The limit: GET at the first touch, SET after a change, and no promise whatsoever."""

    def __init__(self, load: Callable[[str], bytes | None], store: Callable[[str, bytes], object]) -> None:
        self._load, self._store = load, store

    def open_session(self, app: Flask, request: Request) -> LazySession:
        return LazySession(request.cookies.get("session", ""), self._load)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        assert isinstance(session, LazySession)
        if not session.touched():
            return
        response.vary.add("Cookie")
        if session.modified:
            sid = session.sid or token_urlsafe()
            self._store(sid, msgspec.msgpack.encode(session.values_now))
            if not session.sid:
                response.set_cookie("session", sid, httponly=True, samesite="Lax")


def bare() -> Flask:
    app = new_app(session=deepcopy(SESSION))
    app.session_interface = NoSessions()
    return app


def by_hand_on_redis(url: str, content: dict[str, Any] = SESSION) -> Flask:
    from redis import Redis

    client = Redis.from_url(url)
    app = new_app(content=content)
    app.session_interface = LazySessions(
        lambda sid: client.get(f"hand:{sid}"),  # type: ignore[arg-type, return-value]
        lambda sid, data: client.set(f"hand:{sid}", data, ex=2_678_400),
    )
    return app


def by_hand_on_sqlite(path: Path, synchronous: str) -> Flask:
    import sqlite3

    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={synchronous}")
    db.execute("CREATE TABLE s (id TEXT PRIMARY KEY, data BLOB)")

    def load(sid: str) -> bytes | None:
        row = db.execute("SELECT data FROM s WHERE id = ?", (sid,)).fetchone()
        return row[0] if row else None

    app = new_app()
    app.session_interface = LazySessions(
        load, lambda sid, data: db.execute("INSERT OR REPLACE INTO s VALUES (?, ?)", (sid, data))
    )
    return app


# --- Flask's cookie and Flask-Session ----------------------------------------------------------


def flask_cookie() -> Flask:
    return new_app()


def flask_session_redis(url: str, *, only_changes: bool = False, content: dict[str, Any] = SESSION) -> Flask:
    """``only_changes``: SESSION_REFRESH_EACH_REQUEST off, so that it writes only what was changed."""
    from flask_session import Session
    from redis import Redis

    app = new_app(content=content)
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(url))
    app.config["SESSION_REFRESH_EACH_REQUEST"] = not only_changes
    Session(app)
    return app


def flask_session_files(folder: Path) -> Flask:
    from cachelib import FileSystemCache
    from flask_session import Session

    app = new_app()
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(folder)))
    Session(app)
    return app


def flask_session_sqlalchemy(path: Path, synchronous: str) -> Flask:
    """On SQLite, in the same modes as Moored: the write-ahead log, and this ``synchronous``."""
    from flask_session import Session
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy import event

    app = new_app()
    app.config.update(SESSION_TYPE="sqlalchemy", SQLALCHEMY_DATABASE_URI=f"sqlite:///{path}")
    database = app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)

    def connected(connection: Any, record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")

    with app.app_context():
        event.listen(database.engine, "connect", connected)
    Session(app)
    return app


# --- Moored ----------------------------------------------------------------------------------


def moored(url: str, content: dict[str, Any] = SESSION) -> Flask:
    from moored.flask import Moored

    app = new_app(content=content)
    app.config["MOORED_URL"] = url
    Moored(app)
    return app


def sqlite_url(path: Path, synchronous: str) -> str:
    return f"sqlite:///{path}?synchronous={synchronous}"
