"""The subject's record: the index of their sessions, and the gate to new ones.

What it consists of says ``subject_fields``.  Whoever reads the entry of a session that is being
ended finishes that, so an interrupted ending is completed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from moored.commands import Bury, Patch, Put, Read, Record, Refused, Together, Written, record_key
from moored.errors import CorruptRecord, LoginRefused, MisuseError, OutcomeUnknown, Unavailable
from moored.kinds.sessions.browsers import (
    put_on_list,
    remember_for,
    remembers,
    revoked,
)
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.record import TOMBSTONE, integer, new_selector, session_key
from moored.kinds.sessions.settings import DAY, SessionSettings
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


class Gate(Struct, frozen=True):
    """A subject's epoch, read before the subject proved who they are; ``record`` is what was read.

    ``shown``: it is a remember-me cookie that proves it, of this browser, or of none that it names
    (""); None: the subject gives a proof now.  ``browser`` is to remember the subject.
    ``renews``: there is no proof but the session that the sign-in goes on with.
    """

    subject: str
    epoch: bytes
    record: Record | None = None
    shown: str | None = None
    browser: str = ""
    renews: bool = False


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
        return {name: _decode_entry(value) for name, value in fields_of(record, FieldKind.SESSION)}
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


def by_cookie(gate: Gate, browser: str) -> Gate:
    """The gate for a sign-in by a remember-me cookie of this browser, or of none that it names ("")."""
    return replace(gate, shown=browser, browser=browser or new_selector())


async def enlist(
    gate: Gate, selector: str, origin: Origin, settings: SessionSettings, before: str = ""
) -> str:
    """Put a session on its subject's list, at the epoch of the gate; over the maximum the oldest ends.

    The answer is the name of the browser that remembers the subject there, "" if none does;
    ``before`` is that which did so far.  Raises LoginRefused if the epoch is another one by now, or
    what a cookie proved is no longer so.
    """
    record = gate.record  # if others have written since, the step below is refused, and it is read again
    while True:
        record = await _open(gate, record)
        browser, remember, forget = _remembered(gate, record, selector, settings, before)
        others = {name: entry for name, entry in entries_of(record).items() if name != selector}
        over = max(0, len(others) + 1 - settings.each)
        surplus = sorted(others, key=lambda name: others[name].created)[:over]
        # Later than every other, also within one millisecond: it tells which is the oldest.
        created = max([record.at, *[other.created + 1 for other in others.values()]])
        entry = Entry(created, origin.device[:200], origin.address[:64], browser)
        ending = dict.fromkeys(surplus, EndReason.OVER)
        done = await Patch(
            subject_key(gate.subject),
            {entry_field(selector): _encode_entry(entry), **remember, **noted(ending)},
            (*[entry_field(name) for name in surplus], *forget),
            {"@listed": 0},
            version=record.version,
            ttl=_kept_for(record, settings, bool(remember)),
        )
        if isinstance(done, Written):
            break
        record = None
    await finish(gate.subject, ending)
    return browser


async def admit(gate: Gate, settings: SessionSettings, selector: str = "", before: str = "") -> str:
    """Let somebody in whose session is on no list; the record outlives it.

    Where the session keeps the name of its browser (there is a ``selector``), the answer is that,
    as ``enlist`` gives it.  Raises LoginRefused as that does.
    """
    record = gate.record
    while True:
        record = await _open(gate, record)
        browser, remember, forget = _remembered(gate, record, selector, settings, before)
        done = await Patch(
            subject_key(gate.subject),
            remember,
            forget,
            {"@listed": 0},
            {"@epoch": gate.epoch},
            version=record.version if remember or gate.shown is not None else None,
            ttl=_kept_for(record, settings, bool(remember)),
        )
        if isinstance(done, Written):
            return browser
        record = None


async def _open(gate: Gate, record: Record | None) -> Record:
    """The record, if the gate is still open."""
    record = record or await read_subject(gate.subject)
    if record is None or record.fields["@epoch"] != gate.epoch:
        raise LoginRefused(
            f"{gate.subject} was logged out everywhere while this login was under way: sign in again."
        )
    return record


def _remembered(
    gate: Gate, record: Record, selector: str, settings: SessionSettings, before: str
) -> tuple[str, dict[str, bytes], tuple[str, ...]]:
    """Which browser remembers the subject after a sign-in, and what to set and remove for that."""
    by, browser = gate.shown, gate.browser or before
    if by is not None and (not remembers(record, by) if by else revoked(record) != revoked(gate.record)):
        raise LoginRefused(
            f"{gate.subject} was signed out of this browser while it was signing them in: sign in again."
        )
    if not selector:
        return "", {}, ()
    if not remembers(record, browser):
        if not gate.browser:
            return "", {}, ()
        if remembers(gate.record, browser):  # forgotten since: other copies of its cookie must stay so
            browser = new_selector()
    return browser, *put_on_list(record, browser, selector, settings)


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


def _outlives(settings: SessionSettings) -> int:
    """The record is kept a day longer than any session on its list can live."""
    return settings.absolute + DAY


def _kept_for(record: Record, settings: SessionSettings, remembered: bool) -> int:
    """For how long the record is kept after a sign-in.

    Never sooner than before: others on the list may live by an earlier, longer setting.
    """
    least = remember_for(settings) if remembered else _outlives(settings)
    return max(least, (record.expires or 0) - record.at)
