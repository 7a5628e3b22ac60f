"""The record of a session, and what one request knows of it.

=================  ================================================================
``@verifier``      digest of the secret part of the cookie
``@generation``    count of privilege changes
``@subject``       who is signed in; absent if nobody is
``@owner``         who was signed in last: whose data this is, also after ``@subject`` is gone
``@browser``       the name of the browser that remembers the subject; absent if none does
``@changed``       when who it belongs to last changed (milliseconds)
``@login``         the names that the last sign-in wrote or dropped, while late changes may come
``@created``       when the session was made, ``@seen`` when it was last written or touched
``@sent``          when its cookie was sent last, so that it lives as long as the record
``@absolute``      the instant that no touch outlasts
``.name``          the application's fields
=================  ================================================================
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from hmac import compare_digest
from typing import Protocol

from msgspec import Struct

from moored.commands import Record
from moored.errors import CorruptRecord, TooLargeError
from moored.kinds.sessions.settings import SessionSettings
from moored.seal import KeyRing

SELECTOR_BYTES, VERIFIER_BYTES, CHECK_BYTES = 10, 16, 4
COOKIE_LENGTH = 40  # base64url of the thirty bytes above: it fits where Django keeps a session key
PURPOSE = "session cookie"
_SELECTOR = re.compile("[a-z2-7]{16}")
TOMBSTONE = 600_000  # milliseconds for which an ended session is remembered

Fields = Mapping[str, bytes]
Change = Mapping[str, bytes | None]  # the application's names; None removes


def session_key(selector: str) -> str:
    """The key of a session's record."""
    return "session:" + selector


# --- The credential -----------------------------------------------------------------------


class Proof(Protocol):
    """What a cookie proves; for sessions on the server it is a ``Credential``."""

    @property
    def selector(self) -> str:
        """The public name of the session, to show and to log."""
        ...


class Credential(Struct, frozen=True):
    """The two parts of a cookie: the public name of a record, and the secret that proves it."""

    selector: str
    verifier: bytes

    def __repr__(self) -> str:
        return f"<Credential {self.selector}>"


def new_selector() -> str:
    """A name for a new record: 80 random bits as sixteen letters and digits (RFC 4648, base32)."""
    return selector_of(secrets.token_bytes(SELECTOR_BYTES))


def selector_of(raw: bytes) -> str:
    """The text of a selector's ten bytes."""
    return base64.b32encode(raw).decode().lower()


def is_selector(text: str) -> bool:
    """Is this the name of a record, as ``new_selector`` makes them?"""
    return _SELECTOR.fullmatch(text) is not None


def new_verifier() -> bytes:
    """A secret for a record: 128 random bits."""
    return secrets.token_bytes(VERIFIER_BYTES)


def digest(verifier: bytes) -> bytes:
    """What is stored of a verifier.  It is random, so a plain hash cannot be searched backwards."""
    return blake2b(verifier, digest_size=16).digest()


def to_cookie(credential: Credential, ring: KeyRing) -> str:
    """The cookie's value: base64url of selector, verifier and keyed check."""
    body = base64.b32decode(credential.selector.upper()) + credential.verifier
    return base64.urlsafe_b64encode(body + ring.check(PURPOSE, body, CHECK_BYTES)).decode()


def from_cookie(value: str, ring: KeyRing) -> Credential | None:
    """The credential of a cookie, or None if it is damaged or was not made with our keys."""
    if len(value) != COOKIE_LENGTH or not value.isascii():
        return None
    try:
        raw = base64.b64decode(value, b"-_", validate=True)
    except ValueError:
        return None
    body = raw[:-CHECK_BYTES]
    if not ring.checks(PURPOSE, body, raw[-CHECK_BYTES:]):
        return None
    return Credential(selector_of(body[:SELECTOR_BYTES]), body[SELECTOR_BYTES:])


# --- What a request knows ---------------------------------------------------------------------


