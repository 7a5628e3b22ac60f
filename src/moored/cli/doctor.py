"""``moored doctor``: looks for what is wrong, or will be, and says what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import click

from moored.cli import screen
from moored.cli.checks import Finding, Severity, engine, names, ok, secret, warning
from moored.cli.command import Command, finding, json_option, put_json, url_option
from moored.cli.target import Target, file_of, target

STYLES = {
    Severity.OK: "green",
    Severity.NOTE: "cyan",
    Severity.WARNING: "yellow",
    Severity.ERROR: "bold red",
}


@click.command(cls=Command)
@click.option("--thorough", is_flag=True, help="Also read all of a SQLite file, to see that it is whole.")
@url_option
@json_option
def doctor(thorough: bool, as_json: bool) -> None:
    """Look for what is wrong, or will be, and say what to do.

    The exit status is 1 if there is an error; warnings leave it 0.
    """
    found = sorted(examine(target(), thorough=thorough), key=lambda each: each.id)
    worst = max(found, key=lambda each: list(Severity).index(each.severity)).severity
    if as_json:
        put_json({"worst": worst, "findings": found})
    else:
        show(found)
    if worst is Severity.ERROR:
        finding()


def examine(about: Target, *, thorough: bool = False) -> Iterator[Finding]:
    """Everything that there is to look at, one after the other."""
    app = about.app
    yield names.check(about)
    state = engine.url(about)
    if isinstance(state, Finding):
        yield state
        yield engine.versions(None, app is not None)
        return
    yield ok("MRD-D001", f"The state is kept at {state.url} ({about.source}).")
    yield engine.versions(state, app is not None)
    path = file_of(state.url)
    if path is not None:
        from moored.cli.checks import sqlite

        yield from sqlite.check(path, state.url.options.get("synchronous", "full"), thorough=thorough)
    yield engine.answers(state)  # after a look at the file, because opening it sets right what it can
    if state.url.scheme == "memory":
        yield warning(
            "MRD-D006",
            "State in memory: nothing survives a restart, and every process has its own.",
            "Use it for tests and in one process; else sqlite: or redis:.",
        )
    elif path is None:
        from moored.cli.checks import redis

        yield from redis.check(state)
    yield from secret.check(about)
    if app is not None:
        from moored.cli.checks import flask_app

        yield from flask_app.check(app)


def show(found: list[Finding]) -> None:
    """Write them for people."""
    rows: list[tuple[screen.Cell, ...]] = []
    for each in found:
        lines = each.what if not each.cure else f"{each.what}\n→ {each.cure}"
        rows.append(((each.severity, STYLES[each.severity]), (each.id, "dim"), lines))
    screen.table(rows)
    counts = Counter(each.severity for each in found)
    told = [_counted(counts[severity], severity) for severity in reversed(Severity) if counts[severity]]
    screen.say("\n" + ", ".join(told))


def _counted(number: int, severity: Severity) -> str:
    return f"{number} {severity}{'s' if number > 1 and severity is not Severity.OK else ''}"
