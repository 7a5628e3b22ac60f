"""Flask-Session's rows in a table of Flask-SQLAlchemy.

``session_id`` (unique) is the prefix and the id, ``data`` the session, ``expiry`` a time in UTC
without a zone; what has none counts as expired.  Each call is a transaction of its own: the
application's session is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import Column, DateTime, Integer, LargeBinary, MetaData, Sequence, String, Table, inspect, or_
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from moored.adopt.formats import Format, row
from moored.adopt.place import MARKED, Replaced, Row, UnreadableRow
from moored.adopt.sids import ByKey, Sids
from moored.errors import MooredError, OutcomeUnknown, Unavailable

T = TypeVar("T")

PAGE: Final = 500  # rows of one SELECT
LOOKS: Final = 20  # such pages until it is no longer known soon whether there is a row


class SqlRows(ByKey):
    """``engine`` answers the engine; it is asked at each call, since apps set theirs up late.

    ``sequence`` is the one that numbers the rows, where the database needs one.
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        table: str,
        sids: Sids,
        form: Format,
        *,
        schema: str | None = None,
        sequence: str | None = None,
    ) -> None:
        self.name = f"Flask-Session in the table {table}"
        self._engine, self._sids, self._form = engine, sids, form
        number = (Sequence(sequence),) if sequence else ()
        self._table = Table(
            table,
            MetaData(),
            Column("id", Integer, *number, primary_key=True),
            Column("session_id", String(255), unique=True),
            Column("data", LargeBinary),
            Column("expiry", DateTime),
            schema=schema,
        )
        self._columns = self._table.c

    # --- The protocol of a place --------------------------------------------------------------

    def read(self, row_id: str) -> Row | None:
        """The session in a row."""
        columns = self._columns
        query = self._table.select().where(columns.session_id == row_id, columns.expiry > _now())
        found = self._carry_out(lambda connection: connection.execute(query).first(), None)
        if found is None or found.data is None:
            return None
        if not isinstance(found.data, bytes):
            raise UnreadableRow("its column data is no binary one.")
        expires = int(found.expiry.replace(tzinfo=UTC).timestamp() * 1000)
        return row(self._form, found.data, expires)

    def replace(
        self, row_id: str, before: bytes | None, values: Mapping[str, Any] | None, ttl: int
    ) -> Replaced | None:
        """Compare and set, by the database: the condition is part of the one statement that changes it."""
        raw = None if values is None else self._form.dump(values)
        new = {"data": raw, "expiry": _now() + timedelta(milliseconds=ttl)}
        table, columns = self._table, self._columns
        mine = columns.session_id == row_id

        def change(connection: Connection) -> bool:
            if before is None:
                over = or_(columns.expiry.is_(None), columns.expiry <= _now())
                connection.execute(table.delete().where(mine, over))
                if raw is not None:
                    connection.execute(table.insert().values(session_id=row_id, **new))
                    return True
                return connection.execute(table.select().where(mine)).first() is None
            same = (mine, columns.data == before, columns.expiry > _now())
            there = table.delete() if raw is None else table.update().values(new)
            return connection.execute(there.where(*same)).rowcount == 1

        return Replaced(raw) if self._carry_out(change, False, changes=True) else None

    def mark(self, row_id: str, before: bytes, ttl: int) -> bool:
        """Put our mark in the place of what is stored."""
        return self.replace(row_id, before, MARKED, ttl) is not None

    def ids(self) -> Iterator[str]:
        """The session_ids that look like Flask-Session's, expired ones left out, in pages."""
        last = None
        while True:
            last, found = self._page(last)
            yield from found
            if last is None:
                return

    def is_empty(self) -> bool:
        """Is there no such session_id?"""
        last = None
        for _ in range(LOOKS):
            last, found = self._page(last)
            if found or last is None:
                return not found
        return False

    def close(self) -> None:
        """Nothing: the connections are those of the application's own engine."""

    # --- The database ---------------------------------------------------------------------------

    def _page(self, after: int | None) -> tuple[int | None, list[str]]:
        """The ids in the rows that follow, and the number of the last row if there may be more."""
        columns = self._columns
        query = self._table.select().with_only_columns(columns.id, columns.session_id)
        query = query.where(columns.expiry > _now()).order_by(columns.id).limit(PAGE)
        if after is not None:
            query = query.where(columns.id > after)
        none: list[Any] = []
        rows = self._carry_out(lambda connection: [*connection.execute(query)], none)
        found = [one.session_id for one in rows if self._sids.in_key(one.session_id or "") is not None]
        return (rows[-1].id if len(rows) == PAGE else None), found

    def _carry_out(self, work: Callable[[Connection], T], missing: T, *, changes: bool = False) -> T:
        """One transaction; ``missing`` if reading shows that there is no such table.

        What SQLAlchemy raises holds the statement's values, so it is not chained.
        """
        committing, failed = False, None
        try:
            engine = self._engine()
            with engine.connect() as connection, connection.begin() as transaction:
                answer = work(connection)
                committing = changes
                try:
                    transaction.commit()
                except SQLAlchemyError:
                    # SQLAlchemy gives it back with what was not committed still pending, and the next
                    # who commits would commit that too.
                    connection.invalidate()
                    raise
                return answer
        except IntegrityError:
            lost = True  # somebody else has just made the row
        except SQLAlchemyError as error:
            lost, failed = False, error
        if lost:
            return missing
        assert failed is not None
        if committing:
            raise OutcomeUnknown(
                f"{self.name}: the database did not confirm a change ({_why(failed)}). Read the session"
                " again."
            )
        if isinstance(failed, DBAPIError) and not failed.connection_invalidated and self._has_no_table():
            if not changes:
                return missing
            raise Unavailable(
                f"{self.name}: there is no such table; nothing was changed. Flask-Session makes it when it"
                " starts: correct SESSION_SQLALCHEMY_TABLE, SCHEMA and BIND_KEY.",
                outage=False,
            )
        raise self._failed(failed)

    def _has_no_table(self) -> bool:
        try:
            return not inspect(self._engine()).has_table(self._table.name, schema=self._table.schema)
        except SQLAlchemyError:
            return False

    def _failed(self, error: SQLAlchemyError) -> MooredError:
        return Unavailable(
            f"{self.name}: the database did not answer or refused ({_why(error)}); nothing was changed. Try"
            " again, and look at the database of SESSION_SQLALCHEMY.",
            outage=isinstance(error, (OperationalError, PoolTimeout)),
        )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _why(error: SQLAlchemyError) -> str:
    """The driver's name for the error: its text may hold what was to be stored."""
    return type(error.orig if isinstance(error, DBAPIError) else error).__name__
