"""What an engine tells of itself: how much it does, how large it is, how full."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moored.cli.target import file_of
from moored.errors import Unavailable
from moored.run import Telling
from moored.state import State

if TYPE_CHECKING:
    import sqlite3

PATIENCE = 2.0  # seconds


class Pulse:
    """Looks at an engine now and then: rates are since the look before, and None at the first.

    ``every``: how often, in seconds, ``glance`` is to be called between two looks.
    """

    every: float = 0.25

    def look(self) -> dict[str, Any]:
        """What is to be told; memory tells nothing."""
        return {}

    def glance(self) -> None:
        """Notice what can only be noticed in passing."""

    def close(self) -> None:
        """Give back what it holds."""


def pulse_of(state: State) -> Pulse:
    """That of the state's engine."""
    engine, path = state.binding.engine, file_of(state.url)
    if isinstance(engine, Telling):
        return OfRedis(engine)
    return Pulse() if path is None or not path.exists() else OfSqlite(path)


# --- Redis ------------------------------------------------------------------------------------


class OfRedis(Pulse):
    """Redis, by INFO: ``reads`` and ``changes`` are Moored's commands, also those of other applications."""

    reads: tuple[str, ...] = ("hgetall", "hmget")
    changes: tuple[str, ...] = ("evalsha",)

    def __init__(self, engine: Telling) -> None:
        self._engine = engine
        self._before: tuple[float, Mapping[str, str]] | None = None

    def look(self) -> dict[str, Any]:
        """What INFO says; nothing where the user may not ask."""
        try:
            info = self._engine.info(PATIENCE)
        except Unavailable as error:
            if error.outage:
                raise
            return {}
        now, before = time.monotonic(), self._before
        self._before = now, info

        def rate(*names: str, of: Callable[[Mapping[str, str], str], int] = _number) -> float | None:
            if before is None:
                return None
            then, earlier = before
            more = sum([of(info, name) - of(earlier, name) for name in names])
            return round(max(0, more) / max(now - then, 1e-3), 1)  # CONFIG RESETSTAT takes all to 0

        return {
            "server_version": info.get("valkey_version") or info.get("redis_version"),
            "commands_per_second": _number(info, "instantaneous_ops_per_sec"),
            "reads_per_second": rate(*self.reads, of=_calls),
            "changes_per_second": rate(*self.changes, of=_calls),
            "expired_per_second": rate("expired_keys"),
            "evicted": _number(info, "evicted_keys"),
            "clients": _number(info, "connected_clients"),
            "memory_bytes": _number(info, "used_memory"),
            "memory_limit_bytes": _number(info, "maxmemory") or None,
        }


def _number(info: Mapping[str, str], name: str) -> int:
    found = info.get(name, "0")
    return int(found) if found.isdecimal() else 0


def _calls(info: Mapping[str, str], command: str) -> int:
    """How often a command was called, by the line ``cmdstat_…:calls=…,usec=…``."""
    calls = info.get(f"cmdstat_{command}", "").partition("calls=")[2].partition(",")[0]
    return int(calls) if calls.isdecimal() else 0


# --- SQLite -----------------------------------------------------------------------------------


class OfSqlite(Pulse):
    """A SQLite file.  Of commits it tells only that there were some since the last glance."""

    every: float = 0.025

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._version = 0
        self._began: float | None = None
        self._changes = 0

    def look(self) -> dict[str, Any]:
        """Sizes, and how many glances saw that somebody had committed."""
        self.glance()
        now, began = time.monotonic(), self._began
        seen, self._changes, self._began = self._changes, 0, now
        at_least = None if began is None else round(seen / max(now - began, 1e-3), 1)
        return {
            "commits_per_second_at_least": at_least,
            "file_bytes": _size(self._path),
            "log_bytes": _size(Path(f"{self._path}-wal")),
        }

    def glance(self) -> None:
        """Ask whether another connection has committed (SQLite's ``PRAGMA data_version``)."""
        import sqlite3

        try:
            if self._db is None:
                self._db = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None)
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:  # the engine tells what is wrong
            return
        self._changes += self._version not in (0, version)
        self._version = version

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            self._db.close()


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
