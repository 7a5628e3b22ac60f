"""Connections to an application's database that are not those of its pool.

A request of an application often holds a connection until it is torn down, and its session is
stored before that.  Whoever takes a second one of the same pool then waits for connections of
which each is held by one who waits as well.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from copy import copy
from typing import Final

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from moored.errors import Unavailable

CONNECTIONS: Final = 5  # of a process, beside those of the application
PATIENCE: Final = 2.0  # seconds to wait for one of them: the default deadline of an operation


class OwnConnections:
    """A pool of its own beside the one of an application's engine, set up in the same way.

    It has as many connections as the application's pool keeps, at most ``CONNECTIONS``; they are
    made by the same ``creator``, known to the same listeners, and closed when the application
    disposes of its engine.  Where connections are not pooled, or the database is in the memory
    that one connection holds, they are those of the engine itself.  ``engine`` answers it, and
    is asked late.  After a fork each process has its own.
    """

    def __init__(self, engine: Callable[[], Engine], name: str) -> None:
        self._engine, self._name = engine, name
        # By process.  What was inherited by a fork is kept and never used: closing it would end
        # the conversations of the parent.
        self._pools: dict[int, _Beside] = {}

    @contextmanager
    def connect(self) -> Generator[Connection]:
        """One connection.  Raises Unavailable if none comes free, and what SQLAlchemy raises."""
        engine = self._engine()
        if not _is_pooled(engine):
            with engine.connect() as connection:
                yield connection
            return
        beside = self._beside(engine)
        if not beside.free.acquire(timeout=PATIENCE):
            raise Unavailable(
                f"{self._name}: all {beside.limit} connections that one worker opens to read and write old"
                f" sessions were in use for {PATIENCE:g} seconds; nothing was changed. Try again. If it lasts"
                ", look whether the database is slow or somebody has locked that table, or let the"
                f" application's pool_size be larger: it counts here up to {CONNECTIONS}.",
                outage=False,
            )
        try:
            with beside.engine.connect() as connection:
                yield connection
        finally:
            beside.free.release()
            if self._pools.get(os.getpid()) is not beside:  # closed meanwhile, all but this connection
                beside.engine.pool.dispose()

    def close(self) -> None:
        """Close them; what is used again opens again."""
        beside = self._pools.get(os.getpid())
        if beside is not None:
            if event.contains(beside.original, "engine_disposed", self._give_up):
                event.remove(beside.original, "engine_disposed", self._give_up)
            self._give_up(beside.original)

    def _beside(self, engine: Engine) -> _Beside:
        process = os.getpid()
        found = self._pools.get(process)
        if found is None:
            event.listen(engine, "engine_disposed", self._give_up)  # once, however often it is said
            found = self._pools.setdefault(process, _Beside(engine))  # atomic; no lock that a fork could copy
        return found

    def _give_up(self, _: Engine) -> None:
        beside = self._pools.pop(os.getpid(), None)
        if beside is not None:
            beside.engine.pool.dispose()  # not the engine: that would tell the application's listeners


class _Beside:
    """An engine like another, that shares its listeners and options, with a pool of its own."""

    def __init__(self, original: Engine) -> None:
        kept = original.pool.size() if isinstance(original.pool, QueuePool) else 0
        self.original = original
        self.engine = copy(original)
        self.engine.pool = original.pool.recreate()
        # No more than the pool keeps, so that nobody waits in there, for as long as it is set to.
        self.limit: int = min(kept or CONNECTIONS, CONNECTIONS)  # 0 is SQLAlchemy's word for no limit
        self.free = threading.Semaphore(self.limit)


def _is_pooled(engine: Engine) -> bool:
    """Does it lend connections of which another could be made?

    What Engine.execution_options() answers has the pool of another engine, and cannot be given one.
    """
    if not isinstance(engine.pool, QueuePool) or "pool" not in vars(engine):
        return False
    url = engine.url
    in_memory = url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"
    return not (engine.dialect.name == "sqlite" and in_memory)
