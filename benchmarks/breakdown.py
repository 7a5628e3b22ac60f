"""Where the microseconds of a request go that reads or changes its session: a profile of the paths.

The parts are timed alone, one after the other, by this process's own clock (user and system
time), Redis's by its own statistics; what is left of the request's time is waiting for the
server and the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from time import perf_counter, process_time
from typing import Any

from flask import Flask

from benchmarks import apps
from benchmarks.apps import Client, sqlite_url
from benchmarks.ground import Ground
from benchmarks.measure import Figure
from benchmarks.report import Cell, Result, Table
from moored.commands import Op, Patch, Read
from moored.kinds.sessions.record import from_cookie, session_key

TITLE = "Where the microseconds go"
ROUNDS, TIMES, USERS = 25, 200, 200
NOTHING = Op("", 0, 0)


def run(ground: Ground) -> Result:
    bare = Client(apps.bare(), USERS)
    urls = {"Redis": ground.redis, "SQLite NORMAL": sqlite_url(ground.path("profile.db"), "normal")}
    rows: list[list[Cell]] = []
    for name, url in {"memory": "memory:", **urls}.items():
        ground.say(f"{name}: parts of a request")
        app = apps.moored(url)
        client = Client(app, USERS)
        parts = Parts(ground, app, client)
        for act in ("read", "change"):
            own, wall = timed(partial(client.call, f"/{act}"))
            bare_own, bare_wall = timed(partial(bare.call, f"/{act}"))
            own, wall = own - bare_own, wall - bare_wall
            reading, writing = parts.reading, parts.writing if act == "change" else 0.0
            server = parts.server(f"/{act}") if name == "Redis" else 0.0
            rest = own - reading - writing - parts.cookie
            waiting = max(wall - own - server, 0.0)
            rows.append([f"{name}, {act}", wall, parts.cookie, reading, writing, rest, server, waiting])
    columns = ["", "added", "cookie and its check", "engine: Read", "engine: Patch"]
    columns += ["policy, draft, codec, Flask's hooks", "Redis itself", "waiting"]
    return Result([Table("Microseconds, by part", columns, rows)], [])


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Microseconds of a call: this process's own, and by the wall; medians of rounds."""
    own, wall = [], []
    for _ in range(ROUNDS):
        began, started = process_time(), perf_counter()
        for _ in range(TIMES):
            call()
        own.append((process_time() - began) / TIMES * 1e6)
        wall.append((perf_counter() - started) / TIMES * 1e6)
    return Figure.of(own).median, Figure.of(wall).median


class Parts:
    """The parts of a request, each timed alone."""

    def __init__(self, ground: Ground, app: Flask, client: Client) -> None:
        self._ground, self._client = ground, client
        host = app.extensions["moored"].interface.host
        engine, ring = host.binding.engine, host.store.ring()
        engine.connect(2.0)
        value = client.cookie.partition("=")[2]
        credential = from_cookie(value, ring)
        assert credential is not None
        key = session_key(credential.selector)
        fields = engine.execute((Read(key),), (NOTHING,), 2.0)[0].fields

        def patch() -> None:
            now = engine.time()
            match = {".cart": fields[".cart"], "@generation": fields["@generation"]}
            command = Patch(
                key, {".cart": fields[".cart"]}, (), {"@seen": 0}, match, ttl=10**9, within="@absolute"
            )
            engine.execute((command,), (Op(os.urandom(8).hex(), now, now + 2_000_000),), 2.0)

        self.cookie = timed(lambda: from_cookie(value, ring))[0]
        self.reading = timed(lambda: engine.execute((Read(key),), (NOTHING,), 2.0))[0]
        self.writing = timed(patch)[0]

    def server(self, path: str, times: int = 500) -> float:
        """The microseconds that Redis itself counts for one request."""
        self._ground.server.cli("CONFIG", "RESETSTAT")
        for _ in range(times):
            self._client.call(path)
        spent = 0.0
        for line in str(self._ground.server.cli("INFO", "commandstats")).splitlines():
            name, _, figures = line.partition(":")
            if name in (
                "cmdstat_hgetall",
                "cmdstat_time",
                "cmdstat_evalsha",
            ):  # scripts count their calls too
                found: dict[str, Any] = dict(part.split("=") for part in figures.split(","))
                spent += int(found["usec"])
        return spent / times
