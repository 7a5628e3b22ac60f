"""What a session adds to a request, in every way that is compared."""

from __future__ import annotations

from functools import partial

from flask import Flask

from benchmarks import apps
from benchmarks.apps import ACTS, Client
from benchmarks.ground import Ground, cost
from benchmarks.measure import Figure, interleaved
from benchmarks.report import Cell, Result, Table, Target

TITLE = "A session of 1 KB in a request"
ROUNDS, TIMES = 25, 100
USERS = 500  # who take turns, so that no session is written more often than a busy user's is

BARE = "bare Flask"
COOKIE = "Flask's cookie"
FILES = "Flask-Session, files"
HAND, PEER, MOORED = "by hand, {}", "Flask-Session, {}", "Moored, {}"
REDIS, NORMAL, FULL = "Redis", "SQLite NORMAL", "SQLite FULL"


def contenders(ground: Ground) -> dict[str, Flask]:
    found = {
        BARE: apps.bare(),
        COOKIE: apps.flask_cookie(),
        "Moored, memory": apps.moored("memory:"),
        HAND.format(REDIS): apps.by_hand_on_redis(ground.redis),
        MOORED.format(REDIS): apps.moored(ground.redis),
        PEER.format(REDIS): apps.flask_session_redis(ground.redis),
        "Flask-Session, Redis, only changes": apps.flask_session_redis(ground.redis, only_changes=True),
        FILES: apps.flask_session_files(ground.path("files")),
    }
    for name, mode in ((NORMAL, "normal"), (FULL, "full")):
        hand, mine, peer = (ground.path(f"{who}-{mode}.db") for who in ("hand", "moored", "peer"))
        found[HAND.format(name)] = apps.by_hand_on_sqlite(hand, mode)
        found[MOORED.format(name)] = apps.moored(apps.sqlite_url(mine, mode))
        found[PEER.format(name)] = apps.flask_session_sqlalchemy(peer, mode)
    return found


def run(ground: Ground) -> Result:
    clients = {name: Client(app, USERS) for name, app in contenders(ground).items()}
    added: dict[str, dict[str, Figure]] = {}
    for act in ACTS:
        ground.say(f"{act}: {len(clients)} ways, {ROUNDS} rounds of {TIMES} requests")
        found = interleaved({n: c.contender(f"/{act}", TIMES) for n, c in clients.items()}, ROUNDS)
        added[act] = {name: figure.minus(found[BARE]) for name, figure in found.items()}
        added[act][BARE] = found[BARE]
    ground.say("counting round trips and bytes")
    times = Table(
        "Microseconds added over bare Flask (its own time in the first row)",
        ["", *ACTS],
        [[name, *[added[act][name] for act in ACTS]] for name in clients],
    )
    return Result([times, _costs(ground, clients)], _targets(added, clients))


def _costs(ground: Ground, clients: dict[str, Client]) -> Table:
    """Of each request: its round trips to Redis, bytes there and back, bytes to files, headers."""
    rows: list[list[Cell]] = []
    for name, client in clients.items():
        told: list[Cell] = []
        for act in ACTS:
            spent = cost(ground, partial(client.call, f"/{act}"))
            parts = []
            if trips := round(spent.packets):
                parts.append(f"{trips} × Redis: {spent.sent:,.0f} out, {spent.received:,.0f} in")
            if spent.written:
                parts.append(f"{spent.written:,.0f} to disk")
            sent = {header for header, _ in client.headers}
            parts += [header for header in ("Set-Cookie", "Vary") if header in sent]
            told.append("; ".join(parts) or "–")
        rows.append([name, *told])
    return Table("Round trips and bytes of each request, and its headers", ["", *ACTS], rows)


def _targets(added: dict[str, dict[str, Figure]], clients: dict[str, Client]) -> list[Target]:
    def ratio(act: str, mine: str, other: str) -> float:
        return added[act][mine].median / added[act][other].median

    def beside(act: str, engine: str, peer: str, at_most: float, why: str) -> Target:
        by_hand = ratio(act, HAND.format(engine), peer)
        what = f"{act}, {MOORED.format(engine)} : {peer}"
        measured = ratio(act, MOORED.format(engine), peer)
        return Target(what, measured, at_most=at_most, limited_by=f"{why}; by hand: {by_hand:.2f} ×")

    untouched = max(added["untouched"][name].median for name in clients if name.startswith("Moored"))
    python = "the Python of this process"
    return [
        Target(
            "untouched, slowest engine: added",
            untouched,
            at_most=15,
            unit="µs",
            limited_by="making one object",
        ),
        beside("read", REDIS, PEER.format(REDIS), 0.5, "one round trip to two, then " + python),
        beside("change", REDIS, PEER.format(REDIS), 0.7, "two round trips to two, a script to a SET"),
        beside("read", NORMAL, PEER.format(NORMAL), 0.1, python),
        beside("change", NORMAL, PEER.format(NORMAL), 0.1, python),
        beside("read", NORMAL, FILES, 0.25, python),
        beside("change", NORMAL, FILES, 0.25, python),
        beside("read", FULL, PEER.format(FULL), 0.4, python),
        beside("change", FULL, PEER.format(FULL), 0.4, "one wait for the disk to one"),
    ]
