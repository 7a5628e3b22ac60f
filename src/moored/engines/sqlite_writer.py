"""Transactions on one file: each carries out the steps of all who wait, or of one on a full disk."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from msgspec import MsgspecError

from moored.commands import Bury, Command, Patch
from moored.engines.commits import Ticket, too_busy
from moored.engines.reserve import Reserve
from moored.engines.sqlite_connections import Connections
from moored.engines.sqlite_errors import code, disk_full, mapped
from moored.engines.sqlite_file import SqliteFile, begin
from moored.engines.sqlite_tables import answer, sweep_in_passing
from moored.errors import MooredError, Unavailable

SWEEP_EVERY = 30.0, 60.0  # seconds, drawn at random so that processes take turns
SMALL = 64  # bytes that a step may write and still count as one that ends something: an epoch, a verifier

# What is wrong with one ticket.  Anything else comes from a signal handler, and is for the caller
# whose thread it interrupted: a time limit on one's request must not end up with somebody else.
OWN = (
    MooredError,
    MsgspecError,
    TypeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    ValueError,
)


class Writer:
    """Carries out what ``Commits`` has gathered."""

    def __init__(self, file: SqliteFile, connections: Connections, clock: Callable[[], int]) -> None:
        self._path = file.path
        self._connections = connections
        self._clock = clock
        self._reserve = Reserve(file.path)
        self._sweep_at = 0.0

    def carry_out(self, batch: list[Ticket]) -> None:
        """One transaction for all; each alone if the disk is full, so that what shrinks gets through."""
        self._connections.write(lambda: self._carry_out(batch))

    def _carry_out(self, batch: list[Ticket]) -> None:
        if self._reserve.spent():
            _fail([ticket for ticket in batch if not _frees(ticket)], disk_full(self._path))
            batch = [ticket for ticket in batch if _frees(ticket)]
            if not batch:
                return
        try:
            self._transaction(batch)
        except MooredError as error:  # the file could not be opened
            _fail(batch, error)
        except sqlite3.Error as error:
            if code(error) != sqlite3.SQLITE_FULL:
                _fail(batch, mapped(error, self._path))
                return
            for ticket in batch:
                self._squeeze(ticket)

    def _squeeze(self, ticket: Ticket) -> None:
        try:
            self._transaction([ticket])
        except sqlite3.Error as error:
            if not _frees(ticket):
                _fail([ticket], mapped(error, self._path))
                return
            self._reserve.release()
            try:
                self._transaction([ticket])
            except sqlite3.Error as still:
                _fail([ticket], mapped(still, self._path))

    def _transaction(self, batch: list[Ticket]) -> None:
        ends = min([ticket.ends for ticket in batch])
        db = self._connections.writer
        if db is None:
            db = self._connections.open_writer(ends - time.monotonic())
            self._reserve.fill()
        committing = False
        try:
            with db:  # rolls back before anything that a signal handler raises can come between
                if not begin(db, ends):
                    _fail(batch, too_busy())
                    return
                answers = [self._fill(db, ticket) for ticket in batch]
                if time.monotonic() >= self._sweep_at:
                    self._sweep(db)
                committing = True
                _commit(db, batch, answers)
        except sqlite3.Error:
            raise
        except BaseException:
            if not committing:
                _fail(
                    batch, Unavailable("the transaction was interrupted; nothing was changed.", outage=False)
                )
            raise

    def _fill(self, db: sqlite3.Connection, ticket: Ticket) -> list[Any] | None:
        """Carry out one ticket; what is wrong with its records is its own affair, not the batch's."""
        ticket.error = None
        try:
            steps = zip(ticket.step, ticket.ops, strict=True)
            return [answer(db, command, op, self._clock) for command, op in steps]
        except OWN as error:
            ticket.error = error
            return None

    def _sweep(self, db: sqlite3.Connection) -> None:
        more = sweep_in_passing(db, self._clock() // 1000)
        self._sweep_at = time.monotonic() + (0 if more else random.uniform(*SWEEP_EVERY))


def _commit(db: sqlite3.Connection, batch: list[Ticket], answers: list[list[Any] | None]) -> None:
    """Commit, and only then give out the answers."""
    try:
        db.execute("COMMIT")
    except sqlite3.Error:
        raise
    except BaseException:  # a signal handler's, raised before the commit or after it
        if not db.in_transaction:
            _give_out(batch, answers)
        raise
    _give_out(batch, answers)


def _give_out(batch: list[Ticket], answers: list[list[Any] | None]) -> None:
    for ticket, its in zip(batch, answers, strict=True):
        ticket.answers = its


def _fail(batch: list[Ticket], error: MooredError) -> None:
    for ticket in batch:
        ticket.error = error


def _frees(ticket: Ticket) -> bool:
    """Does the step end something, so that it may use up the reserve?"""
    return any(map(_ends_something, ticket.step))


def _ends_something(command: Command[Any]) -> bool:
    if isinstance(command, Patch):
        return bool(command.unset) and sum(map(len, command.set.values())) <= SMALL
    return isinstance(command, Bury)
