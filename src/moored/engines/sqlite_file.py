"""Opening a SQLite file, and finding it free between the transactions of other processes."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from moored.engines.sqlite_errors import code, mapped
from moored.engines.sqlite_tables import LAYOUT, make_tables
from moored.errors import ConfigurationError

BUSY_PAUSE = 0.0002, 0.002  # seconds between two tries while another process writes

T = TypeVar("T")


class SqliteFile:
    """Where the file is, and how surely a commit is to be on the disk ("full" or "normal")."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self.path = path
        self._synchronous = synchronous

    def open(self, timeout: float, patience: float = 0.0) -> sqlite3.Connection:
        """A new connection, within ``timeout`` seconds; SQLite itself waits ``patience`` for locks.

        Makes the file, its folder and the tables if there are none.  Raises ConfigurationError
        if the file cannot be used at all, else what ``mapped`` makes of SQLite's error.
        """
        self._make()
        try:
            db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            layout = once_free(lambda: self._prepare(db), time.monotonic() + timeout)
            db.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")
        except sqlite3.Error as error:
            raise mapped(error, self.path) from error
        if layout != LAYOUT:
            raise ConfigurationError(
                f"the tables in {self.path} were made by another version of Moored (layout"
                f" {layout}, this version knows {LAYOUT}): use that version, or another file."
            )
        return db

    def _make(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Others on this host have no business in it; SQLite gives its log the same mode.
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            why = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror
            raise ConfigurationError(
                f"the SQLite file {self.path} cannot be opened: {why}. Name a file in a folder that this"
                " process may write to."
            ) from None
        if self.path.is_dir():
            raise ConfigurationError(f"{self.path} is a folder: name a file in it.")

    def _prepare(self, db: sqlite3.Connection) -> str | None:
        """Make what is missing in the file; the layout of its tables.  May be tried any number of times."""
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={self._synchronous.upper()}")
        return make_tables(db)


def begin(db: sqlite3.Connection, ends: float) -> bool:
    """Begin a transaction; false if another process kept the file busy until ``ends`` (monotonic)."""
    if db.in_transaction:  # of one that was interrupted
        db.execute("ROLLBACK")
    try:
        once_free(lambda: db.execute("BEGIN IMMEDIATE"), ends)
    except sqlite3.OperationalError as error:
        if code(error) != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def once_free(attempt: Callable[[], T], ends: float) -> T:
    """What the attempt answers, tried until no other process keeps the file busy, or until ``ends``.

    SQLite's own busy handler soon looks only ten times a second, and another process that
    writes without a pause would hardly ever be caught between two transactions.
    """
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            pause = random.uniform(*BUSY_PAUSE)
            if code(error) != sqlite3.SQLITE_BUSY or time.monotonic() + pause >= ends:
                raise
        time.sleep(pause)
