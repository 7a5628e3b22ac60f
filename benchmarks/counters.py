"""Adding one to a counter that every process shares."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from redis import Redis

from benchmarks.apps import sqlite_url
from benchmarks.ground import Ground
from benchmarks.measure import interleaved, micros_each
from benchmarks.report import Result, Table
from moored import State

TITLE = "Counters: microseconds of one addition"
ROUNDS, TIMES = 30, 50


def raw_sqlite(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection as Moored opens it, and a table of counters."""
    db = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={synchronous}")
    db.execute(
        "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID"
    )
    return db


def update(db: sqlite3.Connection) -> int:
    """The least: one statement, which is a transaction of its own."""
    row = db.execute("UPDATE counters SET n = n + 1 WHERE name = 'visits' RETURNING n").fetchone()
    return int(row[0])


def run(ground: Ground) -> Result:
    calls: dict[str, Callable[[], object]] = {}
    urls = {"memory": "memory:", "Redis": ground.redis}
    for mode in ("normal", "full"):
        urls[f"SQLite {mode.upper()}"] = sqlite_url(ground.path(f"counters-{mode}.db"), mode)
    states = [State(url) for url in urls.values()]
    for name, state in zip(urls, states, strict=True):
        calls[f"Moored, {name}"] = state.counter("visits").add
    for mode in ("normal", "full"):
        db = raw_sqlite(ground.path(f"raw-{mode}.db"), mode)
        db.execute("INSERT INTO counters VALUES ('visits', 0)")
        calls[f"UPDATE, SQLite {mode.upper()}"] = partial(update, db)
    client = Redis.from_url(ground.redis)
    calls["INCR, redis-py"] = partial(client.incr, "visits")
    with get_context("spawn").Manager() as manager:
        shared, lock = manager.Namespace(), manager.Lock()
        shared.visits = 0

        def managed() -> None:
            with lock:
                shared.visits += 1

        calls["multiprocessing.Manager, with its lock"] = managed
        ground.say(f"{len(calls)} ways, {ROUNDS} rounds of {TIMES} additions")
        found = interleaved({name: micros_each(call, TIMES) for name, call in calls.items()}, ROUNDS)
    for state in states:
        state.close()
    return Result([Table(TITLE, ["", "µs"], [[name, figure] for name, figure in found.items()])], [])
