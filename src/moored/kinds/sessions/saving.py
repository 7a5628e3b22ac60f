"""Loading and saving: one round trip to read, one to write what changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from moored.codec import decode, encode
from moored.commands import (
    LEASE_OWNER,
    LEASE_TOKEN,
    LEASE_UNTIL,
    NOTHING,
    Enter,
    Patch,
    Put,
    Read,
    Record,
    Refused,
    Sleep,
    Written,
)
from moored.errors import ConflictError, GoneError, HeldError, LoginRefused, Unavailable
from moored.kinds.sessions.record import (
    Change,
    Credential,
    Fields,
    Proof,
    Session,
    apply_change,
    check_size,
    digest,
    generation,
    integer,
    new_selector,
    new_verifier,
    proves,
    session_key,
    view,
)
from moored.kinds.sessions.settings import SessionSettings
from moored.merge import MISSING, Missing, merge

LATE = 30_000  # milliseconds after a sign-in for which changes of earlier requests are merged
CONFLICTS = 2  # after so many a save queues
HELD_PAUSE = 2.0, 20.0  # milliseconds between two tries while somebody has the session to themselves
LEASE = (LEASE_OWNER, LEASE_UNTIL, LEASE_TOKEN)


ProofT = TypeVar("ProofT", bound=Proof)


class Saved(Struct, Generic[ProofT], frozen=True):
    """What became of a save.

    ``session`` is the base of the request's next diff; ``credential`` is to be sent if there
    is one.  ``dropped``: the request was overtaken by a sign-in or sign-out, and (some of)
    its changes are not there.  ``conflicts``: where the later commit won.
    """

    session: Session
    credential: ProofT | None = None
    dropped: bool = False
    conflicts: tuple[str, ...] = ()


class Superseded(Exception):
    """The session moved on, ended or vanished under a write; ``record`` is what is there."""

    def __init__(self, reason: str, record: Record | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.record = record


# --- Loading and making --------------------------------------------------------------------


class Outdated(Struct, frozen=True):
    """A cookie that was good once; ``recently``, if the request was perhaps under way just then.

    ``ended``: its session is no more; else somebody has signed in to it, or out of it, since.
    """

    recently: bool
    ended: bool = False


async def look(credential: Credential) -> Session | Outdated | None:
    """The live session that the credential proves; what became of it; or None.  One round trip."""
    record = await Read(session_key(credential.selector))
    if record is None:
        return None
    if record.dead:
        return Outdated(record.at - record.version // 1000 < LATE, ended=True)
    session = view(credential.selector, record)
    if not proves(record, credential.verifier):
        return Outdated(record.at - session.instant("@changed") < LATE)
    return session


async def load(credential: Credential) -> Session | None:
    """The live session that the credential proves, or None.  One round trip."""
    found = await look(credential)
    return found if isinstance(found, Session) else None


async def create(change: Change, settings: SessionSettings) -> Saved[Credential]:
    """A new anonymous session."""
    return await make(new_selector(), change, None, settings)


async def make(
    selector: str,
    change: Change,
    subject: str | None,
    settings: SessionSettings,
    *,
    verifier: bytes = b"",
    also: Fields = NOTHING,
) -> Saved[Credential]:
    """A new session under a selector that nobody uses yet; ``also`` are further fields of ours.

    Without ``verifier`` it gets a random one.  Raises LoginRefused if the selector is taken.
    """
    verifier = verifier or new_verifier()
    ours = {"@verifier": digest(verifier), "@generation": b"0", **also}
    stamp = {"@absolute": settings.absolute, "@created": 0, "@seen": 0, "@sent": 0}
    if subject is not None:
        ours |= {"@subject": subject.encode(), "@owner": subject.encode()}
        stamp["@changed"] = 0
    fields = apply_change(ours, change)
    check_size(fields, settings)
    made = await Put(session_key(selector), fields, stamp, version=0, ttl=settings.lifetime)
    if isinstance(made, Refused):  # a new selector is taken only by the tombstone of an ending
        raise LoginRefused(
            f"{subject} was logged out everywhere while this login was under way: sign in again."
        )
    return Saved(Session(selector, 0, fields, subject, subject), Credential(selector, verifier))


# --- Writing -----------------------------------------------------------------------------------

Edit = Callable[[Fields], Change]


async def write(
    session: Session,
    edit: Edit,
    settings: SessionSettings,
    *,
    ours: Mapping[str, bytes] = {},
    drop: tuple[str, ...] = (),
    stamp: Mapping[str, int] = {},
    token: int | None = None,
) -> Written:
    """Write what ``edit`` makes of the fields as they are, in one step.

    The step matches the generation and the base bytes of the fields that change, so
    different fields never conflict.  After two conflicts the write queues behind the others
    of this process.  Raises Superseded if the session is not as the request knew it,
    ConflictError if others kept winning until the deadline, HeldError if somebody had it to
    themselves until then.
    """
    fields, waits = session.fields, 0
    turn = await Enter(session.key, join=True)
    try:
        conflicts = 0
        while True:
            if conflicts == CONFLICTS and turn is None:
                turn = await Enter(session.key)
            change = edit(fields)
            match: dict[str, bytes | None] = {"." + name: fields.get("." + name) for name in change}
            match["@generation"] = b"%d" % session.generation
            if token is not None:
                match[LEASE_TOKEN] = b"%d" % token
            unset = drop + tuple(["." + name for name, value in change.items() if value is None])
            sets = {"." + name: value for name, value in change.items() if value is not None}
            try:
                done = await Patch(
                    session.key,
                    {**sets, **ours},
                    unset,
                    {"@seen": 0, **stamp},
                    match,
                    version=token,  # an exclusive holder decides on all that it read
                    ttl=settings.idle,
                    within="@absolute",
                )
            except Unavailable as error:
                if error.outage or not (waits or conflicts):
                    raise
                raise crowded(waits > 0) from error
            if isinstance(done, Written):
                return done
            if done.reason == "held":  # an exclusive handler has it
                waits += 1
                await pause_while_held()
                continue
            conflicts += 1
            fields = _same_life(session, done, token)
    finally:
        if turn is not None:
            turn.leave()


async def pause_while_held() -> None:
    """Leave the one who has the session to themselves a moment."""
    await Sleep(random.uniform(*HELD_PAUSE))  # noqa: S311 - spreads tries, guards nothing


def crowded(held: bool) -> ConflictError | HeldError:
    """The error of a write that others kept from happening until its deadline."""
    if held:
        return HeldError(
            "another request has this session to itself (exclusive), and kept it: try again later."
        )
    return ConflictError(
        "too many requests are writing to the same field of this session at once: try again."
    )


def _same_life(session: Session, refused: Refused, token: int | None) -> Fields:
    """The fields as they are now, if this is still the session that the request knew."""
    record = refused.record
    if record is None or record.dead or generation(record) != session.generation:
        raise Superseded(refused.reason, record)
    if token is not None:
        raise ConflictError(
            "the session was held exclusively for too long, and somebody else has written to it since."
        )
    return record.fields


def merging(base: Fields, mine: Change, settings: SessionSettings, conflicts: list[str]) -> Edit:
    """An edit that merges ``mine`` into the fields as they are."""

    def edit(theirs: Fields) -> Change:
        conflicts.clear()
        change: dict[str, bytes | None] = {}
        for name, value in mine.items():
            was, now = base.get("." + name), theirs.get("." + name)
            if was == now:
                change[name] = value
                continue
            sides = decoded(was), decoded(value), decoded(now)
            merged = merge(*sides, settings.merge, (name,), conflicts)
            change[name] = None if merged is MISSING else encode(merged, path=name, depth=settings.depth)
        return change

    return edit


def decoded(value: bytes | None) -> Any | Missing:
    """The value of a field, or MISSING."""
    return MISSING if value is None else decode(value)


async def save(
    session: Session,
    change: Change,
    settings: SessionSettings,
    *,
    sent: bool = False,
    token: int | None = None,
) -> Saved[Credential]:
    """Merge what the request changed into the session; with nothing changed, touch it.

    ``sent``: the cookie is sent again with the response.  With ``token`` (of ``hold``) the
    session is given back in the same step.  Raises GoneError if a signed-in session has
    expired, ConflictError where a field declared ``refuse`` was changed by another request,
    TooLargeError.
    """
    after = replace(session, fields=apply_change(session.fields, change))
    if change:
        check_size(after.fields, settings, session.fields)
    drop: tuple[str, ...] = LEASE if token is not None else ()
    if "@login" in session.fields and session.at - session.instant("@changed") >= LATE:
        drop += ("@login",)  # nobody is late enough any more to need it
    conflicts: list[str] = []
    try:
        edit = merging(session.fields, change, settings, conflicts)
        await write(session, edit, settings, drop=drop, stamp={"@sent": 0} if sent else {}, token=token)
        return Saved(after, conflicts=tuple(conflicts))
    except Superseded as superseded:
        record = superseded.record
    if not change:
        return Saved(after, dropped=record is not None)
    if record is None:
        if session.owner is not None:  # also where only the identity was removed: the data is theirs
            raise GoneError("this session has expired while the request was running: sign in again.")
        return await create(after.user_fields(), settings)
    return await _save_late(session, change, record, settings, after)


async def _save_late(
    session: Session, mine: Change, record: Record, settings: SessionSettings, after: Session
) -> Saved[Credential]:
    """A save that somebody's sign-in or sign-out has overtaken; it never sends a cookie."""
    dropped: Saved[Credential] = Saved(after, dropped=True)
    if record.dead or session.owner is not None:
        return dropped
    if "@login" not in record.fields or record.at - integer(record.fields, "@changed") >= LATE:
        return dropped
    refused = {*decode(record.fields["@login"]), *settings.identity}
    base, kept = session.fields, {name: value for name, value in mine.items() if name not in refused}
    conflicts: list[str] = []
    merged = merging(base, kept, settings, conflicts)

    def edit(theirs: Fields) -> Change:
        return {name: value for name, value in merged(theirs).items() if _may_merge_late(name, base, theirs)}

    # Exactly one sign-in later, or the step is refused.
    current = replace(session, generation=session.generation + 1, fields=record.fields)
    try:
        await write(current, edit, settings)
    except Superseded:
        return dropped
    return Saved(after, dropped=len(kept) < len(mine), conflicts=tuple(conflicts))


def _may_merge_late(name: str, base: Fields, theirs: Fields) -> bool:
    """A scalar written since the sign-in stands; a container can hold both."""
    now = theirs.get("." + name)
    return now == base.get("." + name) or isinstance(decoded(now), (dict, list, set, frozenset))
