"""What can be done with the sessions of another library, wherever it keeps them.

A *row id* is what the store has a session under: the key in Redis, ``session_id`` in SQL, the
name of the file.  It holds or stands for the secret in the cookie, so no message, no log and
no ``repr`` here shows one; whoever keeps one is to do the same.

Places open nothing when they are made, so they may be made before a server forks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

MARK: Final = "_moored"  # the name of the field that says a session was carried over
MOVED: Final = "moved"

# A session that the old library reads as one without data.  Not permanent, so that an old worker
# that is asked for it does not send the old cookie again, over the one that Moored has set.
MARKED: Final[Mapping[str, Any]] = {"_permanent": False, MARK: MOVED}


class Row(Struct, frozen=True):
    """A live session where another library keeps it.

    ``raw`` is what is stored, to be compared when it is replaced; a deadline that is stored
    apart from the values is no part of it.  ``values`` holds ``_permanent`` as it is stored,
    but not our mark.  ``expires`` and ``written`` are milliseconds since 1970, where known.
    ``moved``: it carries our mark; what an old worker wrote since is in ``values``.
    """

    raw: bytes
    values: dict[str, Any]
    expires: int | None = None
    written: int | None = None
    moved: bool = False

    def __repr__(self) -> str:
        return f"<Row of {len(self.raw)} bytes{', moved' if self.moved else ''}>"


class Replaced(Struct, frozen=True):
    """A replacement that was made; ``raw`` is what is stored now, None if nothing."""

    raw: bytes | None

    def __repr__(self) -> str:
        return "<Replaced>"


class UnreadableRow(Exception):
    """A session is there and cannot be read; why, as a sentence without anything of its content."""


class Place(Protocol):
    """Where a library keeps its sessions.

    What needs the store raises Unavailable when it is away, and nothing was changed then;
    what changes it raises OutcomeUnknown when the answer was lost.
    """

    name: str
    """For people: "Flask-Session on Redis at localhost:6379"."""

    def row_id(self, cookie: str) -> str | None:
        """The row that a cookie's value names by the old library's rules; None if it cannot be theirs.

        Asks no server.  It says nothing of whether there is such a row.
        """
        ...

    def new_id(self) -> str:
        """The id of a row that does not exist yet, made as the old library makes them."""
        ...

    def cookie_of(self, row_id: str) -> str:
        """The cookie's value that names a row.

        Where an id does not hold it, it is only known of those that ``new_id`` of this very
        object made lately.  Raises LookupError without it.
        """
        ...

    def read(self, row_id: str) -> Row | None:
        """The session; None if there is none, or none any more.  Raises UnreadableRow."""
        ...

    def replace(
        self, row_id: str, before: bytes | None, values: Mapping[str, Any] | None, ttl: int
    ) -> Replaced | None:
        """Store ``values`` for ``ttl`` milliseconds if what is stored is still ``before``, else None.

        ``before`` is a row's ``raw``, or None: no live session is there.  ``values`` None
        removes the row.  Raises EncodingError for what the old library's format cannot carry.
        """
        ...

    def mark(self, row_id: str, before: bytes, ttl: int) -> bool:
        """Put our mark in the row's place for ``ttl`` milliseconds if it is still ``before``.

        The old library reads it as an anonymous session.  It keeps the mark when it saves that
        session, unless the application empties it first.
        """
        ...

    def ids(self) -> Iterator[str]:
        """The ids of all rows that look like the library's, marked or not.

        One may come twice; rows that come or go meanwhile may be there or not.
        """
        ...

    def is_empty(self) -> bool:
        """Is there no row of the library's at all, marked or not?  False when that is not soon told."""
        ...

    def close(self) -> None:
        """Give back what was opened here; what is used again opens again."""
        ...


class CookiePlace(Protocol):
    """Where a library keeps whole sessions in their cookies: there is nothing to replace or list."""

    name: str

    def open(self, cookie: str) -> Row | None:
        """The session in a cookie, verified by the library's own rules; None if it is not a live one.

        Its ``raw`` is the cookie; ``written`` is when the library signed it.
        """
        ...

    def sign(self, values: Mapping[str, Any]) -> str:
        """A cookie as the library makes them.  Raises EncodingError, and ConfigurationError without a key."""
        ...
