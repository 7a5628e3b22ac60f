"""Sessions that are far too large, of which one small field is changed, on Redis."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks import apps
from benchmarks.apps import Client
from benchmarks.ground import Ground, cost
from benchmarks.measure import interleaved
from benchmarks.report import Cell, Result, Table, Target

TITLE = "Large sessions on Redis"
ROUNDS, TIMES = 25, 8

CART: dict[str, Any] = {"user_id": "", "cart": {"sku-01001": 1, "sku-01002": 2}}  # 20 bytes of change
BULK = {f"part-{number}": "0123456789" * 10_000 for number in range(10)}
MANY = {f"field-{number:05}": number for number in range(10_000)}


def run(ground: Ground) -> Result:
    tables, targets = [], []
    for title, content, limit, why in (
        ("ten fields of 100 KB", CART | BULK, 0.25, "all of it is read, 20 bytes of it are written"),
        ("10,000 small fields", CART | MANY, 1.0, "20,000 replies of HGETALL to one of GET"),
    ):
        clients = {
            "bare Flask": Client(apps.bare()),
            "by hand": Client(apps.by_hand_on_redis(ground.redis, content)),
            "Moored": Client(apps.moored(ground.redis, content)),
            "Flask-Session": Client(apps.flask_session_redis(ground.redis, content=content)),
            "Flask-Session, only changes": Client(
                apps.flask_session_redis(ground.redis, only_changes=True, content=content)
            ),
        }
        rows: dict[str, list[Cell]] = {name: [name] for name in clients}
        for act in ("read", "change"):
            ground.say(f"{title}, {act}: {ROUNDS} rounds of {TIMES} requests")
            found = interleaved({n: c.contender(f"/{act}", TIMES) for n, c in clients.items()}, ROUNDS)
            added = {name: figure.minus(found["bare Flask"]) for name, figure in found.items()}
            sent = {
                name: cost(ground, partial(client.call, f"/{act}"), 10).sent
                for name, client in clients.items()
            }
            for name in clients:
                rows[name] += [added[name] if name != "bare Flask" else found[name], sent[name]]
            if act == "change":
                ratio = added["Moored"].median / added["Flask-Session"].median
                what = f"{title}, one of 20 bytes changed : Flask-Session"
                targets.append(Target(what, ratio, at_most=limit, limited_by=why))
                if limit < 1:
                    what = f"{title}, one of 20 bytes changed: sent"
                    targets.append(Target(what, sent["Moored"], at_most=1000, unit="bytes"))
        columns = ["", "read: µs added", "bytes sent", "change: µs added", "bytes sent "]
        tables.append(Table(f"A session of {title}", columns, list(rows.values())))
    return Result(tables, targets)
