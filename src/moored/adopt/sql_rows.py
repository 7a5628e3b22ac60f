"""Flask-Session's rows in a table of Flask-SQLAlchemy.

``session_id`` (unique) is the prefix and the id, ``data`` the session, ``expiry`` a time in UTC
without a zone; what has none counts as expired.  Each call is a transaction of its own: the
application's session is left alone.  What is compared and what is set is one statement, so that
it holds at every isolation level, and with none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, DateTime, Integer, LargeBinary, MetaData, Sequence, String, Table, func, or_
from sqlalchemy.engine import Connection, Engine

from moored.adopt.formats import Format, row
from moored.adopt.place import MARKED, Replaced, Row, UnreadableRow
from moored.adopt.sids import ByKey, Sids
from moored.adopt.sql_transactions import TRIES, RowExists, Transactions, Unfit
from moored.errors import TooLargeError, Unavailable

PAGE: Final = 500  # rows of one SELECT
LOOKS: Final = 20  # such pages until it is no longer known soon whether there is a row
SMALLEST: Final = 65_535  # bytes that every database's column holds; MySQL's BLOB, which is theirs, no more


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
        self.name: str = f"Flask-Session in the table {table}"
        self._sids, self._form = sids, form
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
        self._transactions = Transactions(engine, self._table, self.name)

    # --- The protocol of a place --------------------------------------------------------------

    def read(self, row_id: str) -> Row | None:
        """The session in a row."""
        columns = self._columns
        query = self._table.select().where(columns.session_id == row_id, columns.expiry > _now())
        found = self._transactions.read(lambda connection: connection.execute(query).first(), None)
        # MySQL compares text without regard to case, but this is another cookie then.
        if found is None or found.session_id != row_id or found.data is None:
            return None
        if not isinstance(found.data, bytes):
            raise UnreadableRow("its column data is no binary one.")
        expires = int(found.expiry.replace(tzinfo=UTC).timestamp() * 1000)
        return row(self._form, found.data, expires)

    def replace(
        self, row_id: str, before: bytes | None, values: Mapping[str, Any] | None, ttl: int
    ) -> Replaced | None:
        """Compare and set, by the database.  Raises TooLargeError for what its column cannot hold."""
        raw = None if values is None else self._form.dump(values)
        expiry = _now() + timedelta(milliseconds=ttl)
        try:
            if before is not None:
                done = self._change(row_id, before, raw, expiry)
            elif raw is not None:
                done = self._make(row_id, raw, expiry)
            else:
                done = self._clear(row_id)
            return Replaced(raw) if done else None
        except Unfit:
            size = 0 if raw is None else len(raw)
        raise TooLargeError(
            f"{self.name}: a session of {size} bytes does not fit into the column data, which in MySQL and"
            f" MariaDB holds {SMALLEST} unless it is made a MEDIUMBLOB; nothing was changed. While workers of"
            " Flask-Session still serve, keep to what it could store."
        )

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
        """Close the connections, which are not the application's; the place can be used again."""
        self._transactions.close()

    # --- The database ---------------------------------------------------------------------------

    def _change(self, row_id: str, before: bytes, raw: bytes | None, expiry: datetime) -> bool:
        table, columns = self._table, self._columns
        same = (columns.session_id == row_id, columns.data == before, columns.expiry > _now())

        def change(connection: Connection) -> bool:
            there = table.delete() if raw is None else table.update().values(data=raw, expiry=expiry)
            if connection.execute(there.where(*same)).rowcount == 1:
                self._check(connection, row_id, raw)
                return True
            # MySQL may be set to count only rows that are others after it, and then it is still this one.
            return raw == before and connection.execute(table.select().where(*same)).first() is not None

        return self._transactions.change(change)

    def _make(self, row_id: str, raw: bytes, expiry: datetime) -> bool:
        """A new row, or one in the place of one that has expired; false if there is a live one.

        The new one first: what finds no row locks the gap where it would be, in MySQL, and two
        who have done so and then make theirs wait for each other.
        """
        table, mine = self._table, self._columns.session_id == row_id
        new = {"session_id": row_id, "data": raw, "expiry": expiry}

        def make(connection: Connection) -> None:
            connection.execute(table.insert().values(new))
            self._check(connection, row_id, raw)

        def take(connection: Connection) -> bool:
            taken = connection.execute(table.update().values(new).where(mine, self._over())).rowcount == 1
            if taken:
                self._check(connection, row_id, raw)
            return taken

        def is_there(connection: Connection) -> bool:
            return connection.execute(table.select().where(mine)).first() is not None

        for _ in range(TRIES):
            try:
                self._transactions.change(make)
                return True
            except RowExists:
                if self._transactions.change(take):
                    return True
            if self._transactions.read(is_there, False):
                return False
        raise Unavailable(
            f"{self.name}: the database refused a new row; nothing was changed. Does the table have"
            " constraints that Flask-Session does not know of?",
            outage=False,
        )

    def _clear(self, row_id: str) -> bool:
        """Remove one that has expired; false if there is a live one."""
        table, mine = self._table, self._columns.session_id == row_id

        def clear(connection: Connection) -> bool:
            connection.execute(table.delete().where(mine, self._over()))
            return connection.execute(table.select().where(mine)).first() is None

        return self._transactions.change(clear)

    def _over(self) -> Any:
        return or_(self._columns.expiry.is_(None), self._columns.expiry <= _now())

    def _check(self, connection: Connection, row_id: str, raw: bytes | None) -> None:
        """MySQL, unless its mode is strict, cuts off what is too long."""
        if raw is not None and len(raw) > SMALLEST:
            query = self._table.select().with_only_columns(func.length(self._columns.data))
            if connection.execute(query.where(self._columns.session_id == row_id)).scalar() != len(raw):
                raise Unfit

    def _page(self, after: int | None) -> tuple[int | None, list[str]]:
        """The ids in the rows that follow, and the number of the last row if there may be more."""
        columns = self._columns
        query = self._table.select().with_only_columns(columns.id, columns.session_id)
        query = query.where(columns.expiry > _now()).order_by(columns.id).limit(PAGE)
        if after is not None:
            query = query.where(columns.id > after)
        none: list[Any] = []
        rows = self._transactions.read(lambda connection: [*connection.execute(query)], none)
        found = [one.session_id for one in rows if self._sids.in_key(one.session_id or "") is not None]
        return (rows[-1].id if len(rows) == PAGE else None), found


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
