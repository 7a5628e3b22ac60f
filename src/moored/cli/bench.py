"""``moored bench``: what the engine does from here, under a short load of its own."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import click
from msgspec import Struct, to_builtins

from moored.cli import screen
from moored.cli.command import (
    Command,
    Exit,
    confirm,
    json_option,
    put_json,
    url_option,
    yes_option,
)
from moored.cli.load import Load, Work
from moored.cli.target import target
from moored.errors import MooredError
from moored.policy import Sent
from moored.state import State

GLANCE = 0.1  # seconds between two looks at how far it is
HERE = (
    "Measured by {} of one Python process, which is busy with being a client, too: an application of several"
    " processes may get more out of the engine."
)
TOGETHER = (
    "Each client has a session of its own, all add to one counter. What others did meanwhile is included."
)
NO_TRIPS = "A step of SQLite or of memory goes over no network; on SQLite one that changes is a transaction."


class Figures(Struct, frozen=True):
    """What one kind of work came to; times are in milliseconds."""

    work: str
    operations: int
    failed: int
    seconds: float
    per_second: float
    p50_ms: float | None
    p99_ms: float | None
    round_trips: float | None


@click.command(cls=Command)
@click.option(
    "--seconds",
    type=click.FloatRange(0.3, 60),
    default=3.0,
    show_default=True,
    help="How long it takes in all.",
)
@click.option(
    "--clients",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Threads that work at the same time.",
)
@yes_option
@url_option
@json_option
def bench(seconds: float, clients: int, yes: bool, as_json: bool) -> None:
    """Measure what the engine does from here, under a short load.

    Reads sessions, changes them and adds to a counter for a few seconds, as fast as it
    can, in records of its own, which it removes afterwards. A server that is in use is
    slower for the others meanwhile.
    """
    state = target().state
    confirm(
        f"This puts load on {state.url} for {seconds:g} s, and slows down whoever else uses it. Go on?",
        yes,
        "This puts load on an engine that may be in use",
    )
    found = measure(state, seconds, clients)
    remarks = [HERE.format("1 thread" if clients == 1 else f"{clients} threads"), TOGETHER]
    if state.binding.engine.name in ("sqlite", "memory"):
        remarks.append(NO_TRIPS)
    if as_json:
        put_json(
            {
                "url": str(state.url),
                "engine": state.binding.engine.name,
                "clients": clients,
                "results": to_builtins(found),
                "remarks": remarks,
            }
        )
    else:
        _show(found, remarks)
    if any([figures.failed for figures in found]):
        screen.note("Some operations failed; the times are those of the others.")
        click.get_current_context().exit(Exit.FINDING)


def measure(state: State, seconds: float, clients: int) -> list[Figures]:
    """The figures of each kind of work.  Raises what the engine raises before anything is measured."""
    load = Load(f"moored bench {secrets.token_hex(8)}")
    trips: list[int] = []

    def count(sent: Sent) -> None:
        trips.append(sent.attempts)

    run = state.binding.run
    try:
        sessions = [run(load.session()) for _ in range(clients)]
        run(load.add(sessions[0]))
        state.observe(count)
        works: dict[str, Work] = {
            "read a session": load.read,
            "read and change one": load.change,
            "add to a counter": load.add,
        }
        each = seconds / len(works)
        with screen.Progress("") as progress:
            return [
                _measure(state, name, work, sessions, each, trips, progress) for name, work in works.items()
            ]
    finally:
        with suppress(ValueError):
            state.binding.policy.observers.remove(count)
        with suppress(MooredError):  # all of it expires by itself in some minutes
            run(load.clean_up())


def _measure(
    state: State,
    name: str,
    work: Work,
    sessions: list[Any],
    seconds: float,
    trips: list[int],
    progress: screen.Progress,
) -> Figures:
    """One kind of work by one thread for each session."""
    trips.clear()
    stop = Event()
    taken: list[list[float]] = [[] for _ in sessions]
    failed = [0] * len(sessions)
    broken: list[BaseException] = []

    def client(number: int) -> None:
        session, run, mine = sessions[number], state.binding.run, taken[number]
        try:
            while not stop.is_set():
                began = time.perf_counter()
                try:
                    session = run(work(session))
                except MooredError:
                    failed[number] += 1
                    stop.wait(GLANCE)  # an engine that refuses is not to be hammered
                    continue
                mine.append(time.perf_counter() - began)
        except BaseException as error:
            broken.append(error)
            stop.set()

    threads = [Thread(target=client, args=(number,)) for number in range(len(sessions))]
    began = time.perf_counter()
    try:
        for thread in threads:
            thread.start()
        while (left := seconds - (time.perf_counter() - began)) > 0 and not stop.wait(min(GLANCE, left)):
            progress.at(sum(map(len, taken)), f"operations: {name}")
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    lasted = time.perf_counter() - began
    if broken:
        raise broken[0]
    return _figures(name, sorted([each for one in taken for each in one]), sum(failed), lasted, sum(trips))


def _figures(name: str, taken: list[float], failed: int, lasted: float, trips: int) -> Figures:
    done = len(taken)

    def quantile(part: float) -> float | None:
        return round(taken[min(done - 1, int(done * part))] * 1000, 4) if done else None

    per_operation = round(trips / (done + failed), 2) if done + failed else None
    return Figures(
        name,
        done,
        failed,
        round(lasted, 3),
        round(done / lasted, 1),
        quantile(0.5),
        quantile(0.99),
        per_operation,
    )


def _show(found: list[Figures], remarks: list[str]) -> None:
    rows: list[tuple[screen.Cell, ...]] = [
        (
            each.work,
            f"{each.per_second:,.0f}",
            _milliseconds(each.p50_ms),
            _milliseconds(each.p99_ms),
            "-" if each.round_trips is None else f"{each.round_trips:.2f}",
            (str(each.failed), "bold red" if each.failed else "dim"),
        )
        for each in found
    ]
    screen.table(rows, ("WORK", "A SECOND", "HALF WITHIN", "99 % WITHIN", "ROUND TRIPS", "FAILED"))
    screen.say("")
    for remark in remarks:
        screen.say(remark)


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} ms"
