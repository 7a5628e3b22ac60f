"""The SQLite engine: files, processes, threads, event loops, and disks that fail."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import auntil, until

from moored import AsyncState, ConfigurationError, CorruptRecord, State, Unavailable
from moored.commands import Bury, Op, Put, Read, Scan
from moored.engines import sqlite_file, sqlite_writer
from moored.engines.sqlite import SqliteEngine
from moored.engines.sqlite_connections import Connections
from moored.engines.sqlite_tables import HOUR
from moored.url import sqlite_url as url_of

FAR = 2**60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


def ops(*names: str) -> tuple[Op, ...]:
    return tuple(Op(name, FAR, FAR) for name in names)


def put(engine: SqliteEngine, key: str, op: str, **more: Any) -> Any:
    return engine.execute((Put(key, {"a": b"1"}, **more),), ops(op), 2.0)[0]


def rows(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as db:
        return dict(db.execute("SELECT key, length(body) FROM moored_records"))


# --- The file ---------------------------------------------------------------------------------


def test_nothing_is_opened_before_it_is_used(path: Path) -> None:
    State(url_of(path))
    assert not path.exists()


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    with State(url_of(path)) as state:
        state.counter("n").add()
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file


def test_the_log_is_written_ahead_and_flushed(path: Path) -> None:
    with State(url_of(path)) as state:
        state.counter("n").add()
        connections = state.binding.engine._connections  # type: ignore[attr-defined]
        (db,) = connections._readers or [connections.writer]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_synchronous_by_choice(path: Path) -> None:
    with State(url_of(path) + "?synchronous=normal") as state:
        state.counter("n").add()
        db = state.binding.engine._connections.writer  # type: ignore[attr-defined]
        assert db.execute("PRAGMA synchronous").fetchone() == (1,)


def test_folders_are_made(tmp_path: Path) -> None:
    with State(url_of(tmp_path / "a" / "b" / "c.db")) as state:
        assert state.counter("n").add() == 1


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"this is a text file, and it is long enough to be looked at\n" * 100)
    with State(url_of(path)) as state, pytest.raises(ConfigurationError, match="is not a SQLite database"):
        state.counter("n").add()
    assert path.read_bytes().startswith(b"this is a text file")


def test_an_application_s_own_tables_stay(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE goods (name TEXT)")
        db.execute("INSERT INTO goods VALUES ('rope')")
    with State(url_of(path)) as state:
        assert state.counter("n").add() == 1
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM goods").fetchall() == [("rope",)]


def test_tables_of_another_layout_are_refused(path: Path) -> None:
    with State(url_of(path)) as state:
        state.counter("n").add()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE moored_meta SET value = '99' WHERE name = 'layout'")
    with State(url_of(path)) as state, pytest.raises(ConfigurationError, match="layout 99"):
        state.counter("n").add()


def test_a_damaged_record_does_not_harm_its_neighbours(path: Path) -> None:
    engine = SqliteEngine(path)
    put(engine, "bad", "1")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE moored_records SET body = x'c1'")
    with pytest.raises(CorruptRecord, match="'bad'"):
        engine.execute((Read("bad"),), ops("2"), 2.0)
    with pytest.raises(CorruptRecord):
        put(engine, "bad", "3")
    assert put(engine, "good", "4").version > 0


# --- Processes ----------------------------------------------------------------------------------


def test_several_processes_may_make_the_file_at_once(path: Path) -> None:
    code = (
        "import sys; from moored import State\nsys.stdin.read(1)\n"
        f"s = State({url_of(path)!r}, deadline=20)\nfor _ in range(25): s.counter('n').add()\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) for _ in range(4)]
    for worker in workers:
        assert worker.stdin
        worker.stdin.close()
    assert [worker.wait(60) for worker in workers] == [0, 0, 0, 0]
    assert State(url_of(path)).counter("n").value() == 100


class Busy:
    """A file that another process holds ``times`` times, and clocks on which only sleeping takes time."""

    def __init__(self, times: float) -> None:
        self.times, self.tries, self.now = times, 0, 100.0
        self.pauses: list[float] = []

    def __call__(self) -> str:
        self.tries += 1
        if self.tries > self.times:
            return "free"
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def test_a_busy_file_is_tried_far_more_often_than_sqlite_itself_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own busy handler soon looks ten times a second only, and would miss the gaps."""
    busy = Busy(1000)
    monkeypatch.setattr(sqlite_file, "time", busy)
    assert sqlite_file.once_free(busy, busy.now + 10) == "free"
    assert busy.tries == 1001
    assert max(busy.pauses) < 0.005
    assert len({*busy.pauses}) > 500, "two who wait must not stay in step"


