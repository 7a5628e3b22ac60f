"""A session of the old library, as Moored's programs see it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from moored.adopt import notes
from moored.adopt.notes import Notes, notes_in
from moored.adopt.place import MARK, Row
from moored.codec import decode, encode
from moored.errors import MisuseError
from moored.kinds.sessions.record import (
    SELECTOR_BYTES,
    VERIFIER_BYTES,
    Change,
    Credential,
    Session,
    selector_of,
)
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.subjects import subject_text
from moored.seal import KeyRing

PURPOSE = "adopted session"
NAMING = b"moored adopted"  # tells these digests from others
RESERVED = frozenset({notes.NAME, MARK})  # names in a row that are ours, whatever an application writes


class OldProof(Struct, frozen=True):
    """A good cookie of the old library.

    ``old`` and ``row`` tell where its session is.  ``credentials`` are what it proves once
    that is carried over: one name, and a verifier under each key of the ring, the active one's
    first.
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
    """A session that is still where the old library keeps it; ``row`` is what was read or written last."""

    proof: OldProof
    row: Row
    notes: Notes


def old_proof(old: str, row: str, cookie: str, ring: KeyRing) -> OldProof:
    """The proof of a row; the same in every worker.

    The name follows from the row alone, whatever the keys, so that a session has one; it tells
    nothing of the row, which is too random to be searched for.  The verifiers take our keys.
    """
    name = blake2b(row.encode(), digest_size=SELECTOR_BYTES, person=NAMING).digest()
    selector = selector_of(name)
    made = ring.every_check(PURPOSE, row.encode(), VERIFIER_BYTES)
    return OldProof(old, row, cookie, tuple([Credential(selector, verifier) for verifier in made]))


def old_session(proof: OldProof, row: Row, settings: SessionSettings, ring: KeyRing) -> OldSession:
    """What a request knows of the session in a row."""
    now = int(time.time() * 1000)
    expires = now + settings.idle if row.expires is None else row.expires
    fields = fields_of(row.values, settings.depth)
    fields["@seen"] = fields["@sent"] = b"%d" % (expires - settings.idle)
    subject, noted = subject_in(fields, settings), notes_in(row.values, ring)
    return OldSession(
        proof.selector,
        0,
        fields,
        subject,
        subject or noted.owner,
        expires,
        now,
        proof=proof,
        row=row,
        # An old worker has signed somebody else in: what we know is of another's sign-in.
        notes=noted if subject in (None, noted.owner) else notes.UNKNOWN,
    )


def fields_of(values: Mapping[Any, Any], depth: int) -> dict[str, bytes]:
    """The values as fields.  What cannot be kept, for its name or its type, is left out."""
    fields: dict[str, bytes] = {}
    for name, value in values.items():
        if isinstance(name, str) and name not in RESERVED:
            try:
                encode(name)
                fields["." + name] = encode(value, path=name, depth=depth)
            except MisuseError:
                continue
    return fields


def changed(values: Mapping[Any, Any], change: Change) -> dict[Any, Any]:
    """The values after a change; those that Moored cannot keep stay as they are."""
    after = dict(values)
    for name, value in change.items():
        if name in RESERVED:
            continue
        if value is None:
            after.pop(name, None)
        else:
            after[name] = decode(value)
    return after


def subject_in(fields: Mapping[str, bytes], settings: SessionSettings) -> str | None:
    """Who is signed in, by the application's identity fields."""
    found = [subject_text(decode(fields["." + name])) for name in settings.identity if "." + name in fields]
    return next((who for who in found if who is not None), None)
