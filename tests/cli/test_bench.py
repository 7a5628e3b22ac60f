"""``moored bench``: it measures, and leaves nothing behind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from tests.cli.conftest import MakeShop
from tests.cli.shop import members, run, run_in, signed_in, who

from moored.errors import Unavailable
from moored.flask.extension import mooring
from moored.testing.servers import RedisServer

QUICK = ("bench", "--yes", "--seconds", "0.3", "--clients", "2")
MEASURED = {"work", "operations", "failed", "seconds", "per_second", "p50_ms", "p99_ms", "round_trips"}


def left(url: str, redis_server: RedisServer) -> int:
    """How many records there are."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
            (count,) = db.execute("SELECT count(*) FROM moored_records").fetchone()
            return int(count)
    prefix = url.partition("prefix=")[2]
    return len(redis_server.cli("KEYS", f"{prefix}*"))


def test_it_measures_and_leaves_nothing(shop: Flask, url: str, redis_server: RedisServer) -> None:
    ann = signed_in(shop, "ann")
    before = left(url, redis_server)
    done = run(*QUICK, "--json", "--url", url)
    assert done.exit_code == 0, done.output
    said = members(done)
    assert set(said) == {"url", "engine", "clients", "results", "remarks"}
    assert said["clients"] == 2
    assert [each["work"] for each in said["results"]] == [
        "read a session",
        "read and change one",
        "add to a counter",
    ]
    for each, trips in zip(said["results"], (1, 2, 1), strict=True):
        assert set(each) == MEASURED
        assert each["failed"] == 0
        assert each["operations"] > 0
        assert 0.05 < each["seconds"] < 5
        assert each["per_second"] == pytest.approx(each["operations"] / each["seconds"], rel=0.02)
        assert 0 < each["p50_ms"] <= each["p99_ms"]
        assert each["round_trips"] == trips
    assert left(url, redis_server) == before
    assert who(ann) == "ann"


def test_for_people_and_under_flask(shop: Flask, redis_server: RedisServer, url: str) -> None:
    signed_in(shop, "ann")
    before = left(url, redis_server)
    done = run_in(shop, *QUICK)
    assert done.exit_code == 0, done.output
    heads, *rows = done.stdout.splitlines()
    assert heads.split("  ")[0] == "WORK"
    assert [row.split("  ")[0] for row in rows[:3]] == [
        "read a session",
        "read and change one",
        "add to a counter",
    ]
    assert "one Python process" in done.stdout
    assert left(url, redis_server) == before
    mooring(shop).state.counter("works").add()  # the app's state is still open


def test_it_asks(folder: Path) -> None:
    done = run("bench", "--url", "sqlite:///shop.db")
    assert done.exit_code == 2
    assert "This puts load on an engine that may be in use" in done.stderr
    assert not (folder / "shop.db").exists()


def test_when_the_engine_fails_meanwhile(
    shop_at: MakeShop, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = shop_at(sqlite_url)
    signed_in(app, "ann")
    from moored.cli.load import Load

    works: Any = Load.add
    calls = iter(range(10**9))

    async def fails_now_and_then(load: Load, credential: Any) -> Any:
        if next(calls) % 2:
            raise Unavailable("so to speak")
        return await works(load, credential)

    monkeypatch.setattr(Load, "add", fails_now_and_then)
    done = run(*QUICK, "--json", "--url", sqlite_url)
    assert done.exit_code == 1
    *_, adds = members(done)["results"]
    assert adds["failed"] > 0
    assert adds["operations"] > 0
    assert "Some operations failed" in done.stderr


def test_what_an_interrupted_one_leaves_is_gone_soon(
    shop: Flask, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it could remove anything: its records have deadlines."""
    from moored.cli.load import Load

    async def nothing(load: Load) -> None:
        return None

    monkeypatch.setattr(Load, "clean_up", nothing)
    assert run(*QUICK, "--url", url).exit_code == 0
    said = members(run("sessions", "list", "--json", "--url", url))
    assert len(said["sessions"]) == 2
    for session in said["sessions"]:
        shown = members(run("inspect", f"session:{session['selector']}", "--json", "--url", url))
        assert minutes(shown["changed"], shown["expires"]) <= 10.1


def minutes(earlier: str, later: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds() / 60
