"""The memory engine: the model under a lock.  Nothing survives the process, nothing is shared with others."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from moored.commands import Command, Op, Page, Record, Scan, Step
from moored.model import apply
from moored.url import Url


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class MemoryEngine:
    """Keeps records in this process; ``clock`` answers microseconds since 1970."""

    name: ClassVar[str] = "memory"
    traits: ClassVar[frozenset[str]] = frozenset({"server_clock", "scans"})
    options: ClassVar[dict[str, Callable[[str], Any]]] = {}

    _all: ClassVar[weakref.WeakSet[MemoryEngine]] = weakref.WeakSet()

    def __init__(self, clock: Callable[[], int] = wall_clock) -> None:
        self.records: dict[str, Record] = {}
        self.time = clock
        self._lock = threading.Lock()
        self._writes = 0  # since expired records were last swept
        self._all.add(self)

    @classmethod
    def after_fork(cls) -> None:
        """Make new locks in a child process: nobody there lets go of what other threads held."""
        for engine in cls._all:
            engine._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: Url) -> MemoryEngine:
        """``memory:`` and nothing else."""
        url.refuse_place('memory: names no place; every State("memory:") has a store of its own.')
        return cls()

    def connect(self, timeout: float) -> None:
        """There is nothing to reach."""

    async def aconnect(self, timeout: float) -> None:
        """There is nothing to reach."""

    def execute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """Carry out each command of the step."""
        with self._lock:
            return [self._one(command, op) for command, op in zip(step, ops, strict=True)]

    async def aexecute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """The same: it never waits."""
        return self.execute(step, ops, timeout)

    def close(self) -> None:
        """Forget everything."""
        self.records.clear()

    async def aclose(self) -> None:
        """Forget everything."""
        self.close()

    def remembered(self, key: str, timeout: float) -> int:
        """How many operations the record of that key remembers."""
        record = self.records.get(key)
        return 0 if record is None else len(record.ops)

    def sweep(self, timeout: float) -> int:
        """Remove the records that have expired; how many there were."""
        with self._lock:
            before = len(self.records)
            self._sweep()
            return before - len(self.records)

    def _one(self, command: Command[Any], op: Op) -> Any:
        if isinstance(command, Scan):
            return self._scan(command)
        old = self.records.get(command.key)
        new, answer = apply(command, old, self.time(), op)
        if new is None:
            self.records.pop(command.key, None)
        elif new is not old:
            self.records[command.key] = new
            self._writes += 1
            if self._writes > 1_000 + len(self.records):
                self._sweep()
        return answer

    def _scan(self, command: Scan) -> Page:
        now = self.time() // 1000
        found = sorted(
            key
            for key, record in self.records.items()
            if key.startswith(command.key)
            and key > command.cursor
            and (record.expires is None or record.expires > now)
        )
        page = tuple(found[: command.limit])
        return Page(page, page[-1] if len(found) > command.limit else "")

    def _sweep(self) -> None:
        """Remove what has expired: after as many writes as there are records, so its cost stays constant."""
        now, self._writes = self.time() // 1000, 0
        for key in [k for k, r in self.records.items() if r.expires is not None and r.expires <= now]:
            del self.records[key]


os.register_at_fork(after_in_child=MemoryEngine.after_fork)
