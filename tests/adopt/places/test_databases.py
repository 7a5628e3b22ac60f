"""What PostgreSQL, and MySQL by the example of MariaDB, do otherwise than SQLite."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
from sqlalchemy import event
from sqlalchemy.engine import make_url
from tests.adopt.databases import SERVERS, DatabaseUrl
from tests.adopt.places.peers import Peer
from tests.adopt.places.test_failures import VALUES, raised
from tests.adopt.places.test_races import THREADS, at_once
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer
from tests.waiting import until

from moored.adopt import sql_rows
from moored.adopt.place import Row
from moored.errors import OutcomeUnknown, TooLargeError, Unavailable

DAY = 24 * 60 * 60 * 1000
EACH = 10
BLOB = 65_535  # bytes that MySQL's BLOB holds

MakePeer = Callable[..., Peer]
Server = PostgresServer | MariaDBServer


@pytest.fixture
def server(kind: str, request: pytest.FixtureRequest) -> Server:
    """The server that ``kind`` names."""
    found: Server = request.getfixturevalue({"postgresql": "postgres", "mariadb": "mariadb"}[kind])
    return found


def read(peer: Peer, row: str) -> Row:
    found = peer.place.read(row)
    assert found is not None
    return found


def status(server: MariaDBServer, name: str) -> int:
    """What it counts by that name."""
    return int(server.sql(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1])


@contextmanager
def once(peer: Peer, name: str, do: Callable[[], object]) -> Generator[None]:
    """Do something when SQLAlchemy is about to send this the next time."""
    left = [do]

    def act(*_: object) -> None:
        if left:
            left.pop()()

    event.listen(peer.engine, name, act)
    yield
    event.remove(peer.engine, name, act)
    assert not left


# --- At once ----------------------------------------------------------------------------------------


def test_who_makes_a_row_is_in_nobody_s_way(make_peer: MakePeer, mariadb: MariaDBServer) -> None:
    peer = make_peer("mariadb")
    before = status(mariadb, "Innodb_deadlocks")
    for _ in range(10):
        rows = [peer.place.new_id() for _ in range(THREADS)]
        done = at_once(lambda number, rows=rows: peer.place.replace(rows[number], None, {"n": number}, DAY))  # type: ignore[misc]
        assert None not in done
        assert [read(peer, row).values["n"] for row in rows] == [*range(THREADS)]
    assert status(mariadb, "Innodb_deadlocks") == before


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("postgresql", {"isolation_level": "REPEATABLE READ"}),
        ("postgresql", {"isolation_level": "SERIALIZABLE"}),
        ("postgresql", {"isolation_level": "AUTOCOMMIT"}),
        ("mariadb", {"isolation_level": "READ COMMITTED"}),
        ("mariadb", {"isolation_level": "SERIALIZABLE"}),
        ("mariadb", {"isolation_level": "AUTOCOMMIT"}),
        ("mariadb", {"connect_args": {"init_command": "SET innodb_snapshot_isolation = ON"}}),  # as from 11.6
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.get("isolation_level", "snapshots")),
)
def test_nothing_is_lost_at_any_isolation_level(
    make_peer: MakePeer, kind: str, options: dict[str, Any]
) -> None:
    peer = make_peer(kind, SQLALCHEMY_ENGINE_OPTIONS=options)
    row = peer.store(n=0)

    def add(_: int) -> int:
        lost, left = 0, EACH
        while left:
            found = read(peer, row)
            values = found.values | {"n": found.values["n"] + 1}
            done = peer.place.replace(row, found.raw, values, DAY)
            lost, left = (lost, left - 1) if done else (lost + 1, left)
        return lost

    assert None not in at_once(add)
    assert peer.visit()["n"] == read(peer, row).values["n"] == THREADS * EACH


def test_what_the_database_undoes_is_done_again(make_peer: MakePeer, mariadb: MariaDBServer) -> None:
    """Two who wait for the maker of a row to finish stand in each other's way when they take it back."""
    peer = make_peer("mariadb")
    row = peer.place.new_id()
    before = status(mariadb, "Innodb_deadlocks")
    with peer.engine.connect() as other, ThreadPoolExecutor(2) as pool:
        other.exec_driver_sql("INSERT INTO sessions (session_id) VALUES (%s)", (row,))
        done = [pool.submit(peer.place.replace, row, None, {"winner": number}, DAY) for number in range(2)]
        until(lambda: status(mariadb, "Innodb_row_lock_current_waits") == 2, "two who wait")
        other.rollback()
        winners = [number for number in range(2) if done[number].result(20) is not None]
    assert [read(peer, row).values["winner"]] == winners
    assert status(mariadb, "Innodb_deadlocks") == before + 1


