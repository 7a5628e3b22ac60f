"""The meaning of every command, as one pure function.

The rules, in the order in which ``apply`` keeps them:

1. A record whose ``expires`` has come is absent.
2. A mutating step whose operation id the record remembers changes nothing and is answered
   with its own effect, never with that of another caller.
3. A step that the record may have forgotten changes nothing: ``unknown``.  That is one first
   sent before the horizon, and a repeat if the memory is full of entries younger than its
   first sending.  What a repeat carried out is remembered firmly, beside the others and for
   longer than any copy of it can be carried out: so a first copy is always recognised if it
   arrives after its repeat, and needs no room in the memory to be carried out itself.
4. A step that arrives after its ``until`` changes nothing: ``late``.
5. Otherwise the command's guards decide; a step that changed something gets a new version,
   greater than every earlier one of the key, and is remembered.
6. While a lease is live, a Patch that does not match its token and a Put with a version are
   ``held``.  Bury, Drop and a Put without a version end the lease.

Memory runs this under a lock, SQL engines inside a transaction or a compare-and-swap loop.
Redis has the same rules as scripts, held equal to these by ``tests/engines``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from moored.commands import (
    LEASE_OWNER,
    LEASE_TOKEN,
    LEASE_UNTIL,
    Acquire,
    Add,
    Bury,
    Command,
    Drop,
    Grant,
    Op,
    Patch,
    Put,
    Read,
    Record,
    Refused,
    Remembered,
    Take,
    Taken,
    Written,
)
from moored.errors import CorruptRecord

REMEMBERED = 64  # steps a record remembers; more make a read of a busy record slower
REPEATS = 256  # repeats it remembers firmly beside them
KEPT = 3_000_000  # microseconds beyond its not-after for which a repeat is, so that one can ask about it
HORIZON = 60_000_000  # microseconds for which it does: longer than any deadline
MARGIN = 60_000  # milliseconds by which a record made by Acquire outlives its lease
LIMIT = 2**53  # totals stay within ±LIMIT, where doubles (Lua, JSON) count exactly

Change = tuple[Record | None, Any, tuple[int, ...]]  # the record to keep, the answer, what to remember of it


def apply(
    command: Command[Any], record: Record | None, now_us: int, op: Op | None = None
) -> tuple[Record | None, Any]:
    """The record to keep (the same object: unchanged; None: nothing there) and the answer.

    ``op`` may be missing only for commands that are harmless when repeated.  Raises
    CorruptRecord where a field that must hold an integer does not.
    """
    now = now_us // 1000
    if record is not None and record.expires is not None and record.expires <= now:
        record = None
    if isinstance(command, Read):
        return record, _read(command, record, now)
    memory = record.ops if record else ()
    if op is not None:
        for entry in memory:
            if entry.id == op.id:
                return record, _repeated(command, entry, record, now)
        memory = tuple([entry for entry in memory if not 0 < entry.firm < now_us])
        if op.since < now_us - HORIZON or (op.again and _may_be_forgotten(memory, op.since)):
            return record, _refused("unknown", record, now)
        if now_us > op.until:
            return record, _refused("late", record, now)
    version = max(record.version + 1 if record else 0, now_us)
    new, answer, small = _change(command, record, now_us, version)
    if new is not None and new is not record:
        recent = [entry for entry in memory if entry.version >= now_us - HORIZON]
        if op is not None:
            _remember(recent, Remembered(op.id, version, small, op.until + KEPT if op.again else 0))
        new = replace(new, ops=tuple(recent))
    return new, answer


def _may_be_forgotten(memory: tuple[Remembered, ...], since: int) -> bool:
    """Is there no room for a repeat, or was there none for what was done after ``since``?"""
    others = [entry for entry in memory if not entry.firm]
    if len(memory) - len(others) >= REPEATS:
        return True
    return len(others) >= REMEMBERED and others[0].version > since


def _remember(recent: list[Remembered], entry: Remembered) -> None:
    """Add an entry; where there is no room for it, the oldest goes."""
    if not entry.firm:
        others = [at for at, old in enumerate(recent) if not old.firm]
        if len(others) >= REMEMBERED:
            del recent[others[0]]
    recent.append(entry)


def _read(command: Read, record: Record | None, now: int) -> Record | None:
    if record is None:
        return None
    fields = record.fields
    if command.names is not None:
        fields = {name: fields[name] for name in command.names if name in fields}
    return replace(record, fields=fields, at=now, ops=())


def _repeated(command: Command[Any], entry: Remembered, record: Record | None, now: int) -> Any:
    assert record is not None
    match command:
        case Put() | Patch():
            if record.version == entry.version:
                return Written(entry.version)
            return Written(entry.version, True, _seen(record, now))
        case Acquire():
            until = _integer(record, LEASE_UNTIL)
            if _integer(record, LEASE_TOKEN) == entry.version and until > now:
                return Grant(entry.version, until)
            return _refused("held", record, now)
        case Take():
            return Taken(True, entry.answer[0], 0)
        case Add():
            return entry.answer[0]
        case _:
            return bool(entry.answer[0])


def _change(command: Command[Any], record: Record | None, now_us: int, version: int) -> Change:
    now = now_us // 1000
    match command:
        case Put():
            return _put(command, record, now, version)
        case Patch():
            return _patch(command, record, now, version)
        case Bury():
            return _bury(command, record, now, version)
        case Drop():
            return _drop(command, record, now)
        case Add():
            return _add(command, record, now, version)
        case Take():
            return _take(command, record, now_us, version)
        case Acquire():
            return _acquire(command, record, now, version)
    raise TypeError(f"no engine carries out {type(command).__name__}")


def _put(command: Put, record: Record | None, now: int, version: int) -> Change:
    if record is not None and record.dead:
        return record, _refused("dead", record, now), ()
    if command.version and record is not None and _leased(record, now):
        return record, _refused("held", record, now), ()
    if refused := _guard({}, command.version, record, now):
        return record, refused, ()
    expires = None if command.ttl is None else now + command.ttl
    fields = {**command.fields, **_stamped(command.stamp, now)}
    return Record(version, fields, expires), Written(version), ()


def _patch(command: Patch, record: Record | None, now: int, version: int) -> Change:
    if record is None:
        return record, Refused("missing"), ()
    if record.dead:
        return record, _refused("dead", record, now), ()
    if LEASE_TOKEN not in command.match and _leased(record, now):
        return record, _refused("held", record, now), ()
    if refused := _guard(command.match, command.version, record, now):
        return record, refused, ()
    fields = dict(record.fields)
    for name in command.unset:
        fields.pop(name, None)
    fields.update(command.set)
    if command.newer is not None:
        name, number, or_equal = command.newer
        current = _integer(record, name, -1)
        if current > number or (current == number and not or_equal):
            return record, _refused("stale", record, now), ()
        fields[name] = b"%d" % number
    fields.update(_stamped(command.stamp, now))
    expires = record.expires
    if command.ttl is not None:
        expires = now + command.ttl
        if command.within is not None and command.within in fields:
            expires = min(expires, _number(fields[command.within], command.within))
    return Record(version, fields, expires), Written(version), ()


def _bury(command: Bury, record: Record | None, now: int, version: int) -> Change:
    if refused := _guard(command.match, command.version, record, now):
        return record, refused, ()
    was = record is not None and not record.dead
    fields = {"@note": command.note} if command.note else {}
    return Record(version, fields, now + command.ttl, dead=True), was, (int(was),)


def _drop(command: Drop, record: Record | None, now: int) -> Change:
    if record is None or record.dead:
        return record, False, ()
    if refused := _guard(command.match, command.version, record, now):
        return record, refused, ()
    return None, True, ()


def _add(command: Add, record: Record | None, now: int, version: int) -> Change:
    if record is not None and record.dead:
        return record, _refused("dead", record, now), ()
    total = (_integer(record, "n") if record else 0) + command.by
    low, high = command.low, command.high
    if (low is not None and total < low) or (high is not None and total > high) or abs(total) > LIMIT:
        return record, _refused("bounds", record, now), ()
    if record is not None:
        return Record(version, {**record.fields, "n": b"%d" % total}, record.expires), total, (total,)
    expires = None if command.ttl is None else now + command.ttl
    return Record(version, {"n": b"%d" % total}, expires), total, (total,)


def _take(command: Take, record: Record | None, now_us: int, version: int) -> Change:
    """The generic cell rate algorithm, as a virtual schedule (ITU-T I.371, annex A)."""
    if record is not None and record.dead:
        return record, _refused("dead", record, now_us // 1000), ()
    full, left, spare, wait = {}, [], [], 0
    for interval, burst in command.rates:
        name = f"t{interval}"
        start = max(_integer(record, name) if record else 0, now_us)
        end = max(start + command.cost * interval, now_us)
        full[name] = end
        left.append((burst * interval - end + now_us) // interval)
        spare.append((burst * interval - start + now_us) // interval)
        wait = max(wait, end - now_us - burst * interval)
    if wait > 0:
        return record, Taken(False, max(min(spare), 0), wait), ()
    expires = -(-max(full.values()) // 1000)
    stored = {name: b"%d" % end for name, end in full.items()}
    return Record(version, stored, expires), Taken(True, min(left), 0), (min(left),)


def _acquire(command: Acquire, record: Record | None, now: int, version: int) -> Change:
    if record is None and command.existing:
        return record, Refused("missing"), ()
    if record is not None and record.dead:
        return record, _refused("dead", record, now), ()
    fields = record.fields if record else {}
    if record is not None and command.unless is not None and command.unless in fields:
        return record, _seen(record, now), ()
    if record is not None and _leased(record, now):
        return record, _refused("held", record, now), ()
    until = now + command.ttl
    if record is not None and (record.expires is None or command.existing):
        expires = record.expires
    else:
        expires = max(until + MARGIN, (record.expires if record else None) or 0)
    lease = {
        LEASE_OWNER: command.owner.encode(),
        LEASE_UNTIL: b"%d" % until,
        LEASE_TOKEN: b"%d" % version,
    }
    return Record(version, {**fields, **lease}, expires), Grant(version, until), ()


def _guard(
    match: Mapping[str, bytes | None], version: int | None, record: Record | None, now: int
) -> Refused | None:
    if version is not None and version != (record.version if record else 0):
        return _refused("version", record, now)
    fields = record.fields if record else {}
    for name, value in match.items():
        if fields.get(name) != value:
            return _refused("match", record, now)
    return None


def _leased(record: Record, now: int) -> bool:
    return LEASE_UNTIL in record.fields and _integer(record, LEASE_UNTIL) > now


def _stamped(stamp: Mapping[str, int], now: int) -> dict[str, bytes]:
    return {name: b"%d" % (now + ms) for name, ms in stamp.items()}


def _integer(record: Record, name: str, missing: int = 0) -> int:
    value = record.fields.get(name)
    return missing if value is None else _number(value, name)


def _number(value: bytes, name: str) -> int:
    if value.removeprefix(b"-").isdigit():  # nothing else that ``int`` would take, such as " 7" or "1_0"
        return int(value)
    raise CorruptRecord(
        f"field {name} of a record holds no integer. Something other than Moored wrote there, or the"
        " record is damaged: remove it with the engine's own tools."
    )


def _seen(record: Record, now: int) -> Record:
    return replace(record, at=now, ops=())


def _refused(reason: str, record: Record | None, now: int) -> Refused:
    return Refused(reason, _seen(record, now) if record else None)
