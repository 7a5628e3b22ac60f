"""Stores that are away, slow, damaged or not as configured; and what of it is told."""

from __future__ import annotations

import fcntl
import logging
import re
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import redis
from flask_sqlalchemy import SQLAlchemy
from tests.adopt.databases import DATABASES
from tests.adopt.places.peers import SECRET, Peer

from moored import ConfigurationError
from moored.adopt.file_rows import LOCK, FileRows
from moored.adopt.flask_session import flask_session
from moored.adopt.place import Place
from moored.errors import MooredError, OutcomeUnknown, Unavailable
from moored.testing.servers import RedisServer

VALUES = {"user_id": "verysecret"}  # not where they are used: tracebacks show those lines
DAY = 24 * 60 * 60 * 1000
MakePeer = Callable[..., Peer]


def uses(place: Place, row: str) -> list[Callable[[], object]]:
    return [
        lambda: place.read(row),
        lambda: place.replace(row, b"before", VALUES, DAY),
        lambda: place.replace(row, None, VALUES, DAY),
        lambda: place.mark(row, b"before", DAY),
        lambda: [*place.ids()],
        place.is_empty,
    ]


def raised(use: Callable[[], object], kind: type[MooredError], *hidden: str) -> str:
    """The message; nothing hidden is in it, nor in what a log would show with it."""
    with pytest.raises(kind) as caught:
        use()
    shown = "".join(traceback.format_exception(caught.value))
    for secret in (VALUES["user_id"], *hidden):
        assert secret not in shown
    return str(caught.value)


# --- Redis ----------------------------------------------------------------------------------------


def redis_place(port: int, **more: Any) -> Place:
    app = flask.Flask("app")
    app.config.update(SECRET_KEY=SECRET, SESSION_TYPE="redis", SESSION_REDIS=redis.Redis(port=port, **more))
    return flask_session(app, allow_pickle=False)


def test_a_redis_that_is_away_changes_nothing_and_is_named() -> None:
    with RedisServer() as server:
        place = redis_place(server.port, password=None)
        row = place.new_id()
        assert place.is_empty()
        server.stop()
        first, *others = uses(place, row)
        for use in (first, *others):  # the first one finds its connection closed
            message = raised(use, Unavailable, row)
            assert f"Redis at localhost:{server.port}" in message
            assert "cannot be reached" in message or use is first
        server.start()
        assert place.is_empty()
        close(place)


def test_a_redis_that_hangs_leaves_changes_unknown() -> None:
    with RedisServer() as server:
        place = redis_place(server.port)
        row = place.new_id()
        assert place.replace(row, None, {"n": 1}, DAY)
        server.pause()
        assert "Read the session again" in raised(lambda: place.mark(row, b"x", DAY), OutcomeUnknown, row)
        server.resume()
        found = place.read(row)
        assert found is not None
        assert found.values == {"n": 1}
        close(place)


def test_a_redis_that_refuses_says_so() -> None:
    with RedisServer() as server:
        place = redis_place(server.port)
        row = place.new_id()
        assert place.replace(row, None, {"n": 1}, DAY)
        server.cli("CONFIG", "SET", "maxmemory", 1)
        message = raised(lambda: place.replace(place.new_id(), None, VALUES, DAY), Unavailable)
        assert "refused a command (OOM); nothing was changed" in message
        found = place.read(row)
        assert found is not None
        assert found.values == {"n": 1}
        server.cli("ACL", "SETUSER", "default", "-get")
        assert "refused a command (NOPERM)" in raised(lambda: place.read(row), Unavailable, row)
        close(place)


def test_a_wrong_password_is_a_matter_of_configuration() -> None:
    with RedisServer(password="right") as server:
        place = redis_place(server.port, password=(wrong := "not right"))
        for use in uses(place, place.new_id()):
            assert "SESSION_REDIS" in raised(use, ConfigurationError, wrong)


def test_the_lent_client_is_left_alone(redis_server: RedisServer) -> None:
    with redis.Redis(port=redis_server.port, decode_responses=True, health_check_interval=1) as client:
        app = flask.Flask("app")
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_KEY_PREFIX="lent:")
        before = dict(client.connection_pool.connection_kwargs)
        place = flask_session(app, allow_pickle=False)
        row = place.new_id()
        assert place.replace(row, None, {"bytes": b"\xff"}, DAY)
        found = place.read(row)
        assert found is not None
        assert found.values == {"bytes": b"\xff"}
        assert client.connection_pool.connection_kwargs == before
        assert client.ping()
        close(place)


def close(place: Any) -> None:
    place.close()


# --- SQL ------------------------------------------------------------------------------------------


