"""The shop's books: accounts and orders, in a SQLite file of the demo's own.

Moored has no documents yet, so these are kept the way an application keeps its own tables.
What must be there once (a name, an order's number) is a primary key: workers and threads
may insert at once, and one of them succeeds.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from msgspec import Struct

PATIENCE = 5.0  # seconds to wait for another writer
TABLES = """
CREATE TABLE IF NOT EXISTS accounts (id TEXT PRIMARY KEY, password TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    number TEXT PRIMARY KEY, owner TEXT, placed REAL NOT NULL, entry BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS orders_of ON orders (owner, placed);
"""

# The least of OWASP's Password Storage Cheat Sheet for Argon2id: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Order(Struct, frozen=True):
    """An order as it was placed: ``lines`` are pieces by product, ``total`` is in cents."""

    number: str
    owner: str | None
    boat: str
    lines: dict[str, int]
    total: int
    placed: float

    @property
    def when(self) -> datetime:
        """When it was placed."""
        return datetime.fromtimestamp(self.placed, UTC)


class Books:
    """Accounts and orders in this file, which is made if it is not there.

    All else raises sqlite3.Error where the file is gone, is locked for too long, or has no room.
    """

    def __init__(self, file: Path) -> None:
        self.file: Path = file.absolute()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        with self._open() as connection:
            connection.executescript(TABLES)
        # Checked where there is no account, so that a wrong name takes as long as a wrong password.
        self._nobody = _hasher.hash("nobody's password")

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        uri = f"{self.file.as_uri()}?mode=rw"  # a file that vanished is not begun anew, without tables
        with closing(sqlite3.connect(uri, timeout=PATIENCE, isolation_level=None, uri=True)) as connection:
            yield connection

    # --- Accounts -------------------------------------------------------------------------------

    def open_account(self, name: str, password: str) -> bool:
        """Open an account; false if the name is taken, also by somebody who was a moment faster."""
        row = (identity(name), _hasher.hash(_normal(password)))
        with self._open() as connection:
            return connection.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?)", row).rowcount == 1

    def close_account(self, name: str) -> None:
        """Remove an account."""
        with self._open() as connection:
            connection.execute("DELETE FROM accounts WHERE id = ?", (identity(name),))

    def proves(self, name: str, password: str) -> bool:
        """Is this the password of that account?  Takes as long where there is none."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT password FROM accounts WHERE id = ?", (identity(name),)
            ).fetchone()
        try:
            _hasher.verify(row[0] if row else self._nobody, _normal(password))
        except VerifyMismatchError:
            return False
        return row is not None

    # --- Orders ---------------------------------------------------------------------------------

    def place(self, order: Order) -> bool:
        """Enter an order; false if its number is in the books already."""
        row = (order.number, order.owner, order.placed, msgspec.json.encode(order))
        with self._open() as connection:
            return connection.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)", row).rowcount == 1

    def order(self, number: str) -> Order | None:
        """The order of that number."""
        return next(iter(self._orders("number = ?", number)), None)

    def orders_of(self, owner: str) -> list[Order]:
        """Somebody's latest orders, the last one first."""
        return self._orders("owner = ?", owner)

    def _orders(self, where: str, value: str) -> list[Order]:
        query = f"SELECT entry FROM orders WHERE {where} ORDER BY placed DESC LIMIT 20"  # noqa: S608 - ours
        with self._open() as connection:
            return [
                msgspec.json.decode(entry, type=Order) for (entry,) in connection.execute(query, (value,))
            ]


def identity(name: str) -> str:
    """What a name is known by: however it is spelled, spaced or capitalised."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _normal(password: str) -> str:
    """NFKC, by NIST SP 800-63B: the same password from every keyboard."""
    return unicodedata.normalize("NFKC", password)