# --- Connections that are lost ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SERVERS)
def test_connections_that_have_died_meanwhile_are_no_matter(
    make_peer: MakePeer, kind: str, server: Server
) -> None:
    peer = make_peer(kind)
    row = peer.store(n=1)
    raw = read(peer, row).raw
    uses: list[Callable[[], object]] = [
        lambda: peer.place.read(row),
        lambda: [*peer.place.ids()],
        lambda: not peer.place.is_empty(),
        lambda: peer.place.replace(peer.place.new_id(), None, {"n": 1}, DAY),
        lambda: peer.place.replace(row, raw, {"n": 1, "_permanent": True}, DAY),
        lambda: peer.place.mark(row, read(peer, row).raw, DAY),
    ]
    for use in uses:
        server.close_connections()
        assert use()
    with once(peer, "before_cursor_execute", server.close_connections):
        assert peer.place.replace(row, read(peer, row).raw, {"n": 2}, DAY)
    assert read(peer, row).values == {"n": 2}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_change_whose_confirmation_is_lost_is_unknown(
    make_peer: MakePeer, kind: str, server: Server
) -> None:
    peer = make_peer(kind)
    row = peer.store(n=1)
    raw = read(peer, row).raw
    with once(peer, "commit", server.close_connections):
        raised(lambda: peer.place.replace(row, raw, VALUES, DAY), OutcomeUnknown, row)
    assert read(peer, row).raw == raw
    with once(peer, "commit", server.close_connections):
        assert peer.place.read(row) is not None


@pytest.mark.parametrize("kind", SERVERS)
def test_without_transactions_no_lost_answer_means_that_nothing_was_changed(
    make_peer: MakePeer, kind: str, server: Server
) -> None:
    peer = make_peer(kind, SQLALCHEMY_ENGINE_OPTIONS={"isolation_level": "AUTOCOMMIT"})
    row = peer.store(n=1)
    raw = read(peer, row).raw
    with once(peer, "before_cursor_execute", server.close_connections):
        raised(lambda: peer.place.replace(row, raw, VALUES, DAY), OutcomeUnknown, row)
    assert peer.place.replace(row, raw, {"n": 2}, DAY)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_is_away_changes_nothing_and_comes_back(kind: str, tmp_path: Any) -> None:
    server: Server = PostgresServer() if kind == "postgresql" else MariaDBServer()
    driver = "psycopg" if kind == "postgresql" else "pymysql"
    with server:
        peer = Peer(kind, tmp_path, 1, lambda _: server.url.replace("://", f"+{driver}://"))
        row = peer.store(n=1)
        raw = read(peer, row).raw
        server.kill()
        uses: list[Callable[[], object]] = [
            lambda: peer.place.read(row),
            lambda: peer.place.replace(row, raw, VALUES, DAY),
            lambda: peer.place.replace(peer.place.new_id(), None, VALUES, DAY),
            lambda: [*peer.place.ids()],
        ]
        for use in uses:
            assert "(OperationalError); nothing was changed" in raised(use, Unavailable, row)
        server.start()
        assert read(peer, row).raw == raw
        server.stop()
        server.start()
        assert peer.place.replace(row, raw, {"n": 2}, DAY)
        peer.engine.dispose()  # the application's own have died, too, and Flask-Session does not look
        assert peer.visit() == {"n": 2}
        peer.close()


