"""``moored gc``: what has expired goes, and nothing else."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from tests.cli.conftest import MakeShop
from tests.cli.shop import members, run, run_in, signed_in

from moored.engines.memory import MemoryEngine, wall_clock
from moored.engines.sqlite import SqliteEngine
from moored.engines.sqlite_tables import SWEPT_AT_ONCE
from moored.flask.extension import mooring
from moored.kinds.sessions.saving import create
from moored.kinds.sessions.settings import SessionSettings
from moored.state import State
from moored.url import parse, sqlite_url

HOUR = 3_600_000_000  # microseconds
SHORT = SessionSettings(idle=60_000)


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (count,) = db.execute("SELECT count(*) FROM moored_records").fetchone()
        return int(count)


def leave(path: Path, number: int, ago: int) -> None:
    """Sessions that lived for a minute, so many microseconds ago."""
    engine = SqliteEngine(path, synchronous="normal", clock=lambda: wall_clock() - ago)
    state = State.over(engine, parse(sqlite_url(path))[1])
    for _ in range(number):
        state.binding.run(create({}, SHORT))
    state.close()


def test_what_has_expired_goes_at_once(folder: Path) -> None:
    path = folder / "moored.db"
    url = sqlite_url(path)
    for number, ago in ((3, 0), (5, 90 * 1_000_000), (7, 30 * 24 * HOUR)):  # each sweeps by its own clock
        leave(path, number, ago)
    assert rows(path) == 15
    done = run("gc", "--json", "--url", url)
    assert done.exit_code == 0
    assert members(done) == {"engine": "sqlite", "removed": 12, "by": "moored"}
    assert rows(path) == 3
    assert run("gc", "--url", url).stdout == "Removed 0 expired records.\n"


def test_in_several_transactions(folder: Path) -> None:
    path = folder / "moored.db"
    with State(sqlite_url(path)) as state:
        state.counter("stays").add()
    with closing(sqlite3.connect(path)) as db, db:
        many = [(f"session:{number}", 1, 1, 0, b"") for number in range(2 * SWEPT_AT_ONCE + 1)]
        db.executemany("INSERT INTO moored_records VALUES (?, ?, ?, ?, ?)", many)
    assert members(run("gc", "--json", "--url", sqlite_url(path)))["removed"] == 2 * SWEPT_AT_ONCE + 1
    assert rows(path) == 1


def test_others_who_write_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moored.cli.gc.PATIENCE", 0.05)
    path = folder / "moored.db"
    leave(path, 1, 0)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as db:
        db.execute("BEGIN IMMEDIATE")
        done = run("gc", "--json", "--url", sqlite_url(path))
        assert done.exit_code == 4
        assert members(done)["error"]["code"] == "MRD-001"
        timer = threading.Timer(0.1, db.execute, ("ROLLBACK",))
        timer.start()
        assert run("gc", "--url", sqlite_url(path)).exit_code == 0
        timer.join()


def test_redis_does_it_itself(redis_url: str, shop_at: MakeShop) -> None:
    signed_in(shop_at(redis_url), "ann")
    assert members(run("gc", "--json", "--url", redis_url)) == {
        "engine": "redis",
        "removed": 0,
        "by": "server",
    }
    assert "by itself" in run("gc", "--url", redis_url).stdout


def test_memory_of_an_app(shop_at: MakeShop) -> None:
    app: Flask = shop_at("memory:")
    engine = mooring(app).state.binding.engine
    assert isinstance(engine, MemoryEngine)
    signed_in(app, "ann")
    engine.time = lambda: wall_clock() + 400 * 24 * HOUR
    assert members(run_in(app, "gc", "--json")) == {"engine": "memory", "removed": 2, "by": "moored"}
    assert engine.records == {}


def test_a_file_that_is_not_there(folder: Path) -> None:
    done = run("gc", "--url", "sqlite:///none.db")
    assert done.exit_code == 0
    assert "There is no state at" in done.stderr
    assert not (folder / "none.db").exists()
