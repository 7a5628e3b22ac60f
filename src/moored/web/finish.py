"""The end of a request: one program that makes of it what is to be stored and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from moored.errors import LoginRefused, OutcomeUnknown, Unavailable
from moored.kinds.sessions.record import Change, Credential, Session
from moored.kinds.sessions.saving import Saved, create, save
from moored.kinds.sessions.signing import forget_identity, login, logout
from moored.kinds.sessions.subjects import signing_in
from moored.web.host import log
from moored.web.identity import FRESHNESS, NEITHER, Verdict, judge

if TYPE_CHECKING:
    from moored.web.session import WebSession

PARTS = 20  # of the idle time: how often, at most, a session that is only read is extended


class Outcome(Struct, frozen=True):
    """What is to be sent: this credential, or the cookie's deletion, or no cookie at all."""

    send: Credential | None = None
    delete: bool = False


NOTHING = Outcome()


async def finish(web: WebSession) -> Outcome:
    """Store what the request changed, and say what its response must do.

    A request whose session was ended or superseded meanwhile sends no cookie at all,
    neither new nor deleting, unless it signed out or in itself.  Raises Unavailable,
    OutcomeUnknown, ConflictError, GoneError, TooLargeError, EncodingError.
    """
    if web._failure is not None or web._without:
        return NOTHING
    if web._left and not (web._values or web._login):
        return Outcome(delete=True)
    session, change = web._session, web.change()
    verdict = Verdict(login=web._login) if web._login is not None else _verdict(web)
    if verdict.login is not None:
        return await _login(web, verdict.login)
    if web._cleared:
        return await _logout(web, session, change)
    if session is None:
        return await _first(web, change)
    if verdict.forget:
        return _kept(web, await forget_identity(session, change, web._host.settings))
    renewal = _is_due(web, session)
    if not change and not renewal:
        return Outcome(send=web._sent)
    saved = await _saved(web, session, change, renewal)
    outcome = _kept(web, saved)
    if renewal and outcome.send is None and not saved.dropped:
        return Outcome(send=web._cookie)  # the browser's copy is to live as long as ours
    return outcome


def _verdict(web: WebSession) -> Verdict:
    """What the changed identity fields come to."""
    names = web._host.settings.identity
    watched = (*names, FRESHNESS)
    if not names or (
        not any(name in web._values or name in web._removed for name in watched) and not web._cleared
    ):
        return NEITHER
    stored = None if web._cleared else web._session
    before = {
        name: web.stored(name) for name in watched if stored is not None and stored.get(name) is not None
    }
    after = {name: web[name] for name in watched if name in web}
    return judge(before, after, names, stored.subject if stored else None)


async def _login(web: WebSession, subject: str) -> Outcome:
    host = web._host
    if host.cross_site != "allow" and web.cross_site():
        host.count("cross_site_logins")
        if host.cross_site == "refuse":
            raise LoginRefused(
                "another site made the browser send this sign-in; allow it on routes meant for that."
            )
        log.warning("A sign-in was caused by another site; see the setting for cross-site logins.")
    gate = web._gate
    if gate is None or gate.subject != subject:
        gate = await signing_in(subject, host.settings)
    anew = web._session is None or web._cleared or web._wiped
    if web._late and web._session is None:
        # Superseded while it was under way: a session of its own, which another's cookie never becomes.
        anew = True
    saved = await login(
        web._session,
        web.change(anew=anew),
        gate,
        host.settings,
        cleared=web._cleared or web._wiped,
        origin=web.origin(),
    )
    return _kept(web, saved)


async def _logout(web: WebSession, session: Session | None, change: Change) -> Outcome:
    if session is not None:
        try:
            ended = await logout(session)
        except (Unavailable, OutcomeUnknown):
            web._host.refuse(session.selector)  # the cookie stays, so that it can be tried again
            raise
        if not ended:
            web._host.count("late_changes_dropped")
            return NOTHING
        web._session = None
    if change:
        return _kept(web, await create(change, web._host.settings))
    return Outcome(delete=True)


async def _first(web: WebSession, change: Change) -> Outcome:
    if not change:
        return NOTHING
    if web._late:
        web._host.count("late_changes_dropped")
        return NOTHING
    return _kept(web, await create(change, web._host.settings))


async def _saved(web: WebSession, session: Session, change: Change, renewal: bool) -> Saved:
    try:
        return await save(session, change, web._host.settings)
    except (Unavailable, OutcomeUnknown):
        if change or not renewal:
            raise
        return Saved(session, dropped=True)  # only "last seen" would have been written


def _is_due(web: WebSession, session: Session) -> bool:
    settings = web._host.settings
    return web._host.renews and session.at - session.instant("@seen") >= settings.idle // PARTS


def _kept(web: WebSession, saved: Saved) -> Outcome:
    web._keep(saved)
    return Outcome(send=web._sent)