def test_a_locked_database_changes_nothing(make_peer: MakePeer, tmp_path: Path) -> None:
    peer = make_peer("sqlite", SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 0.01}})
    row = peer.store(n=1)
    other = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for use in uses(peer.place, row):
        message = raised(use, Unavailable, row)
        assert "(OperationalError); nothing was changed" in message
    other.close()
    assert peer.visit()["n"] == 1


def test_a_change_that_is_not_confirmed_is_unknown(make_peer: MakePeer, tmp_path: Path) -> None:
    """A reader keeps SQLite from committing: only then does it refuse."""
    peer = make_peer("sqlite", SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 0.01}})
    row = peer.store(n=1)
    found = peer.place.read(row)
    assert found is not None
    reader = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM sessions").fetchone()
    raised(lambda: peer.place.replace(row, found.raw, VALUES, DAY), OutcomeUnknown, row)
    reader.close()
    assert peer.visit()["n"] == 1


@pytest.mark.parametrize("kind", DATABASES)
def test_where_there_is_no_table_there_are_no_sessions(make_peer: MakePeer, kind: str) -> None:
    peer = make_peer(kind)
    row = peer.store(n=1)
    with peer.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE sessions")
    assert peer.place.read(row) is None
    assert [*peer.place.ids()] == []
    assert peer.place.is_empty()
    for use in uses(peer.place, row)[1:4]:
        assert "there is no such table; nothing was changed" in raised(use, Unavailable, row)


def test_tables_schemas_and_binds_are_those_of_the_settings(make_peer: MakePeer, tmp_path: Path) -> None:
    peer = make_peer(
        "sqlite",
        SQLALCHEMY_BINDS={"people": f"sqlite:///{tmp_path / 'people.db'}"},
        SESSION_SQLALCHEMY_TABLE="visits",
    )
    row = peer.store(n=1)
    found = peer.place.read(row)
    assert found is not None
    with peer.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM visits").scalar() == 1
    # Flask-Session 0.8 cannot use a bind with Flask-SQLAlchemy 3.1, but earlier ones could.
    peer.app.config["SESSION_SQLALCHEMY_BIND_KEY"] = "people"
    place = peer.new_place()
    assert place.is_empty()
    with peer.app.app_context():
        database = peer.app.config["SESSION_SQLALCHEMY"]
        assert database.engines["people"].url.database.endswith("people.db")
        database.engines["people"].dispose()
    peer.app.config["SESSION_SQLALCHEMY_BIND_KEY"] = "nobody"
    assert "SESSION_SQLALCHEMY_BIND_KEY" in raised(peer.new_place().is_empty, ConfigurationError)


@pytest.mark.parametrize("kind", DATABASES)
def test_the_application_s_own_transaction_is_left_alone(make_peer: MakePeer, kind: str) -> None:
    peer = make_peer(kind)
    row = peer.store(n=1)
    database = peer.app.config["SESSION_SQLALCHEMY"]
    with peer.app.app_context():
        database.session.connection()
        found = peer.place.read(row)
        assert found is not None
        assert peer.place.replace(row, found.raw, {"n": 2}, DAY)
        assert database.session().in_transaction()
        database.session.rollback()
    assert peer.visit() == {"n": 2}


# --- Files ----------------------------------------------------------------------------------------


@pytest.fixture
def files(make_peer: MakePeer) -> Peer:
    return make_peer("cachelib")


def folder(peer: Peer) -> Path:
    assert isinstance(peer.place, FileRows)
    return peer.place._folder


def test_a_folder_that_is_none_is_told(files: Peer) -> None:
    row = files.store(n=1)
    there = folder(files)
    moved = there.rename(there.with_name("elsewhere"))
    assert files.place.read(row) is None
    assert files.place.is_empty()
    there.write_text("a file")
    for use in uses(files.place, row):
        message = raised(use, Unavailable, row)
        assert re.search(r"cannot be used \((Not a directory|File exists)\); nothing was changed", message)
    there.unlink()
    moved.rename(there)


