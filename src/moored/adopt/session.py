"""A session of the old library, as Moored's programs see it."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from moored.adopt.place import Row
from moored.codec import decode, encode
from moored.errors import MisuseError
from moored.kinds.sessions.record import (
    SELECTOR_BYTES,
    VERIFIER_BYTES,
    Credential,
    Fields,
    Session,
    integer,
    text,
)
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.subjects import subject_text
from moored.seal import KeyRing

PURPOSE = "adopted session"
NOTES = "_moored_notes"  # in a row: what the old library does not know of a session


class OldProof(Struct, frozen=True):
    """A good cookie of the old library.

    ``old`` and ``row`` tell where its session is.  ``credentials`` are what it proves once
    that is carried over, under each key of the ring, the active one first.
    """

    old: str
    row: str
    cookie: str
    credentials: tuple[Credential, ...]

    @property
    def selector(self) -> str:
        """The public name that the session has with us."""
        return self.credentials[0].selector

    def __repr__(self) -> str:
        return f"<OldProof {self.selector}>"


class OldSession(Session, frozen=True, kw_only=True):
    """A session that is still where the old library keeps it; ``raw`` is the row as it was read."""

    proof: OldProof
    raw: bytes = b""


def old_proof(old: str, row: str, cookie: str, ring: KeyRing) -> OldProof:
    """The proof of a row; its credentials are the same in every worker.

    Without our key nobody can tell them from the row.
    """
    size = SELECTOR_BYTES + VERIFIER_BYTES
    made = ring.every_check(PURPOSE, row.encode(), size)
    credentials = [
        Credential(base64.b32encode(one[:SELECTOR_BYTES]).decode().lower(), one[SELECTOR_BYTES:])
        for one in made
    ]
    return OldProof(old, row, cookie, tuple(credentials))


def old_session(proof: OldProof, row: Row, settings: SessionSettings) -> OldSession:
    """What a request knows of the session in a row."""
    now = int(time.time() * 1000)
    expires = now + settings.idle if row.expires is None else row.expires
    fields = fields_of(row.values, settings.depth)
    # A cookie that is signed anew is not younger for it.
    fields |= {"@seen": b"%d" % (expires - settings.idle), "@since": b"%d" % since(row)}
    subject = subject_in(row.values, settings)
    owner = subject or text(fields.get("@owner"))
    return OldSession(proof.selector, 0, fields, subject, owner, expires, now, proof=proof, raw=row.raw)


def fields_of(values: Mapping[str, Any], depth: int) -> dict[str, bytes]:
    """The values, and our notes, as fields.  What cannot be kept, for its name or its type, is left out."""
    fields: dict[str, bytes] = {}
    for name, value in values.items():
        if name == NOTES:
            fields |= _noted(value)
        elif isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            try:
                fields["." + name] = encode(value, path=name, depth=depth)
            except MisuseError:
                continue
    return fields


def values_of(fields: Fields) -> dict[str, Any]:
    """What to store for the old library: the application's values, and our notes."""
    values = {name[1:]: decode(value) for name, value in fields.items() if name[:1] == "."}
    since, owner = integer(fields, "@since"), text(fields.get("@owner"))
    if since or owner is not None:
        values[NOTES] = {"since": since, "owner": owner}
    return values


def _noted(notes: object) -> dict[str, bytes]:
    found = notes if isinstance(notes, dict) else {}
    since, owner = found.get("since"), found.get("owner")
    fields = {"@since": b"%d" % since} if isinstance(since, int) else {}
    return fields | {"@owner": owner.encode()} if isinstance(owner, str) else fields


def since(row: Row) -> int:
    """From when it is known to be younger than an ending everywhere; 0 if it may be older."""
    return integer(_noted(row.values.get(NOTES)), "@since") or row.written or 0


def subject_in(values: Mapping[str, Any], settings: SessionSettings) -> str | None:
    """Who is signed in, by the application's identity fields."""
    found = [subject_text(values.get(name)) for name in settings.identity]
    return next((who for who in found if who is not None), None)
