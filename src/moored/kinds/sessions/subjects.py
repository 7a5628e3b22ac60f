"""The subject's record: the index of their sessions.

What it consists of says ``subject_fields``.  Whoever reads the entry of a session that is being
ended finishes that, so an interrupted ending is completed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from uuid import UUID

import msgspec
from msgspec import Struct

from moored.commands import Bury, Patch, Read, Record, Refused, Together, record_key
from moored.errors import CorruptRecord, MisuseError, OutcomeUnknown, Unavailable
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.record import TOMBSTONE, integer, session_key
from moored.kinds.sessions.subject_fields import FieldKind, ending_field, entry_field, fields_of

UNDER_WAY = 60_000  # milliseconds for which an entry without a session may be a login on its way


class Origin(Struct, frozen=True):
    """Where a sign-in came from, for the list that its owner looks at."""

    device: str = ""
    address: str = ""


class Entry(Struct, frozen=True, array_like=True):
    """A session on the list: when its gate was read (milliseconds), and where it was signed in.

    ``browser`` is the name of that which remembers the subject there, "" if none does.
    """

    created: int
    device: str = ""
    address: str = ""
    browser: str = ""


_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_encode = msgspec.msgpack.Encoder().encode


def encode_entry(entry: Entry) -> bytes:
    """What stands for a session on the list."""
    return _encode(entry)


def subject_text(value: object) -> str | None:
    """The canonical text of a user id, or None if this cannot be one."""
    if isinstance(value, str) and value:
        return str(value)
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    return None


def subject_of(value: object) -> str:
    """The canonical text of a user id.  Raises MisuseError if this cannot be one."""
    who = subject_text(value)
    if who is None:
        raise MisuseError("a user's id is text, a whole number or a UUID, and not empty.")
    return who


def subject_key(subject: str) -> str:
    """The key of a subject's record."""
    return record_key("subject", subject)


def entries_of(record: Record) -> dict[str, Entry]:
    """The live sessions on the list, by selector.  Raises CorruptRecord."""
    try:
        return {name: _decode_entry(value) for name, value in fields_of(record, FieldKind.SESSION)}
    except msgspec.DecodeError:
        raise CorruptRecord(
            "the list of somebody's sessions is damaged, or was not written by Moored."
        ) from None


async def strike(subject: str, selector: str) -> None:
    """Take an ended session off the list; if that cannot be done now, ``listed`` does it later."""
    with suppress(Unavailable, OutcomeUnknown):
        await Patch(subject_key(subject), unset=(entry_field(selector),))


async def read_subject(subject: str) -> Record | None:
    """The subject's record, after finishing what an interrupted ending left."""
    record = await Read(subject_key(subject))
    if record is None:
        return None
    if "@epoch" not in record.fields:  # nothing of ours leaves a tombstone there either
        raise CorruptRecord("the record of somebody's sessions is damaged, or was not written by Moored.")
    if ending := _ending_of(record):
        await finish(subject, ending)
        return await Read(subject_key(subject))
    return record


def _ending_of(record: Record) -> dict[str, EndReason]:
    """What is being ended, and why."""
    return {name: EndReason.of_code(code) for name, code in fields_of(record, FieldKind.ENDING)}


async def listed(subject: str) -> dict[str, tuple[Entry, Record]]:
    """The subject's live sessions, by selector; entries without a session are taken off the list."""
    record = await read_subject(subject)
    if record is None:
        return {}
    entries = entries_of(record)
    if not entries:
        return {}
    names = ("@owner", "@subject", "@created", "@seen", "@changed", "@generation")
    records = await Together(*[Read(session_key(selector), names) for selector in entries])
    # By when anybody was listed last: an entry is as old as its gate, and a proof can take long.
    settled = record.at - integer(record.fields, "@listed") > UNDER_WAY
    owner, alive, stale = subject.encode(), {}, []
    for (selector, entry), found in zip(entries.items(), records, strict=True):
        if found is not None and not found.dead and found.fields.get("@owner") == owner:
            alive[selector] = entry, found
        elif settled:
            stale.append(entry_field(selector))
    if stale:
        await Patch(subject_key(subject), unset=tuple(stale), version=record.version)
    return alive


def noted(ending: Mapping[str, EndReason]) -> dict[str, bytes]:
    """The entries of what is being ended, and why."""
    return {ending_field(name): why.code for name, why in ending.items()}


async def finish(subject: str, ending: Mapping[str, EndReason]) -> None:
    """Bury what is to end: sessions of the subject, and those that a login has not reached yet."""
    left: Iterable[str] = ending
    done = tuple(noted(ending))
    owner = subject.encode()
    while left:
        owned = await Together(
            *[Bury(session_key(n), {"@owner": owner}, ttl=TOMBSTONE, note=ending[n].note) for n in left]
        )
        left = [name for name, answer in zip(left, owned, strict=True) if _nobodys(answer)]
        if left:  # a login may be on its way there: nothing, or an anonymous session
            bare = await Together(
                *[Bury(session_key(n), {"@owner": None}, ttl=TOMBSTONE, note=ending[n].note) for n in left]
            )
            left = [name for name, answer in zip(left, bare, strict=True) if isinstance(answer, Refused)]
    if done:
        await Patch(subject_key(subject), unset=done)


def _nobodys(answer: bool | Refused) -> bool:
    if not isinstance(answer, Refused):
        return False
    return answer.record is None or (not answer.record.dead and "@owner" not in answer.record.fields)


def kept_for(record: Record, least: int) -> int:
    """For how many milliseconds the record is kept after a change: never for less than before.

    Others on the list may live by an earlier, longer setting.
    """
    return max(least, (record.expires or 0) - record.at)
