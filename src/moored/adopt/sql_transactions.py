"""Transactions in an application's database, and what it means when one fails.

What SQLAlchemy raises holds the statement's values, so nothing of it is shown or chained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Table, inspect
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from moored.adopt.sql_connections import OwnConnections
from moored.errors import MooredError, OutcomeUnknown, Unavailable

T = TypeVar("T")

TRIES: Final = 10  # that a transaction is begun again because of others

# By these the database says that it undid the whole transaction, at a COMMIT too: SQLSTATE's
# serialization_failure, PostgreSQL's deadlock_detected, MySQL's ER_LOCK_DEADLOCK.
_UNDONE: Final = frozenset({"40001", "40P01", 1213})


class RowExists(Exception):
    """The row that was to be made is there, or another with its id."""


class Unfit(Exception):
    """A value does not fit into its column."""


class Transactions:
    """Each call is one, apart from those of the application.

    ``engine`` answers the engine; it is asked at each call, since apps set theirs up late.
    """

    def __init__(self, engine: Callable[[], Engine], table: Table, name: str) -> None:
        self._connections, self._table, self._name = OwnConnections(engine, name), table, name

    def close(self) -> None:
        """Close the connections; what is used again opens again."""
        self._connections.close()

    def read(self, work: Callable[[Connection], T], missing: T) -> T:
        """What ``work`` answers; ``missing`` if there is no such table.  Raises Unavailable."""
        failed = self._carry_out(work, changes=False)
        if not isinstance(failed, _Failed):
            return failed
        if self._has_no_table(failed):
            return missing
        raise self._unavailable(failed)

    def change(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` answers, once that is committed.

        Raises RowExists, Unfit, OutcomeUnknown, and Unavailable if nothing was changed.
        """
        failed = self._carry_out(work, changes=True)
        if not isinstance(failed, _Failed):
            return failed
        if failed.perhaps:
            raise OutcomeUnknown(
                f"{self._name}: the database did not confirm a change ({failed.why}). Read the session again."
            )
        if isinstance(failed.error, IntegrityError):
            raise RowExists
        if isinstance(failed.error, DataError):
            raise Unfit
        if self._has_no_table(failed):
            raise Unavailable(
                f"{self._name}: there is no such table; nothing was changed. Flask-Session makes it when it"
                " starts: correct SESSION_SQLALCHEMY_TABLE, SCHEMA and BIND_KEY.",
                outage=False,
            )
        raise self._unavailable(failed)

    def _carry_out(self, work: Callable[[Connection], T], *, changes: bool) -> T | _Failed:
        """Begun again where the database undid it, and once where the connection had died before."""
        outcome = self._once(work, changes)
        if isinstance(outcome, _Failed) and outcome.died and not outcome.perhaps:
            outcome = self._once(work, changes)  # SQLAlchemy has given up all connections of that time
        for _ in range(TRIES):
            if not (isinstance(outcome, _Failed) and outcome.undone):
                break
            outcome = self._once(work, changes)
        return outcome

    def _once(self, work: Callable[[Connection], T], changes: bool) -> T | _Failed:
        each = committing = False
        try:
            with self._connections.connect() as connection, connection.begin() as transaction:
                each = changes and _commits_each_statement(connection)
                answer = work(connection)
                committing = changes
                try:
                    transaction.commit()
                except SQLAlchemyError as error:
                    # SQLAlchemy gives it back with what was not committed still pending, and the next
                    # who commits would commit that too.
                    if not _Failed(error).undone:
                        connection.invalidate()
                    raise
                return answer
        except SQLAlchemyError as error:
            failed = _Failed(error)
        refused = failed.undone or isinstance(failed.error, (IntegrityError, DataError))
        failed.perhaps = (committing and not refused) or (each and failed.died)
        return failed

    def _has_no_table(self, failed: _Failed) -> bool:
        if failed.orig is None or failed.died:
            return False
        try:
            with self._connections.connect() as connection:
                return not inspect(connection).has_table(self._table.name, schema=self._table.schema)
        except SQLAlchemyError:
            return False

    def _unavailable(self, failed: _Failed) -> MooredError:
        return Unavailable(
            f"{self._name}: the database did not answer or refused ({failed.why}); nothing was changed. Try"
            " again, and look at the database of SESSION_SQLALCHEMY.",
            outage=isinstance(failed.error, (OperationalError, PoolTimeout)) and not failed.undone,
        )


class _Failed:
    """A transaction that failed; ``perhaps`` what it was to change has been changed all the same."""

    def __init__(self, error: SQLAlchemyError) -> None:
        self.error = error
        self.orig: Any = error.orig if isinstance(error, DBAPIError) else None
        self.perhaps = False

    @property
    def undone(self) -> bool:
        """Did the database undo it because of others?"""
        state = getattr(self.orig, "sqlstate", None) or getattr(self.orig, "pgcode", None)
        number: Any = next(iter(getattr(self.orig, "args", ())), None)
        return state in _UNDONE or (isinstance(number, int) and number in _UNDONE)

    @property
    def died(self) -> bool:
        """Was the connection lost, perhaps long before?"""
        return isinstance(self.error, DBAPIError) and self.error.connection_invalidated

    @property
    def why(self) -> str:
        """The driver's name for the error: its text may hold what was to be stored."""
        return type(self.orig or self.error).__name__


def _commits_each_statement(connection: Connection) -> bool:
    """As the isolation level AUTOCOMMIT has it: BEGIN and COMMIT mean nothing then."""
    driver: Any = connection.connection.dbapi_connection
    ask = getattr(driver, "get_autocommit", None)  # drivers of MySQL have a method for PEP 249's attribute
    return bool((getattr(driver, "autocommit", 0) if ask is None else ask()) == 1)
