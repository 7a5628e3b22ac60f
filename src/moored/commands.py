"""Commands: every question and every change that an engine can be asked for.

A command is an immutable value.  It names one key and is one atomic step on the server.
Programs await commands and nothing else; who carries them out, and whether that blocks a
thread, is the runner's affair (``run.py``).  What each command means is written down once,
in ``model.py``.

Units: ``ttl``, ``stamp``, ``expires``, ``at`` and ``until`` are milliseconds; versions and
rates are microseconds; instants count from 1970 on the *server's* clock.  Field values are
opaque bytes.  Field names that begin with ``@`` are ours, user fields carry a prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from hashlib import blake2b
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct, field

from moored.errors import EncodingError, MisuseError

R = TypeVar("R")

# Fields of a leased record (see ``Acquire``).
LEASE_OWNER, LEASE_UNTIL, LEASE_TOKEN = "@lease_owner", "@lease_until", "@lease_token"

KEY_BYTES = 200  # a longer name is replaced by its digest


def check_name(kind: str, name: object) -> None:
    """Raise MisuseError for a name that is no text: callers may be untyped."""
    if not isinstance(name, str):
        raise MisuseError(f"the name of a {kind} is text, not {type(name).__name__}.")


def record_key(kind: str, name: str) -> str:
    """The key of a record: ``kind:name``, with the name's digest where it is long.

    A name that begins with ``~`` is digested as well, so that it never meets a digest.
    Raises MisuseError for a name that is no text, and EncodingError for one that is not Unicode:
    engines keep keys as UTF-8.
    """
    check_name(kind, name)
    try:
        size = len(name) if name.isascii() else len(name.encode())
    except UnicodeEncodeError:
        size = None
    if size is None:  # outside of the handler: its error holds the name
        raise EncodingError(
            f"the name of a {kind} is not Unicode text: it holds a lone surrogate, which UTF-8 cannot hold."
            " Where it was read from, decode it strictly, or give another name."
        )
    if size > KEY_BYTES or name[:1] == "~":
        return f"{kind}:~{blake2b(name.encode(), digest_size=20).hexdigest()}"
    return f"{kind}:{name}"


# --- Answers ------------------------------------------------------------------------------


class Remembered(Struct, frozen=True, array_like=True):
    """A step that a record remembers: its operation id, the version it made, its small answer.

    ``firm``: it was carried out by a repeat, so that the first copy may still arrive; it is
    kept until this instant (microseconds), whatever else comes.
    """

    id: str
    version: int
    answer: tuple[int, ...] = ()
    firm: int = 0


class Record(Struct, frozen=True):
    """What an engine keeps under one key.

    ``version`` never repeats for a key, not even after removal.  A ``dead`` record is a
    tombstone: it has no fields and cannot be written to.  ``at`` is the server's time when
    it was read.
    """

    version: int
    fields: Mapping[str, bytes]
    expires: int | None = None
    dead: bool = False
    at: int = 0
    ops: tuple[Remembered, ...] = ()


class Written(Struct, frozen=True):
    """The write took effect as ``version``.

    ``overtaken`` is set only where a step was recognised as a repeat and others have written
    since; ``record`` is then what stands there now.
    """

    version: int
    overtaken: bool = False
    record: Record | None = None


class Refused(Struct, frozen=True):
    """A guard did not hold, so nothing changed; ``record`` is what stands there."""

    reason: str
    record: Record | None = None


class Grant(Struct, frozen=True):
    """A lease.  ``token`` is its fence: greater than that of every earlier holder."""

    token: int
    until: int


class Taken(Struct, frozen=True):
    """What a rate limit said; ``retry`` is the wait in microseconds, 0 if allowed."""

    allowed: bool
    remaining: int
    retry: int


class Page(Struct, frozen=True):
    """Some keys, and the ``cursor`` that continues after them; "" after the last."""

    keys: tuple[str, ...]
    cursor: str


# --- What a program may await -------------------------------------------------------------


class Command(Struct, Generic[R], frozen=True):
    """One atomic step on one key, answered with an ``R``."""

    key: str

    def __await__(self) -> Generator[Step, Any, R]:
        answers = yield (self,)
        answer: R = answers[0]
        return answer


Step = tuple[Command[Any], ...]


class Together:
    """Commands sent in one round trip.  Each is atomic, the batch is not."""

    __slots__ = ("step",)

    def __init__(self, *commands: Command[Any]) -> None:
        if not commands:
            raise MisuseError("there is nothing to send: give at least one command.")
        self.step: Step = commands

    def __await__(self) -> Generator[Step, Any, list[Any]]:
        answers: list[Any] = yield self.step
        return answers


class Sleep(Struct, frozen=True):
    """A pause in milliseconds; the runner carries it out, no engine sees it."""

    ms: float

    def __await__(self) -> Generator[Sleep, Any, None]:
        yield self


class Outside(Struct, frozen=True):
    """Something that is asked of no engine, and may block; its answer.

    The runner calls it, on an event loop in a thread.
    """

    call: Callable[[], Any]

    def __await__(self) -> Generator[Outside, Any, Any]:
        return (yield self)


class Turn(Protocol):
    """A place at the head of a queue."""

    def leave(self) -> None:
        """Let the next one in."""


class Enter(Struct, frozen=True):
    """Wait for one's turn among those in this process who entered for ``key``.

    First come, first served.  With ``join``, only if there is a queue; None at once if not.
    ``timeout`` is in seconds and set by the policy; when it ends, ConflictError is raised.
    """

    key: str
    join: bool = False
    timeout: float | None = None

    def __await__(self) -> Generator[Enter, Any, Turn | None]:
        turn: Turn | None = yield self
        return turn


# --- Commands -----------------------------------------------------------------------------

NOTHING: Mapping[str, Any] = {}


class Read(Command[Record | None], frozen=True):
    """What the key holds, tombstones included; only ``names`` of its fields, if given."""

    names: tuple[str, ...] | None = None


class Put(Command[Written | Refused], frozen=True):
    """Replace the whole record, if ``version`` is the current one (0: absent, None: any).

    ``stamp`` sets fields to server time plus a duration.  Refused: dead, held, version.
    """

    fields: Mapping[str, bytes] = NOTHING
    stamp: Mapping[str, int] = NOTHING
    version: int | None = None
    ttl: int | None = None


class Patch(Command[Written | Refused], frozen=True):
    """Change some fields of a live record; never creates one, never revives a tombstone.

    ``unset`` comes before ``set``, ``stamp`` (server time plus a duration) after it.
    Guards: ``match`` (these bytes, or None for absence), ``version``, and ``newer`` =
    (field, n, or_equal): the field's integer must be below n (or equal to it) and becomes
    n.  ``ttl`` cannot outlast the instant in field ``within``.
    Refused: missing, dead, held, version, match, stale.
    """

    set: Mapping[str, bytes] = NOTHING
    unset: tuple[str, ...] = ()
    stamp: Mapping[str, int] = NOTHING
    match: Mapping[str, bytes | None] = NOTHING
    newer: tuple[str, int, bool] | None = None
    version: int | None = None
    ttl: int | None = None
    within: str | None = None


class Bury(Command[bool | Refused], frozen=True):
    """Leave a tombstone for ``ttl``, also where nothing was; true if a live record ended.

    ``note`` is kept in the tombstone's only field, ``@note``, for whoever asks why.
    Refused: version, match.
    """

    match: Mapping[str, bytes | None] = NOTHING
    version: int | None = None
    ttl: int = 600_000
    note: bytes = b""


class Drop(Command[bool | Refused], frozen=True):
    """Remove a live record without a trace; true if one was removed.  Tombstones stay.

    Refused: version, match.
    """

    match: Mapping[str, bytes | None] = NOTHING
    version: int | None = None


class Add(Command[int | Refused], frozen=True):
    """Add to the integer in field ``n``, unless that leaves ``low..high``; the new total.

    ``ttl`` counts from the first addition.  Totals are limited to ±2**53, where every
    engine counts exactly.  Refused: dead, bounds.
    """

    by: int = 1
    low: int | None = None
    high: int | None = None
    ttl: int | None = None


class Take(Command[Taken | Refused], frozen=True):
    """Spend ``cost`` of every rate, or of none (GCRA).

    A rate is (interval, burst): a bucket ``burst`` deep that regains one each ``interval``
    microseconds.  A negative cost gives back.  Refused: dead.
    """

    rates: tuple[tuple[int, int], ...] = ((1_000_000, 1),)
    cost: int = 1


class Acquire(Command[Grant | Record | Refused], frozen=True):
    """Lease the record to ``owner`` for ``ttl``.

    Makes the record if there is none, unless ``existing``.  With ``unless``, a record that
    has this field is answered instead: a cache hit.  Refused: missing, dead, held.
    """

    owner: str = ""
    ttl: int = 30_000
    unless: str | None = None
    existing: bool = False


class Scan(Command[Page], frozen=True):
    """Keys that begin with ``key``, tombstones included, about ``limit`` at a time.

    Begin with an empty ``cursor`` and go on with that of each answer.  A record that is
    there all the while is answered at least once, possibly more often.
    """

    cursor: str = ""
    limit: int = 100


# --- How a step is sent ---------------------------------------------------------------------


class Op(Struct, frozen=True):
    """What identifies one command across its attempts.

    ``since``: server microseconds known, at least, when it was first sent.
    ``until``: the instant after which the server must not carry it out.
    ``again``: an earlier copy was sent, and nobody knows what became of it.
    """

    id: str
    since: int
    until: int
    again: bool = False


class Send(Struct, frozen=True):
    """One attempt to have a step carried out within ``timeout`` seconds, from policy to runner."""

    step: Step
    ops: tuple[Op, ...]
    timeout: float = field(default=2.0)

    def __await__(self) -> Generator[Send, Any, list[Any]]:
        answers: list[Any] = yield self
        return answers


class Connect(Struct, frozen=True):
    """Reach the engine and learn its clock within ``timeout`` seconds, from policy to runner."""

    timeout: float

    def __await__(self) -> Generator[Connect, Any, None]:
        yield self
