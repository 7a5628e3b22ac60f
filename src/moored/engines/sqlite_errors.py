"""What SQLite's errors mean: nothing was done, nobody knows, or something is wrong with the file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from moored.engines.reserve import SIZE as RESERVE
from moored.errors import (
    ConfigurationError,
    CorruptRecord,
    EncodingError,
    MooredError,
    OutcomeUnknown,
    Unavailable,
)

# What Python and SQLite say of names and values that cannot be stored.
UNFIT: Final = (
    ValueError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


def code(error: sqlite3.Error) -> int:
    """SQLite's own code; -1 for what the module found wrong by itself."""
    found: int = getattr(error, "sqlite_errorcode", -1)
    return found if found < 0 else found & 0xFF


def mapped(error: sqlite3.Error, path: Path) -> MooredError:
    """Our error for SQLite's, which came of the file at ``path``."""
    match code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable(f"{path.name} is busy: another process is writing to it.", outage=False)
        case sqlite3.SQLITE_FULL:
            return disk_full(path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return Unavailable(
                f"{path} cannot be written to ({error}); nothing was changed. Look at the modes of"
                " the file and its folder, and at how the disk is mounted.",
                outage=False,
            )
        case sqlite3.SQLITE_ERROR:  # of our statements, only where they do not fit the tables
            return ConfigurationError(
                f"the tables in {path} are not Moored's ({error}): name another file, or restore it"
                " from a backup."
            )
        case sqlite3.SQLITE_NOTADB:
            return ConfigurationError(f"{path} is not a SQLite database: name another file.")
        case sqlite3.SQLITE_CORRUPT:
            return CorruptRecord(f"{path} is damaged ({error}): restore it from a backup.")
        case sqlite3.SQLITE_IOERR:
            return OutcomeUnknown(f"the disk with {path.name} failed ({error}).")
    return Unavailable(f"SQLite could not carry out the step: {error}.")


def disk_full(path: Path) -> Unavailable:
    """The error of a step for which the disk with ``path`` has no room."""
    return Unavailable(
        f"the disk with {path.name} is full; nothing was changed. Make room on it, at least"
        f" {2 * RESERVE // 2**20} MB; until then only what ends something is carried out.",
        outage=False,
    )


def unfit(error: Exception) -> EncodingError:
    """Our error for one of ``UNFIT``."""
    if isinstance(error, UnicodeEncodeError):
        return EncodingError(
            "a key or a field name holds half of a surrogate pair, which is no character and cannot be"
            " stored. Decode it with errors='replace', or refuse it."
        )
    return EncodingError(
        f"a key, a field name or a value cannot be stored in SQLite ({type(error).__name__}): it is"
        " too large, or of a type that SQLite does not know."
    )
