"""Connections to the database beside those of the application: how many, which, and until when."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, text
from sqlalchemy.pool import NullPool, QueuePool, SingletonThreadPool, StaticPool
from tests.adopt.databases import DATABASES, DatabaseUrl
from tests.adopt.places.peers import Peer
from tests.adopt.places.test_failures import raised
from tests.adopt.shops import after, before
from tests.servers.postgres import PostgresServer
from tests.waiting import until

from moored.adopt import sql_connections
from moored.adopt.sql_connections import CONNECTIONS, OwnConnections
from moored.errors import Unavailable
from moored.flask.extension import mooring

DAY = 24 * 60 * 60 * 1000
MANY = 20  # threads: more than the 15 connections that SQLAlchemy's pool has at most
SOON = 10  # seconds, in which nobody has waited for SQLAlchemy's pool

MakePeer = Callable[..., Peer]
POOL_OF_ONE = {"pool_size": 1, "max_overflow": 0}


# --- Requests that hold a connection of the application -------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize(("options", "threads"), [(POOL_OF_ONE, 1), ({}, MANY)], ids=["one", "many"])
def test_requests_that_hold_a_connection_need_no_second_one_of_the_pool(
    kind: str, options: dict[str, Any], threads: int, tmp_path: Path, database_url: DatabaseUrl
) -> None:
    held = threading.Barrier(min(threads, 15))  # as many as the pool can serve at once

    def app(make: Callable[..., Flask]) -> Flask:
        database = SQLAlchemy()
        made = make(
            SESSION_TYPE="sqlalchemy",
            SESSION_SQLALCHEMY=database,
            SQLALCHEMY_DATABASE_URI=database_url(kind),
            SQLALCHEMY_ENGINE_OPTIONS=options,
            MOORED_URL=f"sqlite:///{tmp_path}/moored.db",
        )

        @made.get("/buy/<int:number>")
        def buy(number: int) -> str:
            database.session.execute(text("SELECT 1"))  # held until the request is torn down
            if number < held.parties:
                held.wait(SOON)
            session["bought"] = number
            return ""

        return made

    old, new = app(before), app(after)

    def visit(number: int) -> int:
        return new.test_client().get(f"/buy/{number}").status_code

    old.test_client().get("/add/tea")  # there is something to adopt: the old place is kept alongside
    new.test_client().get("/look")
    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        # The later ones wait in the application's pool for the first, as they would without us.
        assert [*pool.map(visit, range(threads))] == [200] * threads
    assert time.monotonic() - began < SOON
    for each in (old, new):
        with each.app_context():
            each.extensions["sqlalchemy"].engine.dispose()
    mooring(new).state.close()


@pytest.mark.parametrize("kind", DATABASES)
def test_a_pool_of_one_that_is_in_use_is_in_nobody_s_way(make_peer: MakePeer, kind: str) -> None:
    peer = make_peer(kind, SQLALCHEMY_ENGINE_OPTIONS=POOL_OF_ONE)
    row = peer.store(n=1)
    with peer.engine.connect():
        found = peer.place.read(row)
        assert found is not None
        assert peer.place.replace(row, found.raw, {"n": 2}, DAY)
        assert [*peer.place.ids()] == [row]
        assert not peer.place.is_empty()
    assert peer.visit() == {"n": 2}


# --- How many -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pool_size", "most"), [(1, 1), (3, 3), (5, CONNECTIONS), (50, CONNECTIONS), (0, CONNECTIONS)]
)
def test_a_worker_opens_as_many_as_the_pool_keeps_and_at_most_five(
    make_peer: MakePeer,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    pool_size: int,
    most: int,
) -> None:
    """And who finds none free is told so in good time."""
    monkeypatch.setattr(sql_connections, "PATIENCE", 0.3)
    peer = make_peer("postgresql", SQLALCHEMY_ENGINE_OPTIONS={"pool_size": pool_size})
    row = peer.store(n=1)
    peer.engine.dispose()
    inside = threading.Semaphore(0)
    leave = threading.Event()

    def stay(*_: object) -> None:
        inside.release()
        leave.wait(20)

    event.listen(peer.engine, "before_cursor_execute", stay)
    with ThreadPoolExecutor(most) as pool:
        reads = [pool.submit(peer.place.read, row) for _ in range(most)]
        try:
            for _ in reads:
                assert inside.acquire(timeout=20)
            assert f"all {most} connections" in raised(lambda: peer.place.read(row), Unavailable, row)
        finally:
            leave.set()
        assert None not in [read.result(20) for read in reads]
    assert opened(peer) == most
    event.remove(peer.engine, "before_cursor_execute", stay)
    assert peer.place.read(row) is not None


def opened(peer: Peer) -> int:
    """Connections to PostgreSQL that are not of the application's pool; it must have none."""
    with peer.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).scalar()
    peer.engine.pool.dispose()
    return int(found or 0)


