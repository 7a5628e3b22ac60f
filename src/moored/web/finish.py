"""The end of a request: one program that makes of it what is to be stored and sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from moored.errors import LoginRefused, OutcomeUnknown, Unavailable
from moored.kinds.sessions.gate import Gate
from moored.kinds.sessions.record import Change, Proof, Session
from moored.kinds.sessions.saving import Outdated, Saved
from moored.kinds.sessions.subjects import Origin, subject_text
from moored.web.draft import Draft
from moored.web.host import log
from moored.web.identity import FRESHNESS, NEITHER, Verdict, judge
from moored.web.store import Moved

ANEW = ("wiped", "ending")  # where nothing of the stored session is to be there after a sign-in
PARTS = 20  # of the idle time: how often, at most, a cookie is sent again and a session only read extended


class Outcome(Struct, frozen=True):
    """What is to be sent: the cookie that proves this, or the cookie's deletion, or no cookie at all."""

    send: Proof | None = None
    delete: bool = False


NOTHING = Outcome()


def as_it_is(gate: Gate) -> Gate:
    """The gate."""
    return gate


class Arrival(Struct, frozen=True):
    """What a sign-in wants to know of its request: from where, and whether another site caused it.

    ``through`` adds to the gate which browser is to remember the subject.
    """

    origin: Origin = Origin()
    cross_site: bool = False
    through: Callable[[Gate], Gate] = as_it_is


async def finish(draft: Draft, arrival: Callable[[], Arrival]) -> Outcome:
    """Store what the request changed, and say what its response must do.

    ``arrival`` is asked for if somebody signs in.

    A request whose session was ended or superseded meanwhile sends no cookie at all,
    neither new nor deleting, unless it signed out or in itself.  Raises Unavailable,
    OutcomeUnknown, ConflictError, GoneError, TooLargeError, EncodingError, CorruptRecord.
    """
    if draft.without:
        if draft.fate == "ending" and draft.cookie is not None and draft.damage is None:
            draft.host.refuse(draft.cookie.selector)
            raise Unavailable("the engine is away, so the sign-out could not be stored: try again.")
        return Outcome(delete=draft.damage is not None)
    verdict = _verdict(draft) if draft.login is None else Verdict(login=draft.login)
    renews = False
    if draft.renewed and verdict is NEITHER and draft.session is not None and draft.fate != "ending":
        who = draft.session.subject
        verdict, renews = Verdict(forget=True) if who is None else Verdict(login=who), who is not None
    if draft.fate == "ended" and verdict.login is None and not draft.values:
        return Outcome(delete=True)
    if verdict.login is not None:
        return await _login(draft, verdict.login, arrival(), renews)
    change = draft.change()
    draft.changed |= bool(change)
    if draft.fate == "ending":
        return await _logout(draft, change)
    if draft.session is None:
        return await _first(draft, change)
    if verdict.forget:
        return await _forget(draft, draft.session, change)
    resend = draft.resend or _is_due(draft, draft.session)
    if not change and not resend:
        return Outcome(send=draft.sent)
    saved = await _saved(draft, draft.session, change, resend)
    outcome = _kept(draft, saved)
    if resend and outcome.send is None and not saved.dropped:
        return Outcome(send=draft.cookie)  # the browser's copy is to live as long as ours
    return outcome


def _verdict(draft: Draft) -> Verdict:
    """What the changed identity fields come to."""
    names = draft.host.settings.identity
    watched = (*names, FRESHNESS)
    if not names or all([draft.is_untouched(name) for name in watched]):
        return NEITHER
    stored = None if draft.fate in ANEW else draft.session
    before = {name: draft.stored(name) for name in watched if stored and stored.get(name) is not None}
    after = {name: draft.get(name) for name in watched if draft.has(name)}
    for name in names:
        if after.get(name) and subject_text(after[name]) is None:
            log.warning("%r in a session is no user's id, so it is no sign-in: call session.login().", name)
    return judge(before, after, names, stored.subject if stored else None)


async def _login(draft: Draft, subject: str, arrival: Arrival, renews: bool) -> Outcome:
    host = draft.host
    if arrival.cross_site and host.cross_site != "allow":
        host.count("cross_site_logins")
        if host.cross_site == "refuse":
            raise LoginRefused(
                "another site made the browser send this sign-in, which the setting for cross-site logins"
                " refuses."
            )
        log.warning("A sign-in was caused by another site; see the setting for cross-site logins.")
    gate = draft.gate
    if gate is None or gate.subject != subject:
        gate = await host.store.signing_in(subject)
    gate = replace(arrival.through(gate), renews=renews)
    anew = draft.fate in ANEW
    # Somebody else's session is left behind but for what this request wrote, equal or not.
    change = draft.change(anew=anew, written=True)
    draft.changed = True
    return _kept(
        draft, await host.store.login(draft.session, change, gate, cleared=anew, origin=arrival.origin)
    )


async def _forget(draft: Draft, session: Session, change: Change) -> Outcome:
    try:
        return _kept(draft, await draft.host.store.forget_identity(session, change))
    except (Unavailable, OutcomeUnknown):
        draft.host.refuse(session.selector)
        raise


async def _logout(draft: Draft, change: Change) -> Outcome:
    host = draft.host
    try:
        ended = await _end(draft)
    except (Unavailable, OutcomeUnknown):
        if draft.cookie is not None:
            host.refuse(draft.cookie.selector)  # the cookie stays, so that it can be tried again
        raise
    if not ended:
        host.count("late_changes_dropped")
        return NOTHING
    draft.session = None
    return _kept(draft, await host.store.create(change)) if change else Outcome(delete=True)


async def _end(draft: Draft) -> bool:
    """End what the browser's cookie proves; false if somebody has signed in there since.

    Also a session that this process refuses because an earlier sign-out could not be stored.
    """
    session: Session | Outdated | None = draft.session
    if session is None and draft.cookie is not None:
        found = await draft.host.store.look(draft.cookie)
        session = found.session if isinstance(found, Moved) else found
    if isinstance(session, Outdated):
        return session.ended
    return session is None or await draft.host.store.logout(session)


async def _first(draft: Draft, change: Change) -> Outcome:
    if not change:
        return NOTHING
    if draft.late:
        draft.host.count("late_changes_dropped")
        return NOTHING
    try:
        return _kept(draft, await draft.host.store.create(change))
    except (Unavailable, OutcomeUnknown):
        if draft.host.on_outage != "anonymous":
            raise
        draft.host.count("served_without_session")
        return NOTHING


async def _saved(draft: Draft, session: Session, change: Change, resend: bool) -> Saved[Any]:
    try:
        return await draft.host.store.save(session, change, sent=resend)
    except (Unavailable, OutcomeUnknown):
        if change:
            raise
        return Saved(session, dropped=True)  # only "last seen" would have been written


def _is_due(draft: Draft, session: Session) -> bool:
    host = draft.host
    return host.renews and session.at - session.instant("@sent") >= host.settings.idle // PARTS


def _kept(draft: Draft, saved: Saved[Any]) -> Outcome:
    draft.keep(saved)
    return Outcome(send=draft.sent)