def test_a_file_that_stays_busy_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy(float("inf"))
    monkeypatch.setattr(sqlite_file, "time", busy)
    ends = busy.now + 0.5
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite_file.once_free(busy, ends)
    assert ends - 0.005 < busy.now < ends


def test_the_tables_are_made_between_two_transactions_of_a_busy_neighbour(path: Path) -> None:
    stop, began = threading.Event(), threading.Event()

    def keep_busy() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            while not stop.is_set():
                db.execute("BEGIN IMMEDIATE")
                began.set()
                stop.wait(0.03)
                db.execute("ROLLBACK")
                time.sleep(0.01)

    neighbour = threading.Thread(target=keep_busy)
    neighbour.start()
    try:
        assert began.wait(10)
        with State(url_of(path), deadline=20) as state:
            assert state.counter("n").add() == 1
    finally:
        stop.set()
        neighbour.join()


def test_both_sides_of_a_fork_go_on(path: Path) -> None:
    state = State(url_of(path))
    state.counter("n").add()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for _ in range(20):
                state.counter("n").add()
            code = 0
        finally:
            os._exit(code)
    for _ in range(20):
        state.counter("n").add()
    assert os.waitpid(child, 0)[1] == 0
    assert state.counter("n").value() == 41


def test_a_fork_while_another_thread_commits(path: Path) -> None:
    state = State(url_of(path))
    stop = threading.Event()
    added = [0]

    def add() -> None:
        while not stop.is_set():
            state.counter("n").add()
            added[0] += 1

    thread = threading.Thread(target=add)
    thread.start()
    for _ in range(10):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                state.counter("children").add()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    thread.join()
    assert state.counter("children").value() == 10
    assert state.counter("n").value() == added[0]


def test_while_a_thread_forks_others_neither_fork_nor_make_connections(path: Path) -> None:
    """What was made meanwhile would be open in the child, and two forks would release each other's locks."""
    State(url_of(path)).close()
    begun, ended = threading.Event(), threading.Event()

    def make() -> None:
        begun.set()
        SqliteEngine(path)
        ended.set()

    def fork() -> None:
        begun.set()
        Connections.before_fork()
        ended.set()
        Connections.after_fork_in_parent()

    for other in (make, fork):
        begun.clear()
        ended.clear()
        thread = threading.Thread(target=other)
        Connections.before_fork()
        try:
            thread.start()
            assert begun.wait(10)
            assert not ended.wait(0.2)
        finally:
            Connections.after_fork_in_parent()
        assert ended.wait(10)
        thread.join()


def test_killed_under_load_what_was_acknowledged_is_there(path: Path) -> None:
    code = (
        "from moored import State\n"
        f"s = State({url_of(path)!r}, deadline=20)\n"
        "while True: print(s.counter('n').add(), flush=True)\n"
    )
    for _ in range(5):
        worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert worker.stdout
        last = 0
        for _ in range(50):
            last = int(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
        rest = [int(line) for line in worker.stdout.read().splitlines()]
        worker.stdout.close()
        worker.wait()
        with State(url_of(path)) as state:
            value = state.counter("n").value()
        acknowledged = max([last, *rest])
        assert acknowledged <= value <= acknowledged + 1


def test_another_process_that_holds_the_file_is_waited_for_until_the_deadline(path: Path) -> None:
    state = State(url_of(path), deadline=0.3)
    state.counter("n").add()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="nothing was changed"):
        state.counter("n").add()
    assert time.monotonic() - started < 0.3 + 2.0  # SQLite's own patience would be five
    assert state.counter("n").value() == 1, "readers never wait"
    other.execute("ROLLBACK")
    other.close()
    assert state.counter("n").add() == 2


# --- Threads and loops ----------------------------------------------------------------------------


def test_short_lived_threads_leave_nothing_open(path: Path) -> None:
    state = State(url_of(path))
    state.counter("n").add()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        thread = threading.Thread(target=state.counter("n").value)
        thread.start()
        thread.join()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3


