"""The connections of a process to one file: lent for a step, and all closed while it forks.

SQLite keeps its locks in the memory of the process, where a child would inherit them without
holding them (sqlite.org/howtocorrupt.html).  So before a fork no step may be under way, and
nothing open.

A signal handler may raise between any two steps of the main thread: whatever is lent is held
by a ``with`` statement, which always lets go.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, ClassVar, TypeVar

from moored.engines.sqlite_file import SqliteFile

READ_PATIENCE = 1.0  # seconds a reader waits while the log is being recovered
FORK_PATIENCE = 5.0  # seconds for which a fork waits for what other threads have under way
FORK_GLANCE = 0.0002  # seconds between two looks whether it has ended

T = TypeVar("T")

_abandoned: list[Any] = []  # connections of a parent process: closing them here would harm it


class Connections:
    """Readers, of which each serves one step at a time, and the one writer."""

    _all: ClassVar[weakref.WeakSet[Connections]] = weakref.WeakSet()
    _forking: ClassVar[list[Connections]] = []
    # Held by a thread that forks: another one waits with its fork, and none makes what would not be closed.
    _fork: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._start_again()
        with Connections._fork:
            self._all.add(self)

    def _start_again(self) -> None:
        self._guard = threading.Lock()  # over the four below; held by a thread that forks
        self._under_way: set[threading.Lock] = set()  # one for each step, held while it lasts
        self._closings = 0  # a connection lent before the last of them is closed when it comes back
        self._readers: deque[sqlite3.Connection] = deque()  # those that nobody reads from just now
        self.writer: sqlite3.Connection | None = None
        self._writing = threading.Lock()  # held while the writer is in use

    # --- Lending ----------------------------------------------------------------------------

    def read(self, timeout: float, work: Callable[[sqlite3.Connection], T]) -> T:
        """What the work comes to on a connection from which nobody else reads meanwhile."""
        db: sqlite3.Connection | None = None
        closings = -1
        under_way = threading.Lock()
        with under_way:
            try:
                with self._guard:
                    self._under_way.add(under_way)
                    closings = self._closings
                    db = self._readers.pop() if self._readers else None
                if db is None:
                    db = self._file.open(timeout, READ_PATIENCE)
                return work(db)
            finally:
                with self._guard:
                    self._under_way.discard(under_way)
                    if db is not None and closings == self._closings:
                        self._readers.append(db)
                    elif db is not None:
                        db.close()

    def write(self, work: Callable[[], object]) -> None:
        """Do the work, for which ``writer`` may be used and, if there is none, ``open_writer``."""
        closings = -1
        with self._writing:
            try:
                with self._guard:
                    self._under_way.add(self._writing)
                    closings = self._closings
                work()
            finally:
                with self._guard:
                    self._under_way.discard(self._writing)
                    if closings != self._closings and self.writer is not None:
                        self.writer.close()
                        self.writer = None

    def open_writer(self, timeout: float) -> sqlite3.Connection:
        """Open the writer, within ``timeout`` seconds."""
        self.writer = self._file.open(timeout)
        return self.writer

    def apart(self, timeout: float, patience: float, work: Callable[[sqlite3.Connection], T]) -> T:
        """What the work comes to on a connection of its own, on which SQLite waits ``patience`` seconds."""
        under_way = threading.Lock()
        with under_way:
            try:
                with self._guard:
                    self._under_way.add(under_way)
                with closing(self._file.open(timeout, patience)) as db:
                    return work(db)
            finally:
                with self._guard:
                    self._under_way.discard(under_way)

    # --- Closing ----------------------------------------------------------------------------

    def close(self) -> None:
        """Close all connections; one that is lent just now is closed when it comes back."""
        with self._guard:
            self._close()

    def _close(self) -> None:
        self._closings += 1
        connections = list(self._readers)
        self._readers.clear()
        if self.writer is not None and not self._writing.locked():
            connections.append(self.writer)
            self.writer = None
        for connection in connections:
            with suppress(sqlite3.Error):
                connection.close()

    def _busy(self) -> bool:
        return any([step.locked() for step in self._under_way])

    # --- Forking ----------------------------------------------------------------------------

    @classmethod
    def before_fork(cls) -> None:
        """Wait until no step is under way, let none begin, and close everything."""
        cls._fork.acquire()
        ends = time.monotonic() + FORK_PATIENCE
        cls._forking = list(cls._all)
        for each in cls._forking:
            each._guard.acquire()
            while each._busy() and time.monotonic() < ends:
                each._guard.release()
                time.sleep(FORK_GLANCE)
                each._guard.acquire()
            if not each._busy():
                each._close()

    @classmethod
    def after_fork_in_parent(cls) -> None:
        """Go on."""
        for each in cls._forking:
            each._guard.release()
        cls._fork.release()

    @classmethod
    def after_fork_in_child(cls) -> None:
        """Open everything again on first use."""
        cls._fork = threading.RLock()
        for each in cls._all:
            _abandoned.append((each._readers, each.writer))  # none, unless a step took too long
            each._start_again()


os.register_at_fork(
    before=Connections.before_fork,
    after_in_parent=Connections.after_fork_in_parent,
    after_in_child=Connections.after_fork_in_child,
)
