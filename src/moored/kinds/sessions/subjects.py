"""The subject's record: the index of their sessions, and the gate to new ones.

``@epoch`` is refused by every login that read an earlier one; ``s.<selector>`` stands for
each live session, ``e.<selector>`` for each that is being ended; ``@listed`` is when one was
listed last, ``@ended`` when all were ended last.  Whoever reads an ``e.`` entry finishes the
ending, so an interrupted one is completed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

import msgspec
from msgspec import Struct

from moored.commands import Bury, Patch, Put, Read, Record, Refused, Together, Written, record_key
from moored.errors import CorruptRecord, LoginRefused, MisuseError, OutcomeUnknown, Unavailable
from moored.kinds.sessions.record import TOMBSTONE, integer, session_key, text
from moored.kinds.sessions.settings import DAY, SessionSettings

UNDER_WAY = 60_000  # milliseconds for which an entry without a session may be a login on its way
LONGEST_COOKIE = 400 * DAY  # no browser keeps one for longer (RFC 6265bis, section 5.5)


class Origin(Struct, frozen=True):
    """Where a sign-in came from, for the list that its owner looks at."""

    device: str = ""
    address: str = ""


class Entry(Struct, frozen=True, array_like=True):
    """A session on the list: when its gate was read (milliseconds), and where it was signed in."""

    created: int
    device: str = ""
    address: str = ""


class Gate(Struct, frozen=True):
    """A subject's epoch, read before the subject proved who they are; ``record`` is what was read."""

    subject: str
    epoch: bytes
    record: Record | None = None


_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_encode_entry = msgspec.msgpack.Encoder().encode


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
        return {n[2:]: _decode_entry(value) for n, value in record.fields.items() if n[:2] == "s."}
    except msgspec.DecodeError:
        raise CorruptRecord(
            "the list of somebody's sessions is damaged, or was not written by Moored."
        ) from None


async def signing_in(subject: str, settings: SessionSettings) -> Gate:
    """The gate, to be read *before* the subject proves who they are.

    A log-out-everywhere between here and the login refuses the login.
    """
    record = await read_subject(subject)
    while record is None:
        epoch = secrets.token_hex(8).encode()
        made = await Put(subject_key(subject), {"@epoch": epoch}, version=0, ttl=_outlives(settings))
        if isinstance(made, Written) and not made.overtaken:
            return Gate(subject, epoch)
        record = await read_subject(subject)
    return Gate(subject, record.fields["@epoch"], record)


async def enlist(gate: Gate, selector: str, origin: Origin, settings: SessionSettings) -> None:
    """Put a session on its subject's list, at the epoch of the gate; over the maximum the oldest ends.

    Raises LoginRefused if the epoch is another one by now.
    """
    record = gate.record  # if others have written since, the step below is refused, and it is read again
    while True:
        record = record or await read_subject(gate.subject)
        if record is None or record.fields["@epoch"] != gate.epoch:
            raise LoginRefused(
                f"{gate.subject} was logged out everywhere while this login was under way: sign in again."
            )
        others = {name: entry for name, entry in entries_of(record).items() if name != selector}
        over = max(0, len(others) + 1 - settings.each)
        surplus = sorted(others, key=lambda name: others[name].created)[:over]
        # Later than every other, also within one millisecond: it tells which is the oldest.
        created = max([record.at, *[other.created + 1 for other in others.values()]])
        entry = Entry(created, origin.device[:200], origin.address[:64])
        done = await Patch(
            subject_key(gate.subject),
            {"s." + selector: _encode_entry(entry), **{"e." + name: b"" for name in surplus}},
            tuple(["s." + name for name in surplus]),
            {"@listed": 0},
            version=record.version,
            # Never sooner than before: others on the list may live by an earlier, longer setting.
            ttl=max(_outlives(settings), (record.expires or 0) - record.at),
        )
        if isinstance(done, Written):
            break
        record = None
    await _finish(gate.subject, surplus, b"over the maximum")


async def admit(gate: Gate, settings: SessionSettings) -> None:
    """Let somebody in whose session is on no list; the record outlives it.  Raises LoginRefused."""
    key, matching, record = subject_key(gate.subject), {"@epoch": gate.epoch}, gate.record
    before = 0 if record is None else (record.expires or 0) - record.at  # never sooner than before
    ttl = max(_outlives(settings), before)
    done = await Patch(key, {}, (), {"@listed": 0}, matching, ttl=ttl)
    if isinstance(done, Refused):
        raise LoginRefused(
            f"{gate.subject} was logged out everywhere while this login was under way: sign in again."
        )