# --- What fits, and what is the same --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_large_sessions_are_kept(make_peer: MakePeer, kind: str) -> None:
    peer = make_peer(kind)
    row = peer.store(cart="x" * 200_000)
    assert peer.place.replace(row, read(peer, row).raw, {"cart": "y" * 300_000}, DAY)
    assert peer.visit() == {"cart": "y" * 300_000}


@pytest.mark.parametrize("mode", ["STRICT_TRANS_TABLES", ""])
def test_what_mysql_would_refuse_or_cut_off_is_too_large(make_peer: MakePeer, mode: str) -> None:
    options = {"connect_args": {"init_command": f"SET sql_mode = '{mode}'"}}
    peer = make_peer("mariadb", SQLALCHEMY_ENGINE_OPTIONS=options)
    row = peer.store(n=1)
    raw = read(peer, row).raw
    values = VALUES | {"cart": "x" * BLOB}
    for use in (
        lambda: peer.place.replace(row, raw, values, DAY),
        lambda: peer.place.replace(peer.place.new_id(), None, values, DAY),
    ):
        assert "MEDIUMBLOB" in raised(use, TooLargeError, row)
    assert [*peer.place.ids()] == [row]
    assert read(peer, row).raw == raw
    fitting = {"cart": "x" * (BLOB - 9)}
    done = peer.place.replace(row, raw, fitting, DAY)
    assert done is not None
    assert done.raw is not None
    assert len(done.raw) == BLOB
    assert peer.visit() == fitting
    with peer.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE sessions MODIFY data MEDIUMBLOB")
    assert peer.place.replace(row, done.raw, values, DAY)
    assert peer.visit() == values


def test_a_cookie_in_other_letters_is_another_session_s(make_peer: MakePeer) -> None:
    peer = make_peer("mariadb")
    row = peer.place.new_id()
    other = peer.prefix + row.removeprefix(peer.prefix).swapcase()
    assert peer.place.replace(row, None, {"user_id": 7}, DAY)
    peer.cookie = peer.place.cookie_of(other)
    assert peer.visit() == {"user_id": 7}  # so it is to Flask-Session
    assert peer.place.read(other) is None


def test_a_row_that_stays_as_it_was_was_replaced(
    make_peer: MakePeer, database_url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connectors that applications bring have MySQL count only the rows that were changed."""
    now = sql_rows._now()
    monkeypatch.setattr(sql_rows, "_now", lambda: now)
    url = make_url(database_url("mariadb"))
    login: dict[str, Any] = {"user": url.username, "password": url.password, "database": url.database}

    def connect() -> Any:
        return pymysql.connect(host=url.host, port=url.port or 0, **login)

    peer = make_peer("mariadb", SQLALCHEMY_ENGINE_OPTIONS={"creator": connect})
    row = peer.store(n=1)
    found = read(peer, row)
    for _ in range(2):  # the second time even the expiry is the same
        assert peer.place.replace(row, found.raw, found.values, DAY) is not None
    assert peer.place.replace(row, b"another", found.values, DAY) is None
    with peer.engine.connect() as connection:
        assert connection.exec_driver_sql("UPDATE sessions SET data = data").rowcount == 0


# --- Names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SERVERS)
def test_names_that_need_quotes(make_peer: MakePeer, kind: str, server: Server) -> None:
    settings = {"SESSION_SQLALCHEMY_TABLE": "order", "SESSION_SQLALCHEMY_SEQUENCE": "Order Numbers"}
    if kind == "postgresql":
        server.sql('CREATE SCHEMA "Web Shop"')
        settings["SESSION_SQLALCHEMY_SCHEMA"] = "Web Shop"
    peer = make_peer(kind, **settings)
    row = peer.store(n=1)
    assert peer.place.replace(row, read(peer, row).raw, {"n": 2}, DAY)
    assert peer.visit() == {"n": 2}
    new = peer.place.new_id()
    assert peer.place.replace(new, None, {"n": 3}, DAY)
    assert sorted(peer.place.ids()) == sorted([row, new])
    peer.another()
    assert peer.store(n=4) not in (row, new)
