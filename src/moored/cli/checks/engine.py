"""Any engine: its URL, whether it answers, and what this process runs on."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from moored import __version__
from moored.cli.checks import Finding, error, ok, warning
from moored.cli.target import Target, file_of
from moored.errors import MooredError
from moored.state import State

_SENTENCE = re.compile(r"((?:\([^)]*\)|\.(?! )|[^.(])+)\. (.+)")  # the first one, brackets kept whole

ROUNDS = 9
SLOW = 0.05  # seconds: a page that changes its session waits for two of them

DRIVERS = {"redis": ("redis", "hiredis"), "rediss": ("redis", "hiredis"), "unix": ("redis", "hiredis")}


def url(target: Target) -> State | Finding:
    """The state that the URL names, or what is wrong with the URL."""
    try:
        return target.state
    except MooredError as wrong:
        return told("MRD-D001", wrong)


def answers(state: State) -> Finding:
    """Does the engine answer a read, and how fast?"""
    path = file_of(state.url)
    if path is not None and not path.exists():
        return ok("MRD-D002", "There is no SQLite file yet; the first change makes it.")
    taken = []
    try:
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            state.counter("moored doctor").value()
            taken.append(time.perf_counter() - began)
    except MooredError as wrong:
        return told("MRD-D002", wrong)
    typical = median(taken[1:])
    what = (
        f"The engine answers a read in {typical * 1000:.2g} ms (the first one took {taken[0] * 1000:.2g} ms)."
    )
    if typical < SLOW:
        return ok("MRD-D002", what)
    return warning(
        "MRD-D002", what, "Bring application and engine closer together: a change takes two of these."
    )


def versions(state: State | None, flask: bool) -> Finding:
    """What this runs on."""
    names = ["msgspec"] + ["flask"] * flask
    found = [f"Moored {__version__}", f"Python {platform.python_version()}"]
    if state is not None:
        names += DRIVERS.get(state.url.scheme, ())
        if state.url.scheme == "sqlite":
            import sqlite3

            found.append(f"SQLite {sqlite3.sqlite_version}")
    return ok("MRD-D003", ", ".join([*found, *_installed(names)]) + ".")


def _installed(names: list[str]) -> Iterator[str]:
    for name in names:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def told(id: str, wrong: MooredError) -> Finding:
    """An error of Moored's as a finding: its first sentence says what, the others what to do."""
    text = " ".join(str(wrong).removesuffix(f" [{wrong.code}]").split())
    parts = _SENTENCE.fullmatch(text)
    what, cure = parts.groups() if parts else (text.removesuffix("."), "")
    return error(id, f"{what[0].upper()}{what[1:]} [{wrong.code}].", cure)
