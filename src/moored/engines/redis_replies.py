"""What the server's replies mean: answers to commands, or errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moored.commands import (
    LEASE_TOKEN,
    LEASE_UNTIL,
    Acquire,
    Add,
    Command,
    Grant,
    Page,
    Patch,
    Put,
    Record,
    Refused,
    Remembered,
    Take,
    Taken,
    Written,
)
from moored.engines.redis_resp import ReplyError
from moored.errors import ConfigurationError, CorruptRecord, MooredError, OutcomeUnknown, Unavailable

REFUSALS = {
    word.encode(): word
    for word in ("missing", "dead", "held", "version", "match", "stale", "bounds", "late", "unknown")
}

# --- Records ----------------------------------------------------------------------------------


def record(key: str, hash_: Any, now: int) -> Record | None:
    """The record that a hash holds at ``now`` (milliseconds).  Raises CorruptRecord.

    ``hash_`` is what HGETALL answers: a map in RESP3, else names and values in turn.
    """
    if not hash_:
        return None
    try:
        raw: dict[bytes, bytes] = (
            hash_ if isinstance(hash_, dict) else dict(zip(hash_[::2], hash_[1::2], strict=True))
        )
        expires = _integer(raw[b"x"]) if b"x" in raw else None
        version = _integer(raw[b"v"])
        if version < 0:
            raise ValueError
        if expires is not None and expires <= now:
            return None
        fields = {name[1:].decode(): value for name, value in raw.items() if name[:1] == b":"}
    except (KeyError, ValueError, TypeError):
        raise corrupt(key) from None
    return Record(version, fields, expires, b"d" in raw, now)


def _integer(text: bytes) -> int:
    if not text.removeprefix(b"-").isdigit():  # stricter than int(), as the scripts are
        raise ValueError
    return int(text)


def some_fields(key: str, names: Sequence[str], reply: Sequence[bytes | None], now: int) -> Record | None:
    """The record of which HMGET was asked v, d, x and these fields."""
    asked = [b"v", b"d", b"x", *[b":" + name.encode() for name in names]]
    held = {name: value for name, value in zip(asked, reply, strict=True) if value is not None}
    return record(key, held, now)


def remembered(text: bytes) -> tuple[Remembered, ...]:
    """What field ``o`` says."""
    return tuple(_entry(entry) for entry in text.decode().split(";")[1:])


def _entry(text: str) -> Remembered:
    name, version, small = text.split(":")
    _, kept, id = ("", "0", name) if name[:1] != "!" else name.split("!")
    return Remembered(id, int(version), (int(small),) if small else (), int(kept))


def corrupt(key: str) -> CorruptRecord:
    """Says that what stands there cannot be read."""
    return CorruptRecord(
        f"the record {key!r} cannot be read: it is damaged, or something other than Moored wrote it."
        " Restore it from a backup, or remove it with the engine's own tools."
    )


def info_members(reply: bytes) -> dict[str, str]:
    """What INFO answered: lines of name and value."""
    lines = [line.partition(":") for line in reply.decode(errors="replace").splitlines()]
    return {name: value for name, colon, value in lines if colon}


# --- Answers ----------------------------------------------------------------------------------


def answer(command: Command[Any], reply: list[Any]) -> Any:
    """What a command's script answered.  Raises CorruptRecord."""
    word, micros = reply[0], reply[1]
    if word == b"ok":
        match command:
            case Put() | Patch():
                return Written(reply[2])
            case Acquire():
                return Grant(reply[2], reply[3])
            case Take():
                return Taken(reply[2] == 1, reply[3], reply[4])
            case Add():
                return reply[2]
        return reply[2] == 1
    if word == b"corrupt":
        raise corrupt(command.key)
    now = micros // 1000
    if word == b"again":
        return _repeated(command, int(reply[2]), reply[3], record(command.key, reply[4], now))
    held = record(command.key, reply[2], now) if len(reply) > 2 else None
    return held if word == b"hit" else Refused(REFUSALS[word], held)


def _repeated(command: Command[Any], version: int, small: bytes, held: Record | None) -> Any:
    assert held is not None
    match command:
        case Put() | Patch():
            return Written(version) if held.version == version else Written(version, True, held)
        case Acquire():
            try:
                until = int(held.fields.get(LEASE_UNTIL, b"0"))
                current = int(held.fields.get(LEASE_TOKEN, b"0")) == version and until > held.at
            except ValueError:
                raise corrupt(command.key) from None
            return Grant(version, until) if current else Refused("held", held)
        case Take():
            return Taken(True, int(small), 0)
        case Add():
            return int(small)
    return small == b"1"


