"""Many clients that write to one session at once, beside the same clients on sessions of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import flask
from flask import Flask
from msgspec import Struct

from benchmarks import apps
from benchmarks.apps import Client, sqlite_url
from benchmarks.ground import Ground
from benchmarks.measure import Figure, percentile
from benchmarks.report import Cell, Result, Table, Target

TITLE = "Contention: clients that write to one session at once"
CLIENTS, TIMES, ROUNDS = 32, 10, 7
FIELDS = 50  # clients, each with a field of its own
PROCESSES = 4

Ask = Callable[[Client, int, int], None]  # one request of the client of that number, its so-manieth


class Run(Struct):
    """Of one round: milliseconds of each request, steps that wrote, requests that failed."""

    times: list[float]
    steps: int
    errors: int

    @property
    def steps_a_save(self) -> float:
        return self.steps / len(self.times)


def shop(app: Flask) -> Flask:
    """The application with a list to append to, and with fields to count in."""

    @app.get("/append/<item>")
    def append(item: str) -> str:
        items = flask.session.get("items", [])
        items.append(item)
        flask.session["items"] = items
        return "ok"

    @app.get("/items")
    def items() -> list[str]:
        found: list[str] = flask.session["items"]
        return found

    @app.get("/field/<int:number>")
    def field(number: int) -> str:
        flask.session[f"field-{number}"] = flask.session.get(f"field-{number}", 0) + 1
        return "ok"

    return app


def append(client: Client, number: int, time: int) -> None:
    client.call(f"/append/{number}-{time}")


def count_in_own_field(client: Client, number: int, time: int) -> None:
    client.call(f"/field/{number}")


class Steps:
    """Counts the steps that write, if the application keeps its sessions in Moored."""

    def __init__(self, app: Flask) -> None:
        self.count = 0
        if "moored" in app.extensions:
            app.extensions["moored"].state.observe(self._note)

    def _note(self, sent: Any) -> None:
        if "Patch" in sent.commands or "Put" in sent.commands:
            self.count += sent.attempts


def together(
    app: Flask, steps: Steps, cookies: list[str], ask: Ask, first: int = 0, times: int = TIMES
) -> Run:
    """One client for each cookie, all at once, each so many requests one after the other."""
    clients = [Client(app, cookie=cookie) for cookie in cookies]
    barrier = threading.Barrier(len(clients))
    took: list[list[float]] = [[] for _ in clients]
    errors = [0] * len(clients)

    def work(at: int) -> None:
        barrier.wait()
        for time in range(times):
            started = perf_counter()
            try:
                ask(clients[at], first + at, time)
            except RuntimeError:
                errors[at] += 1
            took[at].append((perf_counter() - started) * 1000)

    before = steps.count
    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Run([time for mine in took for time in mine], steps.count - before, sum(errors))


def in_a_process(url: str, first: int, shared: list[str], own: list[str], barrier: Any, results: Any) -> None:
    """What one of several processes does: its part of the clients, in every round."""
    app = shop(apps.moored(url))
    steps = Steps(app)
    Client(app, cookie=own[0]).call("/read")  # connects
    for cookie in shared:
        for cookies in ([cookie] * len(own), own):
            barrier.wait()
            results.put((cookies is own, together(app, steps, cookies, append, first)))


def in_processes(url: str, shared: list[str], own: list[str]) -> tuple[list[Run], list[Run]]:
    """The rounds on one session and on own ones, by clients in several processes."""
    context = get_context("spawn")
    barrier, results = context.Barrier(PROCESSES), context.Queue()
    part = len(own) // PROCESSES
    workers = [
        context.Process(target=in_a_process, args=(url, at, shared, own[at : at + part], barrier, results))
        for at in range(0, len(own), part)
    ]
    for worker in workers:
        worker.start()
    parts = [results.get(timeout=120) for _ in range(PROCESSES * len(shared) * 2)]
    for worker in workers:
        worker.join()
    # The parts of a round arrive before those of the next one, because of the barrier.
    found: list[list[Run]] = [[], []]
    for at, runs in enumerate(([r for mine, r in parts if not mine], [r for mine, r in parts if mine])):
        for start in range(0, len(runs), PROCESSES):
            some = runs[start : start + PROCESSES]
            times = [time for run in some for time in run.times]
            found[at].append(Run(times, sum(r.steps for r in some), sum(r.errors for r in some)))
    return found[0], found[1]


def run(ground: Ground) -> Result:
    rows: list[list[Cell]] = []
    targets = []
    urls = {
        "Redis": ground.redis,
        "SQLite FULL": sqlite_url(ground.path("contention.db"), "full"),
        "memory": "memory:",
    }
    ways = {f"Moored, {name}": apps.moored(url) for name, url in urls.items()}
    ways["Flask-Session, Redis"] = apps.flask_session_redis(ground.redis)
    for name, app in ways.items():
        ground.say(f"{name}: {ROUNDS} rounds, {CLIENTS} threads, {TIMES} appends each")
        shop(app)
        steps = Steps(app)
        shared, own = sessions(app, ROUNDS), sessions(app, CLIENTS)
        one, many = [], []
        for cookie in shared:
            one.append(together(app, steps, [cookie] * CLIENTS, append))
            many.append(together(app, steps, own, append))
        row, ratio, kept = summary(app, one, many, shared)
        rows.append([f"{name}, {CLIENTS} threads", *row])
        if not name.startswith("Moored"):
            continue
        targets += judged(name, one, ratio, kept)
    for name in ("Redis", "SQLite FULL"):
        ground.say(f"Moored, {name}: the same clients in {PROCESSES} processes")
        app = ways[f"Moored, {name}"]
        shared, own = sessions(app, ROUNDS), sessions(app, CLIENTS)
        one, many = in_processes(urls[name], shared, own)
        row, *_ = summary(app, one, many, shared)
        rows.append([f"Moored, {name}, {PROCESSES} × {CLIENTS // PROCESSES} threads", *row])
    columns = [
        f"{PROCESSES} ×: in as many processes",
        "one session: p50 ms",
        "p99 ms",
        "own sessions: p50 ms",
        "p99 ms ",
        "p99 ratio",
    ]
    columns += ["steps a save", "errors", "items kept"]
    table = Table(f"{CLIENTS} clients append to one cart, or each to a cart of their own", columns, rows)
    return Result([table, own_fields(ways, targets)], targets)


def sessions(app: Flask, count: int) -> list[str]:
    """The cookies of so many new sessions."""
    return [Client(app).cookie for _ in range(count)]


def items_kept(app: Flask, cookie: str) -> int:
    client = Client(app, cookie=cookie)
    client.call("/items")
    return len(set(flask.json.loads(client.body)))


def summary(
    app: Flask, one: list[Run], many: list[Run], shared: list[str]
) -> tuple[list[Cell], float, tuple[int, int]]:
    """A row; the ratio of the p99s; how many of all items were kept."""
    p50, p99 = (Figure.of([percentile(r.times, percent) for r in one]) for percent in (50, 99))
    own50, own99 = (Figure.of([percentile(r.times, percent) for r in many]) for percent in (50, 99))
    kept = sum(items_kept(app, cookie) for cookie in shared)
    asked = sum(len(run.times) for run in one)
    ratio = p99.median / own99.median
    errors = sum(run.errors for run in one + many)
    steps = Figure.of([run.steps_a_save for run in one]) if one[0].steps else ""
    return [p50, p99, own50, own99, ratio, steps, errors, f"{kept} of {asked}"], ratio, (kept, asked)


def judged(name: str, one: list[Run], ratio: float, kept: tuple[int, int]) -> list[Target]:
    steps = Figure.of([run.steps_a_save for run in one]).median
    lost = kept[1] - kept[0] + sum(run.errors for run in one)
    return [
        Target(f"{CLIENTS} on one cart, {name}: lost or failed", lost, at_most=0, unit="items"),
        Target(
            f"{CLIENTS} on one cart, {name}: p99 : own carts",
            ratio,
            at_most=5,
            limited_by="on one session saves follow each other, on several they overlap",
        ),
        Target(
            f"{CLIENTS} on one cart, {name}: steps a save",
            steps,
            at_most=3,
            unit="steps",
            limited_by="one to find it changed, one to save",
        ),
    ]


def own_fields(ways: dict[str, Flask], targets: list[Target]) -> Table:
    """Clients that each write a field of their own of one session: nobody has to try again."""
    rows: list[list[Cell]] = []
    for name, app in ways.items():
        if not name.startswith("Moored"):
            continue
        steps, cookies = Steps(app), sessions(app, 1) * FIELDS
        runs = [together(app, steps, cookies, count_in_own_field) for _ in range(3)]
        again = sum(run.steps - len(run.times) for run in runs)
        times = [percentile(run.times, 99) for run in runs]
        rows.append([name, sum(len(run.times) for run in runs), again, Figure.of(times)])
        targets.append(
            Target(f"{FIELDS} on {FIELDS} fields, {name}: retries", again, at_most=0, unit="steps")
        )
    columns = ["", "saves", "steps beyond one a save", "p99 ms"]
    return Table(f"{FIELDS} clients write {FIELDS} fields of one session", columns, rows)
