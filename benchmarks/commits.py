"""Eight threads that write to one SQLite file, each write on disk before it is acknowledged."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic

from benchmarks.apps import sqlite_url
from benchmarks.counters import raw_sqlite
from benchmarks.ground import Ground
from benchmarks.measure import Contender, interleaved
from benchmarks.report import Result, Table, Target
from moored import State

TITLE = "Commits: eight threads, synchronous=FULL"
THREADS, ROUNDS, SECONDS = 8, 7, 0.5


def throughput(writes: list[Callable[[], object]]) -> Contender:
    """A contender whose figure is the writes a second of as many threads."""

    def contender() -> float:
        counts = [0] * len(writes)
        barrier = threading.Barrier(len(writes) + 1)
        ends = [0.0]

        def work(number: int, write: Callable[[], object]) -> None:
            barrier.wait()
            while monotonic() < ends[0]:
                write()
                counts[number] += 1

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(writes)]
        for thread in threads:
            thread.start()
        started = monotonic()
        ends[0] = started + SECONDS
        barrier.wait()
        for thread in threads:
            thread.join()
        return sum(counts) / (monotonic() - started)

    return contender


def write_and_sync(file: int) -> None:
    """What the disk can do for one writer: 4 KB, and a wait until they are on it."""
    os.pwrite(file, bytes(4096), 0)
    os.fdatasync(file)


def add_one(db: sqlite3.Connection, name: str) -> None:
    """Read, modify, write: what a save of any state does."""
    db.execute("BEGIN IMMEDIATE")
    n = db.execute("SELECT n FROM counters WHERE name = ?", (name,)).fetchone()[0]
    db.execute("UPDATE counters SET n = ? WHERE name = ?", (n + 1, name))
    db.execute("COMMIT")


def add_by_update(db: sqlite3.Connection, name: str) -> None:
    """One statement, which SQL can do for a counter."""
    db.execute("UPDATE counters SET n = n + 1 WHERE name = ?", (name,))


def in_turns(guard: threading.Lock, db: sqlite3.Connection, name: str) -> None:
    with guard:
        add_one(db, name)


def run(ground: Ground) -> Result:
    names = [f"counter-{number}" for number in range(THREADS)]
    state = State(sqlite_url(ground.path("commits.db"), "full"), deadline=30)
    together: list[Callable[[], object]] = [state.counter(name).add for name in names]

    def connection(path: str) -> sqlite3.Connection:
        db = raw_sqlite(ground.path(path), "full")
        db.executemany("INSERT OR IGNORE INTO counters VALUES (?, 0)", [(name,) for name in names])
        return db

    file = os.open(ground.path("synced"), os.O_CREAT | os.O_WRONLY)
    guard, one = threading.Lock(), connection("locked.db")
    ground.say(f"{ROUNDS} rounds of {SECONDS} s each")
    ways: dict[str, list[Callable[[], object]]] = {
        "Moored: one transaction for all that wait": together,
        "each thread its connection: read, write, commit": [
            partial(add_one, connection("separate.db"), name) for name in names
        ],
        "each thread its connection: one UPDATE": [
            partial(add_by_update, connection("update.db"), name) for name in names
        ],
        "one connection and a lock: read, write, commit": [
            partial(in_turns, guard, one, name) for name in names
        ],
        "the disk: 4 KB and fdatasync, one thread": [partial(write_and_sync, file)],
    }
    found = interleaved({name: throughput(writes) for name, writes in ways.items()}, ROUNDS)
    os.close(file)
    state.close()
    ours, separate, update, locked, disk = [figure.median for figure in found.values()]
    target = Target(
        "8 threads committing at FULL : separate commits",
        ours / separate,
        at_least=20,
        limited_by=f"the disk, where a sync takes {1000 / disk:.1f} ms, and polling for the lock; to"
        f" single UPDATEs {ours / update:.1f} ×, to one connection and a lock {ours / locked:.1f} ×",
    )
    table = Table("Writes a second", ["", "writes/s"], [[name, figure] for name, figure in found.items()])
    return Result([table], [target])