class HeldUp:
    """Holds the engine's first transaction up until ``go`` is set."""

    def __init__(self, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        self._transaction = engine._writer._transaction
        monkeypatch.setattr(engine._writer, "_transaction", self)

    def __call__(self, batch: Any) -> None:
        self.sizes.append(len(batch))
        self.begun.set()
        assert self.go.wait(10)
        self._transaction(batch)


def test_threads_share_commits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one commit is held up, all that comes meanwhile goes into the next one."""
    engine = SqliteEngine(path)
    held = HeldUp(engine, monkeypatch)
    threads = [threading.Thread(target=put, args=(engine, f"k{n}", str(n))) for n in range(20)]
    threads[0].start()
    assert held.begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(engine._commits._waiting) == 19, "the waiting of all others")
    held.go.set()
    for thread in threads:
        thread.join()
    assert held.sizes == [1, 19]
    assert len(rows(path)) == 20


def test_an_event_loop_is_not_held_up_by_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with AsyncState(url_of(path)) as state:
            await state.counter("n").add()
            held = HeldUp(state.binding.engine, monkeypatch)
            adding = [asyncio.create_task(state.counter("n").add()) for _ in range(10)]
            assert await asyncio.to_thread(held.begun.wait, 10)
            assert await state.counter("n").value() == 1, "the loop runs on"
            held.go.set()
            assert sorted(await asyncio.gather(*adding)) == list(range(2, 12))

    asyncio.run(main())


def test_a_cancelled_write_does_not_stop_the_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with AsyncState(url_of(path)) as state:
            await state.counter("n").add()
            engine: Any = state.binding.engine
            held = HeldUp(engine, monkeypatch)
            first = asyncio.create_task(state.counter("n").add())
            assert await asyncio.to_thread(held.begun.wait, 10)
            others = [asyncio.create_task(state.counter("n").add()) for _ in range(8)]
            await auntil(lambda: len(engine._commits._waiting) == 8, "the waiting of all others")
            for task in others[::2]:
                task.cancel()
            await auntil(lambda: all(task.done() for task in others[::2]), "the cancelling")
            held.go.set()
            done = await asyncio.gather(first, *others, return_exceptions=True)
            assert [isinstance(total, int) for total in done] == [True, *[False, True] * 4]
            assert await state.counter("n").value() == 6, "what waited was withdrawn"

    asyncio.run(main())


def test_blocking_callers_and_loops_lead_in_turn(path: Path) -> None:
    url = url_of(path)
    state, failures = State(url, deadline=20), []

    async def main() -> None:
        shared = AsyncState(url, deadline=20)
        shared.binding.engine = state.binding.engine
        await asyncio.gather(*[shared.counter("n").add() for _ in range(200)])

    def add() -> None:
        try:
            for _ in range(100):
                state.counter("n").add()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run(main())
    for thread in threads:
        thread.join()
    assert not failures
    assert state.counter("n").value() == 600


# --- Expiry and scanning --------------------------------------------------------------------------


def test_expired_records_are_swept_in_small_batches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_700_000_000_000_000]
    engine = SqliteEngine(path, clock=lambda: now[0])
    monkeypatch.setattr(sqlite_writer, "SWEEP_EVERY", (0.0, 0.0))
    for n in range(250):
        put(engine, f"short{n}", f"s{n}", ttl=1_000)
    put(engine, "long", "l", ttl=10_000_000)
    put(engine, "ever", "e")
    now[0] += 2 * HOUR * 1000
    put(engine, "one", "1")
    left = [len(rows(path))]
    put(engine, "two", "2")
    left.append(len(rows(path)))
    put(engine, "three", "3")
    left.append(len(rows(path)))
    assert left == [153, 54, 5]
    assert set(rows(path)) == {"long", "ever", "one", "two", "three"}


def test_scans_in_pages_without_what_expired(path: Path) -> None:
    now = [1_700_000_000_000_000]
    engine = SqliteEngine(path, clock=lambda: now[0])
    for n in range(10):
        put(engine, f"a:{n}", f"a{n}", ttl=1_000 if n % 2 else None)
    put(engine, "b:1", "b1")
    engine.execute((Bury("a:0"),), ops("x"), 2.0)
    now[0] += 5_000_000
    keys: list[str] = []
    cursor = ""
    while True:
        (page,) = engine.execute((Scan("a:", cursor, 2),), ops("s"), 2.0)
        keys += page.keys
        cursor = page.cursor
        if not cursor:
            break
    assert keys == ["a:0", "a:2", "a:4", "a:6", "a:8"]
