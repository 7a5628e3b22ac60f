"""Signing in and out: every change of who a session belongs to.

The record's generation counts these changes, and each replaces the verifier in the same
step, so that the cookie from before proves nothing any more.
"""

from __future__ import annotations

from msgspec.structs import replace

from moored.codec import encode
from moored.commands import Bury, Record, Refused
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.ending import forget_browser_of
from moored.kinds.sessions.gate import Gate, enlist
from moored.kinds.sessions.record import (
    TOMBSTONE,
    Change,
    Credential,
    Session,
    apply_change,
    check_size,
    digest,
    new_selector,
    new_verifier,
    view,
)
from moored.kinds.sessions.saving import Saved, Superseded, make, merging, write
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.subjects import Origin, strike

RENEWED = {"@changed": 0, "@sent": 0}  # stamps of a step after which another cookie is sent


async def login(
    session: Session | None,
    change: Change,
    gate: Gate,
    settings: SessionSettings,
    *,
    cleared: bool = False,
    origin: Origin = Origin(),  # noqa: B008 - immutable
) -> Saved[Credential]:
    """Sign ``gate.subject`` in, saving the request's changes in the same step.

    The old cookie is dead from that step on.  What the request wrote replaces what is
    there and is not merged, so that a visitor cannot add to it.  A session that moved on
    meanwhile is left alone; one that belongs to somebody else, or was ``cleared`` in the
    same request, ends, and the login makes a session of its own.  Where the gate says that
    nothing was proved, a session that moved on or ended is not followed by another.  Raises
    LoginRefused.
    """
    subject = gate.subject
    if session is None:
        return await _login_anew(change, gate, origin, settings)
    if cleared or session.owner not in (None, subject):
        made = await _login_anew(change, gate.for_another_session(session.browser), origin, settings)
        await logout(session, EndReason.REPLACED)
        return made
    drop = tuple(["." + name for name in sorted(settings.fresh_on_login) if name not in change])
    kept = {name: value for name, value in apply_change(session.fields, change).items() if name not in drop}
    check_size(kept, settings, session.fields)
    verifier = new_verifier()
    ours = {
        "@verifier": digest(verifier),
        "@generation": b"%d" % (session.generation + 1),
        "@subject": subject.encode(),
        "@owner": subject.encode(),
        "@login": encode(sorted({*change, *settings.fresh_on_login})),
    }
    ours |= _in_browser(await enlist(gate, session.selector, origin, settings, session.browser))
    if session.browser and "@browser" not in ours:
        drop += ("@browser",)
        del kept["@browser"]
    try:
        await write(session, lambda theirs: change, settings, ours=ours, drop=drop, stamp=RENEWED)
    except Superseded:
        if gate.renews:
            return Saved(session, dropped=True)
        mine = {name[1:]: value for name, value in kept.items() if name[:1] == "."}
        return await _login_anew(mine, gate, origin, settings, session.browser)
    after = Session(
        session.selector, session.generation + 1, {**kept, **ours}, subject, subject, session.expires
    )
    return Saved(replace(after, at=session.at), Credential(session.selector, verifier))


async def _login_anew(
    change: Change, gate: Gate, origin: Origin, settings: SessionSettings, before: str = ""
) -> Saved[Credential]:
    """Sign in under a new selector; listed first, so that an ending cannot miss it."""
    selector = new_selector()
    browser = await enlist(gate, selector, origin, settings, before)
    return await make(selector, change, gate.subject, settings, also=_in_browser(browser))


def _in_browser(browser: str) -> dict[str, bytes]:
    """The field of a session that says which browser remembers its subject."""
    return {"@browser": browser.encode()} if browser else {}


async def forget_identity(session: Session, change: Change, settings: SessionSettings) -> Saved[Credential]:
    """Take the identity away and leave the data, which stays its owner's; the browser forgets them.

    A session that was given another cookie meanwhile, with the same subject, ends: the data cannot stay
    with a browser that has not proved the new one.
    """
    verifier = new_verifier()
    ours = {"@verifier": digest(verifier), "@generation": b"%d" % (session.generation + 1)}
    fields = apply_change(session.fields, change)
    check_size(fields, settings, session.fields)
    edit = merging(session.fields, change, settings, [])
    drop = ("@subject", "@login", "@browser")
    await forget_browser_of(session, EndReason.SIGNED_OUT)
    try:
        await write(session, edit, settings, ours=ours, drop=drop, stamp=RENEWED)
    except Superseded as superseded:
        there = _still_theirs(session, superseded.record)
        if there is not None and there.subject == session.subject:
            await logout(there)
        return Saved(session, dropped=True)
    after = replace(session, generation=session.generation + 1, subject=None, fields={**fields, **ours})
    return Saved(after, Credential(session.selector, verifier))


async def logout(session: Session, why: EndReason = EndReason.SIGNED_OUT) -> bool:
    """End the session for good; false if it had moved on, and this request may not end it.

    It may where the session is still its owner's, as after ``regenerate()`` in another tab.
    Its browser forgets who was signed in.
    """
    match = {"@generation": b"%d" % session.generation}
    while True:
        await forget_browser_of(session, why)
        ended = await Bury(session.key, match, ttl=TOMBSTONE, note=why.note)
        if not isinstance(ended, Refused):
            break
        if (there := _still_theirs(session, ended.record)) is None:
            return ended.record is None or ended.record.dead
        # Whatever becomes of it, it stays its owner's: nobody who renews it again holds this up.
        session, match = there, {"@owner": there.fields["@owner"]}
    if session.owner is not None:
        if "@owner" in match:
            await forget_browser_of(session, why)  # what it was given since
        await strike(session.owner, session.selector)
    return True


def _still_theirs(session: Session, record: Record | None) -> Session | None:
    """The living session in the record, if it has the owner that it had."""
    if record is None or record.dead or session.owner is None:
        return None
    there = view(session.selector, record)
    return there if there.owner == session.owner else None
