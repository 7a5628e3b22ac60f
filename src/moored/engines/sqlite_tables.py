"""The tables, and commands carried out on the rows in them, each on an open connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from moored.commands import Command, Op, Page, Read, Record, Scan
from moored.engines.packing import pack, unpack
from moored.engines.sqlite_errors import UNFIT, unfit
from moored.model import apply

LAYOUT = "1"
SCHEMA = """
CREATE TABLE IF NOT EXISTS moored_records (
  key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, expires INTEGER, hour INTEGER, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS moored_hours ON moored_records (hour) WHERE hour IS NOT NULL;
CREATE TABLE IF NOT EXISTS moored_meta (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO moored_meta VALUES ('store', lower(hex(randomblob(8)))) ON CONFLICT DO NOTHING;
"""
LOAD = "SELECT version, expires, body FROM moored_records WHERE key = ?"
# An upsert rather than a replace: a smaller row stays where it is, which works on a full disk.
STORE = (
    "INSERT INTO moored_records VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
    " version = excluded.version, expires = excluded.expires, hour = excluded.hour, body = excluded.body"
)
REMOVE = "DELETE FROM moored_records WHERE key = ?"
SCAN = (
    "SELECT key FROM moored_records WHERE key > ? AND key >= ? AND key < ?"
    " AND (expires IS NULL OR expires > ?) ORDER BY key LIMIT ?"
)
# The index holds hours, not milliseconds, so that moving a deadline rarely touches it.
SWEEP = (
    "DELETE FROM moored_records WHERE rowid IN"
    " (SELECT rowid FROM moored_records WHERE hour < ? ORDER BY hour LIMIT ?) AND expires <= ?"
)
EXPIRED = (
    "DELETE FROM moored_records WHERE rowid IN"
    " (SELECT rowid FROM moored_records WHERE hour <= ? AND expires <= ? LIMIT ?)"
)
HOUR = 3_600_000
SWEPT = 100  # expired records removed in passing
SWEPT_AT_ONCE = 1_000  # the same, where somebody asked for it


def make_tables(db: sqlite3.Connection) -> str | None:
    """Make the tables if they are missing; their layout, which other versions of Moored made otherwise."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'moored_meta'").fetchone():
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
        db.execute("INSERT INTO moored_meta VALUES ('layout', ?) ON CONFLICT DO NOTHING", (LAYOUT,))
        db.execute("COMMIT")
    layout: tuple[str] | None = db.execute("SELECT value FROM moored_meta WHERE name = 'layout'").fetchone()
    return layout and layout[0]


def answer(db: sqlite3.Connection, command: Command[Any], op: Op | None, clock: Callable[[], int]) -> Any:
    """Carry a command out; raises EncodingError for names and values that SQLite does not take."""
    try:
        if isinstance(command, Scan):
            return _scan(db, command, clock() // 1000)
        old = load(db, command.key)
        new, its = apply(command, old, clock(), op)
        if new is None:
            if old is not None and not isinstance(command, Read):
                db.execute(REMOVE, (command.key,))
        elif new is not old:
            hour = None if new.expires is None else new.expires // HOUR
            db.execute(STORE, (command.key, new.version, new.expires, hour, pack(new)))
        return its
    except UNFIT as error:
        raise unfit(error) from None


def load(db: sqlite3.Connection, key: str) -> Record | None:
    """The record of a key, expired or not."""
    row = db.execute(LOAD, (key,)).fetchone()
    return None if row is None else unpack(key, *row)


def _scan(db: sqlite3.Connection, command: Scan, now: int) -> Page:
    end = command.key[:-1] + chr(ord(command.key[-1]) + 1) if command.key else "\U0010ffff"
    rows = db.execute(SCAN, (command.cursor, command.key, end, now, command.limit + 1)).fetchall()
    keys = tuple(key for (key,) in rows[: command.limit])
    return Page(keys, keys[-1] if len(rows) > command.limit else "")


def sweep_in_passing(db: sqlite3.Connection, now: int) -> bool:
    """Remove up to ``SWEPT`` records that expired before this hour; true if there may be more.

    ``now`` is in milliseconds since 1970.
    """
    return db.execute(SWEEP, (now // HOUR, SWEPT, now)).rowcount == SWEPT


def sweep(db: sqlite3.Connection, now: int) -> int:
    """Remove up to ``SWEPT_AT_ONCE`` records that have expired; how many there were."""
    return db.execute(EXPIRED, (now // HOUR, now, SWEPT_AT_ONCE)).rowcount
