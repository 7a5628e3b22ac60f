"""What a session of 1 KB takes of Redis's memory."""

from __future__ import annotations

from typing import Any

import msgspec
from redis import Redis

from benchmarks import apps
from benchmarks.apps import SESSION, Client
from benchmarks.ground import Ground
from benchmarks.report import Cell, Result, Table, Target

TITLE = "Redis's memory for a session of 1 KB"
SESSIONS = 10_000
SIGNED_OUT = {("visitor" if name == "user_id" else name): value for name, value in SESSION.items()}


def run(ground: Ground) -> Result:
    rows: list[list[Cell]] = []
    found = {}
    for name, app in {
        "Flask-Session": apps.flask_session_redis(ground.redis),
        "Moored": apps.moored(ground.redis),
    }.items():
        ground.say(f"{name}: {SESSIONS:,} sessions of signed-in users")
        ground.server.cli("FLUSHALL")
        before = ground.used_memory()
        Client(app, SESSIONS)
        total = (ground.used_memory() - before) / SESSIONS
        keys = ground.server.cli("KEYS", "*session:*")
        one = sum(ground.server.cli("MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys[:500]) / 500
        found[name] = total, one
        rows.append([name, one, total, ground.server.cli("OBJECT", "ENCODING", keys[0])])
    ratio = found["Moored"][1] / found["Flask-Session"][1]
    tables = [
        Table(
            "Bytes of one signed-in session",
            ["", "its key (MEMORY USAGE)", f"all, at {SESSIONS:,} (used_memory)", "encoding"],
            rows,
        ),
        layouts(ground),
    ]
    what = "Redis memory of a session : Flask-Session's"
    why = "a hash with a field longer than 64 bytes takes 50 to 70 bytes for each of its fields"
    return Result(tables, [Target(what, ratio, limited_by=why)])


def layouts(ground: Ground) -> Table:
    """The same session laid out in other ways, and what a hash would take with other server settings."""
    app = apps.moored(ground.redis)
    ground.server.cli("FLUSHALL")
    Client(app)
    key = ground.server.cli("KEYS", "*session:*")[0]
    with Redis.from_url(ground.redis) as client:
        held: dict[bytes, bytes] = client.hgetall(key)
    of_moored = {name: value for name, value in held.items() if name[:1] != b":" or name[:2] == b":@"}
    of_app = {name: value for name, value in held.items() if name not in of_moored}
    packed, ours = msgspec.msgpack.encode(of_app), msgspec.msgpack.encode(of_moored)
    rows: list[list[Cell]] = []

    def measure(name: str, *words: Any) -> None:
        ground.server.cli("DEL", "layout")
        ground.server.cli(*words)
        ground.server.cli("PEXPIRE", "layout", 60_000_000)
        usage = ground.server.cli("MEMORY", "USAGE", "layout", "SAMPLES", 0)
        rows.append([name, usage, ground.server.cli("OBJECT", "ENCODING", "layout")])

    def flat(fields: dict[bytes, bytes]) -> list[bytes]:
        return [word for pair in fields.items() for word in pair]

    measure("one string, all packed (the least)", "SET", "layout", msgspec.msgpack.encode(held))
    measure("a hash: a field for each (today)", "HSET", "layout", *flat(held))
    measure(
        "a hash: ours packed, a field for each of the application's",
        "HSET",
        "layout",
        "m",
        ours,
        *flat(of_app),
    )
    measure(
        "a hash: a field for each of ours, the application's packed",
        "HSET",
        "layout",
        "f",
        packed,
        *flat(of_moored),
    )
    measure("a hash: ours packed, the application's packed", "HSET", "layout", "m", ours, "f", packed)
    setting = ground.server.cli("CONFIG", "GET", "hash-max-listpack-value")
    ground.server.cli("CONFIG", "SET", "hash-max-listpack-value", 1024)
    measure("a field for each, hash-max-listpack-value 1024 on the server", "HSET", "layout", *flat(held))
    ground.server.cli("CONFIG", "SET", *setting)
    return Table("The same session in other layouts", ["", "bytes (MEMORY USAGE)", "encoding"], rows)