# --- Which ----------------------------------------------------------------------------------------


def test_they_are_made_and_set_up_as_the_application_s(make_peer: MakePeer, tmp_path: Path) -> None:
    made: list[str] = []

    def creator() -> sqlite3.Connection:
        made.append("creator")
        return sqlite3.connect(tmp_path / "other.db", isolation_level=None, check_same_thread=False)

    options = {
        **POOL_OF_ONE,
        "creator": creator,
        "execution_options": {"schema_translate_map": {None: "main"}},
    }
    peer = make_peer("sqlite", SQLALCHEMY_ENGINE_OPTIONS=options)
    row = peer.store(n=1)
    seen: list[str] = []
    event.listen(peer.engine, "connect", lambda *_: seen.append("connect"))
    event.listen(peer.engine, "checkout", lambda *_: seen.append("checkout"))
    event.listen(peer.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    event.listen(peer.engine, "begin", lambda _: seen.append("begin"))
    before = len(made)
    with peer.engine.connect():
        assert peer.place.read(row) is not None
    assert seen == ["checkout", "connect", "checkout", "begin"]
    assert len(made) == before + 1
    event.listen(peer.engine, "commit", lambda _: seen.append("commit"))  # also what is added later
    assert peer.place.replace(row, None, None, DAY) is None
    assert seen[4:] == ["checkout", "begin", "commit"]


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool, QueuePool])
def test_a_database_in_memory_is_the_application_s(pool: type[Any], database_url: DatabaseUrl) -> None:
    app = Flask("memory")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"poolclass": pool}
    database = SQLAlchemy(app)
    with app.app_context():
        engine = database.engine
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE here (n INTEGER)")
    own = OwnConnections(lambda: engine, "here")
    with own.connect() as connection:
        assert connection.engine is engine
        assert connection.exec_driver_sql("SELECT count(*) FROM here").scalar() == 0
    own.close()
    engine.dispose()


def test_where_nothing_is_pooled_nothing_is(make_peer: MakePeer) -> None:
    peer = make_peer("sqlite", SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool})
    for engine in (peer.engine, peer.engine.execution_options(isolation_level="AUTOCOMMIT")):
        with OwnConnections(lambda engine=engine: engine, "here").connect() as connection:  # type: ignore[misc]
            assert connection.engine is engine


# --- Until when -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["close", "dispose"])
def test_they_are_closed_with_the_state_and_with_the_engine(make_peer: MakePeer, by: str) -> None:
    peer = make_peer("postgresql")
    row = peer.store(n=1)
    place: Any = peer.place
    end = place.close if by == "close" else peer.engine.dispose
    for _ in range(2):  # what is used again opens again
        end()
        peer.engine.dispose()
        assert place.read(row) is not None
        assert opened(peer) == 1
        end()
        until(lambda: opened(peer) == 0, "no connection of ours")

    def while_it_is_in_use(*_: object) -> None:
        end()

    event.listen(peer.engine, "before_cursor_execute", while_it_is_in_use)
    assert place.read(row) is not None
    event.remove(peer.engine, "before_cursor_execute", while_it_is_in_use)
    until(lambda: opened(peer) == 0, "no connection of ours")
    place.close()
    place.close()


def test_the_application_s_engine_is_left_as_it_is(make_peer: MakePeer) -> None:
    peer = make_peer("sqlite")
    row = peer.store(n=1)
    pool = peer.engine.pool
    disposed: list[object] = []
    listen = disposed.append
    event.listen(peer.engine, "engine_disposed", listen)
    place: Any = peer.place
    assert place.read(row) is not None
    place.close()
    assert peer.engine.pool is pool
    assert disposed == []
    assert [*peer.engine.dispatch.engine_disposed] == [listen]


@pytest.mark.parametrize("kind", DATABASES)
def test_after_a_fork_each_has_its_own(make_peer: MakePeer, kind: str) -> None:
    """Also without the dispose() that SQLAlchemy asks for: these connections are ours to look after."""
    peer = make_peer(kind)
    row = peer.store(n=1)
    assert peer.place.read(row) is not None
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)  # ends a child that hangs
        code = 1
        try:
            place: Any = peer.place
            assert place.read(row) is not None
            place.close()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    lost: list[object] = []
    event.listen(peer.engine, "handle_error", lost.append)
    assert peer.place.read(row) is not None
    assert lost == []