def page(prefix: str, reply: list[Any]) -> Page:
    """What SCAN answered, each key once; those that are not text are not ours."""
    keys: dict[str, None] = {}
    for name in reply[1]:
        try:
            keys[name.decode().removeprefix(prefix)] = None
        except UnicodeDecodeError:
            continue
    cursor = reply[0].decode()
    return Page(tuple(keys), "" if cursor == "0" else cursor)


# --- Errors -----------------------------------------------------------------------------------

PERMISSIONS = (
    "+evalsha +script|load +hgetall +hmget +hget +hset +hdel +hexists +exists +del +pexpireat +time +scan"
    " +ping +info +wait"
)

# What the server says when it has not carried a command out: an outage or not, why, what to do.
_NOT_DONE = {
    "LOADING": (True, "is still loading its data", "Try again in a moment"),
    "BUSY": (True, "is busy with a script of somebody else", "Try again in a moment"),
    "MASTERDOWN": (True, "is a replica that has lost its primary", "Try again when a primary is there"),
    "CLUSTERDOWN": (True, "belongs to a cluster that is down", "Try again when the cluster is up"),
    "TRYAGAIN": (True, "is moving the key to another node", "Try again in a moment"),
    "NOREPLICAS": (True, "has fewer replicas than min-replicas-to-write asks for", "Bring replicas back"),
    "READONLY": (False, "is a read-only replica", "Let the state's URL name the primary"),
    "OOM": (False, "is at its memory limit (maxmemory)", "Give it more memory, or remove data"),
    "MISCONF": (
        False,
        "cannot save its data to disk and therefore refuses writes",
        "Look at its log and disk",
    ),
    "NOPERM": (
        False,
        "does not permit the user of the state's URL to do this",
        f"Its ACL needs the keys of the prefix and {PERMISSIONS}",
    ),
    "MOVED": (False, "is a node of a Redis Cluster", "Name a server that is not clustered"),
    "ASK": (False, "is a node of a Redis Cluster", "Name a server that is not clustered"),
    "ERR max number of clients": (True, "has no connection left (maxclients)", "Raise it, or open fewer"),
    "DENIED": (False, "is in protected mode", "Set a password, or bind it to addresses"),
}
# After these the address may lead elsewhere, or the password have changed: connect anew.
_MOVED_AWAY = ("READONLY", "MASTERDOWN", "NOAUTH", "WRONGPASS")


def failure(place: str, key: str, error: ReplyError, changes: bool) -> MooredError:
    """What an error reply to a command means; ``changes`` if the command may change something."""
    text = str(error)
    if says(text, "WRONGTYPE"):
        return corrupt(key)
    if says(text, "NOAUTH") or says(text, "WRONGPASS"):
        return refused_login(place)
    for code, (outage, why, what) in _NOT_DONE.items():
        if says(text, code):
            return Unavailable(f"{place} {why}; nothing was changed. {what}.", outage=outage)
    # The text may end in arguments, which are nobody's business.
    text = text.partition(", with args")[0]
    if changes and "script" in text:
        return OutcomeUnknown(f"a script failed on {place}: {text}")
    return Unavailable(f"{place} refused the command: {text}", outage=False)


def says(text: str, code: str) -> bool:
    """Is it that error?  Servers before 7.0 put what a script met behind words of their own."""
    return text.startswith(code) or (text.startswith("ERR Error running script") and f"{code} " in text)


def moved_away(error: MooredError) -> bool:
    """Does this failure say that the connection leads to the wrong place?"""
    reply = error.__cause__
    return isinstance(reply, ReplyError) and any(says(str(reply), code) for code in _MOVED_AWAY)


def refused_login(place: str) -> ConfigurationError:
    """Says that user name or password are wrong, without showing them."""
    return ConfigurationError(
        f"{place} refuses the user name or the password of the state's URL, or wants one and was given none."
        " Correct the URL (MOORED_URL, unless it is set elsewhere): redis://user:password@host:port/0, with"
        " %-escapes for characters other than letters, digits, - . _ ~."
    )