def test_a_lock_that_somebody_keeps_is_waited_for_and_told(files: Peer) -> None:
    row = files.store(n=1)
    with (folder(files) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = raised(lambda: files.place.replace(row, None, {"n": 1}, DAY), Unavailable, row)
        assert "another worker has it locked" in message
        assert files.place.read(row) is not None


def test_cachelib_counts_right_and_leaves_our_files_alone(files: Peer) -> None:
    cache = files.app.config["SESSION_CACHELIB"]
    rows = []
    for number in range(5):
        files.another()
        rows.append(files.store(n=number))
    assert cache._file_count == 5
    made = files.place.new_id()
    assert files.place.replace(made, None, {"n": 6}, DAY)
    assert cache._file_count == 6
    found = files.place.read(made)
    assert found is not None
    assert files.place.replace(made, found.raw, {"n": 7}, DAY)
    assert files.place.mark(rows[0], read_raw(files.place, rows[0]), DAY)
    assert cache._file_count == 6
    assert files.place.replace(rows[1], read_raw(files.place, rows[1]), None, 1)
    assert cache._file_count == 5
    assert len(list(cache._list_dir())) == 5
    assert {path.stat().st_mode & 0o777 for path in folder(files).iterdir()} == {0o600}
    cache.clear()
    assert (folder(files) / LOCK).exists()
    assert files.place.is_empty()


def read_raw(place: Place, row: str) -> bytes:
    found = place.read(row)
    assert found is not None
    return found.raw


def test_cachelib_logs_nothing_about_our_files(files: Peer, caplog: pytest.LogCaptureFixture) -> None:
    files.place.replace(files.place.new_id(), None, {"n": 1}, DAY)
    cache = files.app.config["SESSION_CACHELIB"]
    cache._threshold = 1
    with caplog.at_level(logging.WARNING):
        for number in range(4):
            files.another()
            files.store(n=number)
    assert caplog.records == []
    assert len(list(cache._list_dir())) <= 2


@pytest.mark.parametrize("written_by", ["md5", "sha256"])
def test_the_digest_is_that_of_the_cachelib_that_writes(
    make_peer: MakePeer, tmp_path: Path, written_by: str
) -> None:
    peer = make_peer("cachelib md5" if written_by == "md5" else "cachelib")
    app = flask.Flask("app")
    app.config.update(SESSION_TYPE="filesystem", SESSION_FILE_DIR=str(tmp_path / "files"))
    app.config["SESSION_KEY_PREFIX"] = peer.prefix
    place = flask_session(app, allow_pickle=True)
    row = place.new_id()
    assert len(row) == (32 if written_by == "md5" else 64)
    assert place.replace(row, None, {"user_id": 7}, DAY)
    peer.cookie = place.cookie_of(row)
    assert peer.visit() == {"user_id": 7}
    assert place.row_id(peer.cookie) == row


# --- Settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "SESSION_TYPE = ''"),
        ({"SESSION_TYPE": "memcached"}, "SESSION_TYPE = 'memcached'"),
        ({"SESSION_TYPE": "redis", "SESSION_REDIS": "redis://"}, "SESSION_REDIS must be"),
        ({"SESSION_TYPE": "redis", "SESSION_SERIALIZATION_FORMAT": "yaml"}, "SESSION_SERIALIZATION_FORMAT"),
        ({"SESSION_TYPE": "redis", "SESSION_ID_LENGTH": "32"}, "SESSION_ID_LENGTH"),
        ({"SESSION_TYPE": "sqlalchemy", "SESSION_SQLALCHEMY": "sqlite://"}, "SESSION_SQLALCHEMY must be"),
        ({"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": {}}, "SESSION_CACHELIB, a dict"),
    ],
)
def test_settings_that_cannot_be_are_refused(config: dict[str, Any], message: str) -> None:
    app = flask.Flask("app")
    app.config.update(config)
    with pytest.raises(ConfigurationError) as caught:
        flask_session(app, allow_pickle=False)
    assert message in str(caught.value)


@pytest.mark.parametrize("config", [{}, {"SESSION_SQLALCHEMY": SQLAlchemy()}])
def test_a_database_that_is_not_set_up_is_told(config: dict[str, Any]) -> None:
    app = flask.Flask("app")
    app.config.update(SESSION_TYPE="sqlalchemy", **config)
    place = flask_session(app, allow_pickle=False)
    assert "SESSION_SQLALCHEMY" in raised(place.is_empty, ConfigurationError)


def test_a_signature_needs_a_key() -> None:
    app = flask.Flask("app")
    app.config.update(SESSION_TYPE="redis", SESSION_USE_SIGNER=True)
    place = flask_session(app, allow_pickle=False)
    assert "SECRET_KEY" in raised(lambda: place.row_id("x"), ConfigurationError)
    app.secret_key = SECRET  # set late, as applications do
    assert place.row_id("x") is None


def test_making_a_place_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("redis", "sqlalchemy", "filesystem", "cachelib"):
        app = flask.Flask("app")
        app.config.update(SESSION_TYPE=kind, SESSION_REDIS=redis.Redis(port=1))
        place = flask_session(app, allow_pickle=False)
        assert place.row_id("x") is None
        if kind in ("filesystem", "cachelib"):
            assert place.is_empty()
    assert [*tmp_path.iterdir()] == []