class Session(Struct, frozen=True):
    """What one request knows of its session.

    ``fields`` are those of the record as this request believes them to be: as it read them
    and, after a save, as it saved them.  They are the base of its next diff.  ``at`` is the
    server's time when it was read.
    """

    selector: str
    generation: int
    fields: Fields
    subject: str | None = None
    owner: str | None = None
    expires: int | None = None
    at: int = 0

    @property
    def key(self) -> str:
        """The key of the record."""
        return session_key(self.selector)

    @property
    def browser(self) -> str:
        """The name of the browser that remembers the subject, "" if none does."""
        return text(self.fields.get("@browser")) or ""

    def get(self, name: str) -> bytes | None:
        """The encoded value of one of the application's fields."""
        return self.fields.get("." + name)

    def names(self) -> list[str]:
        """The names of the application's fields, in a fixed order."""
        return sorted([name[1:] for name in self.fields if name[:1] == "."])

    def user_fields(self) -> dict[str, bytes]:
        """The application's fields, encoded."""
        return {name[1:]: value for name, value in self.fields.items() if name[:1] == "."}

    def size(self) -> int:
        """The bytes of all fields together, names included."""
        return bytes_of(self.fields)

    def instant(self, name: str) -> int:
        """The milliseconds in one of our fields; 0 if it is absent."""
        return integer(self.fields, name)


def view(selector: str, record: Record) -> Session:
    """The session in a live record.  Raises CorruptRecord if it is none."""
    fields = record.fields
    if "@verifier" not in fields or "@generation" not in fields:
        raise CorruptRecord(f"the record of session {selector} was not written by Moored, or is damaged.")
    return Session(
        selector,
        integer(fields, "@generation"),
        fields,
        text(fields.get("@subject")),
        text(fields.get("@owner")),
        record.expires,
        record.at,
    )


def proves(record: Record, verifier: bytes) -> bool:
    """Is this the secret of the record?  In constant time."""
    return compare_digest(record.fields.get("@verifier", b""), digest(verifier))


def generation(record: Record) -> int:
    """The count of privilege changes in a live record."""
    return integer(record.fields, "@generation")


def integer(fields: Fields, name: str) -> int:
    """The integer in a field of ours; 0 if it is absent.  Raises CorruptRecord."""
    try:
        return int(fields.get(name, b"0"))
    except ValueError:
        raise CorruptRecord(
            f"the field {name} of a session holds no integer: the record is damaged."
        ) from None


def as_datetime(milliseconds: int) -> datetime:
    """An instant that was read from a record.  Raises CorruptRecord for what is in no calendar."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        raise CorruptRecord("an instant in a record is in no calendar: the record is damaged.") from None


def text(value: bytes | None) -> str | None:
    """The text in a field of ours; None if it is absent.  Raises CorruptRecord."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        raise CorruptRecord("a field of a session holds no text: the record is damaged.") from None


def apply_change(fields: Fields, change: Change) -> dict[str, bytes]:
    """The fields after a change of the application's."""
    after = dict(fields)
    for name, value in change.items():
        if value is None:
            after.pop("." + name, None)
        else:
            after["." + name] = value
    return after


def check_size(fields: Fields, settings: SessionSettings, before: Mapping[str, bytes] = {}) -> None:
    """Raise TooLargeError, naming the largest field, if this is more than a session may hold.

    One that held more ``before``, because the limit was another, may become smaller.
    """
    if len(fields) > settings.most and (count := _count(fields)) > max(settings.most, _count(before)):
        raise TooLargeError(
            f"the session has {count} fields, {settings.most} are allowed. Keep lists in one field, or raise"
            " MOORED_SESSION_MAX_FIELDS."
        )
    size = bytes_of(fields)
    if size > settings.largest and size > bytes_of(before):
        name = max(
            (name for name in fields if name[:1] == "."), key=lambda name: len(fields[name]), default=".?"
        )
        raise TooLargeError(
            f"the session has {size} bytes, {settings.largest} are allowed; its largest field is {name[1:]!r}"
            f" with {len(fields.get(name, b''))}. Store large data elsewhere and its key in the session, or"
            " raise MOORED_SESSION_MAX_BYTES."
        )


def bytes_of(fields: Fields) -> int:
    """The bytes of all fields together, names included."""
    return sum(map(len, fields)) + sum(map(len, fields.values()))


def _count(fields: Fields) -> int:
    """How many are the application's."""
    return sum([name[:1] == "." for name in fields])