async def strike(subject: str, selector: str) -> None:
    """Take an ended session off the list; if that cannot be done now, ``listed`` does it later."""
    with suppress(Unavailable, OutcomeUnknown):
        await Patch(subject_key(subject), unset=("s." + selector,))


async def everywhere(subject: str, keep: str | None = None) -> None:
    """End every session of the subject but ``keep``, and refuse every login begun before.

    That they were ended is kept also where none is listed, and for as long as a browser keeps a
    cookie: sessions may be elsewhere still, in cookies or where another library kept them.
    """
    while True:
        record, ttl = await read_subject(subject), LONGEST_COOKIE + DAY
        if record is None:
            epoch = secrets.token_hex(8).encode()
            made = await Put(subject_key(subject), {"@epoch": epoch}, {"@ended": 0}, version=0, ttl=ttl)
            if isinstance(made, Written):
                return None
            continue
        ending = [name for name in entries_of(record) if name != keep]
        done = await Patch(
            subject_key(subject),
            {"@epoch": secrets.token_hex(8).encode(), **{"e." + name: b"" for name in ending}},
            # Removing comes first, which succeeds also where an engine's memory is at its limit.
            ("@epoch", *["s." + name for name in ending]),
            {"@ended": 0},
            ttl=max(ttl, (record.expires or 0) - record.at),
            version=record.version,
        )
        if isinstance(done, Written):
            return await _finish(subject, ending, b"signed out everywhere")


async def end(subject: str, selector: str) -> bool:
    """End one session of the subject; false if it is not alive, or not theirs."""
    ended = await Bury(session_key(selector), {"@owner": subject.encode()}, ttl=TOMBSTONE, note=b"revoked")
    if isinstance(ended, Refused):
        return False
    await strike(subject, selector)
    return ended


async def end_any(selector: str) -> bool:
    """End a session whoever owns it, for operators; false if it was not alive."""
    record = await Read(session_key(selector))
    ended = await Bury(session_key(selector), ttl=TOMBSTONE, note=b"revoked by an operator")
    owner = text(record.fields.get("@owner")) if record else None
    if owner is not None:
        await strike(owner, selector)
    return ended is True


async def read_subject(subject: str) -> Record | None:
    """The subject's record, after finishing what an interrupted ending left."""
    record = await Read(subject_key(subject))
    if record is None:
        return None
    if "@epoch" not in record.fields:  # nothing of ours leaves a tombstone there either
        raise CorruptRecord("the record of somebody's sessions is damaged, or was not written by Moored.")
    if ending := [name[2:] for name in record.fields if name[:2] == "e."]:
        await _finish(subject, ending, b"signed out everywhere")
        return await Read(subject_key(subject))
    return record


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
            stale.append("s." + selector)
    if stale:
        await Patch(subject_key(subject), unset=tuple(stale), version=record.version)
    return alive


async def _finish(subject: str, ending: Iterable[str], why: bytes) -> None:
    """Bury what is to end: sessions of the subject, and those that a login has not reached yet."""
    left = list(ending)
    done = tuple(["e." + selector for selector in left])
    owner = subject.encode()
    while left:
        owned = await Together(
            *[Bury(session_key(name), {"@owner": owner}, ttl=TOMBSTONE, note=why) for name in left]
        )
        left = [name for name, answer in zip(left, owned, strict=True) if _nobodys(answer)]
        if left:  # a login may be on its way there: nothing, or an anonymous session
            bare = await Together(
                *[Bury(session_key(name), {"@owner": None}, ttl=TOMBSTONE, note=why) for name in left]
            )
            left = [name for name, answer in zip(left, bare, strict=True) if isinstance(answer, Refused)]
    if done:
        await Patch(subject_key(subject), unset=done)


def _nobodys(answer: bool | Refused) -> bool:
    if not isinstance(answer, Refused):
        return False
    return answer.record is None or (not answer.record.dead and "@owner" not in answer.record.fields)


def _outlives(settings: SessionSettings) -> int:
    """The record is kept a day longer than any session on its list can live."""
    return settings.absolute + DAY
