"""What scenes of sessions are made of: visitors, members, requests, and laws that hold at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moored.codec import decode, encode
from moored.commands import Read, Record
from moored.kinds.sessions.gate import signing_in
from moored.kinds.sessions.record import Change, Credential, Session, session_key
from moored.kinds.sessions.saving import Saved, create, load, save
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.signing import login
from moored.kinds.sessions.subjects import subject_key
from moored.testing.simulate import World

SETTINGS = SessionSettings()
TEN_MINUTES = 600_000
Edit = Callable[[dict[str, Any]], object]


# --- Who there is at the start --------------------------------------------------------------


def visitor(world: World, /, settings: SessionSettings = SETTINGS, **values: Any) -> Credential:
    """The cookie of an anonymous session."""
    _under_laws(world)
    credential = world.run(create(encoded(values), settings)).credential
    assert credential is not None
    return credential


def member(world: World, subject: str, /, **values: Any) -> Credential:
    """The cookie of a session in which somebody has signed in."""
    _under_laws(world)
    credential = world.run(_member(subject, encoded(values))).credential
    assert credential is not None
    return credential


async def _member(subject: str, change: Change) -> Saved[Credential]:
    made = await create(change, SETTINGS)
    return await login(made.session, {}, await signing_in(subject), SETTINGS)


# --- Requests ---------------------------------------------------------------------------------


async def edit(
    world: World, credential: Credential, change: Edit, settings: SessionSettings = SETTINGS
) -> Saved[Credential] | None:
    """A request that loads its session, changes values and saves; None if it found no session."""
    session = await world.call(load(credential))
    if session is None:
        return None
    return await world.call(save(session, changed(session, change), settings))


def setting(**values: Any) -> Edit:
    """An edit that sets these."""
    return lambda there: there.update(values)


def appending(name: str, item: object) -> Edit:
    """An edit that appends to a list."""
    return lambda there: there.setdefault(name, []).append(item)


async def sign_in(
    world: World,
    credential: Credential,
    subject: str,
    change: Edit | None = None,
    settings: SessionSettings = SETTINGS,
) -> Saved[Credential] | None:
    """A request that signs somebody in; None if it found no session."""
    session = await world.call(load(credential))
    if session is None:
        return None
    written = {} if change is None else changed(session, change)
    return await world.call(enter(session, subject, written, settings))


async def enter(
    session: Session | None, subject: str, change: Change, settings: SessionSettings = SETTINGS
) -> Saved[Credential]:
    """Read the gate and sign in, as one operation."""
    return await login(session, change, await signing_in(subject), settings)


def encoded(values: dict[str, Any]) -> dict[str, bytes | None]:
    """The values as fields to write."""
    return {name: encode(value) for name, value in values.items()}


def values_of(session: Session) -> dict[str, Any]:
    """The application's values."""
    return {name: decode(value) for name, value in session.user_fields().items()}


def changed(session: Session, change: Edit) -> Change:
    """The fields that an edit changes."""
    values = values_of(session)
    change(values)
    before, after = session.user_fields(), encoded(values)
    written: dict[str, bytes | None] = {
        name: value for name, value in after.items() if before.get(name) != value
    }
    written.update({name: None for name in before if name not in after})
    return written


# --- What stands ------------------------------------------------------------------------------


async def read(key: str) -> Record | None:
    """A record as it is."""
    return await Read(key)


def proved(world: World, credential: Credential | None) -> Session | None:
    """The session that the cookie proves now."""
    return None if credential is None else world.run(load(credential))


def values(world: World, credential: Credential | None) -> dict[str, Any]:
    """The values of the session that the cookie proves now, which must be alive."""
    session = proved(world, credential)
    assert session is not None, "the session is not alive"
    return values_of(session)


def alive(world: World, key: str) -> Record | None:
    """The record if it is there and no tombstone, without a step."""
    record = world.engine.records.get(key)
    now = world.clock.server() // 1000
    if record is None or record.dead or (record.expires is not None and record.expires <= now):
        return None
    return record


def sessions_of(world: World, subject: str) -> set[str]:
    """The selectors of all sessions in which the subject is signed in, listed or not, without a step."""
    found = set()
    for key in world.engine.records:
        record = alive(world, key) if key.startswith("session:") else None
        if record is not None and record.fields.get("@subject") == subject.encode():
            found.add(key.partition(":")[2])
    return found


# --- What holds at every step, whatever the scene -------------------------------------------------


def _under_laws(world: World) -> None:
    if not world.watchers:
        world.watchers.append(lambda key, before, after: _law(world, key, before, after))


def _law(world: World, key: str, before: Record | None, after: Record | None) -> None:
    now = world.clock.server() // 1000
    if before is not None and before.expires is not None and before.expires <= now:
        before = None
    if before is not None and after is not None:
        assert after.version > before.version, "a version came again"
    kind, _, name = key.partition(":")
    if kind == "session":
        _session_law(world, name, before, after, now)
    elif kind == "subject" and before is not None and after is not None:
        for gone in _listed(before) - _listed(after):
            session = alive(world, session_key(gone))
            owner = None if session is None else session.fields.get("@owner")
            assert owner != name.encode(), "a living session was taken off its owner's list"


def _session_law(world: World, selector: str, before: Record | None, after: Record | None, now: int) -> None:
    if before is not None and before.dead:
        assert after is not None, "a tombstone is gone"
        assert after.dead, "an ended session came back"
    if after is not None and after.dead:
        assert after.expires is not None, "a tombstone without an end"
        assert after.expires >= now + TEN_MINUTES, "a tombstone that is gone too early"
    if after is None or after.dead:
        return
    new = after.fields
    assert after.expires is not None, "a session without an end"
    assert after.expires <= int(new["@absolute"]), "a session outlasts its absolute deadline"
    owner, subject = new.get("@owner"), new.get("@subject")
    assert subject in (None, owner), "somebody signed in to what another owns"
    if owner is not None and not world.fired["restart"]:
        subjects = alive(world, subject_key(owner.decode()))
        assert selector in (_listed(subjects) if subjects else ()), "a session lives unlisted"
    if before is None or before.dead:
        return
    old = before.fields
    assert new["@absolute"] == old["@absolute"], "the absolute deadline moved"
    assert old.get("@owner") in (None, owner), "one person's session became another's"
    step = int(new["@generation"]) - int(old["@generation"])
    assert step in (0, 1), "generations go up by one"
    assert (new["@verifier"] != old["@verifier"]) == bool(step), "a privilege change changes the cookie"
    if subject != old.get("@subject"):
        assert step == 1, "who is signed in changed without a privilege change"


def _listed(record: Record) -> set[str]:
    return {name[2:] for name in record.fields if name[:2] in ("s.", "e.")}
