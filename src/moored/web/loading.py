"""The beginning of a session's use: one program, carried out at the first touch."""

from __future__ import annotations

from collections.abc import Iterable

from moored.errors import CorruptRecord, OutcomeUnknown, Unavailable
from moored.kinds.sessions.record import Session
from moored.kinds.sessions.saving import look
from moored.web.cookies import TooManyCookiesError, believed
from moored.web.draft import Draft
from moored.web.host import SessionHost, log

FAR_TOO_LARGE = 4  # times the limit; what concurrent requests add to a session can exceed it a little


async def load(host: SessionHost, cookies: Iterable[str]) -> Draft:
    """The session that the cookies of our name prove; one round trip, or none without a good cookie.

    Raises Unavailable, unless the host serves such requests without a session, and
    ConfigurationError where there is no secret.
    """
    try:
        draft = Draft(host, believed(cookies, host.ring()))
    except TooManyCookiesError:
        host.count("several_genuine_cookies")
        log.warning("A request came with several genuine session cookies; none of them was used.")
        return Draft(host)
    if draft.cookie is None:
        return draft
    if host.refuses(draft.cookie.selector):
        draft.late = True
        return draft
    try:
        found = await look(draft.cookie)
    except CorruptRecord as error:
        host.count("corrupt_sessions")
        log.error("The session %s was not used: %s", draft.cookie.selector, error)
        return draft
    except (Unavailable, OutcomeUnknown):
        if host.on_outage != "anonymous":
            raise
        host.count("served_without_session")
        draft.without = True
        return draft
    if isinstance(found, Session):
        if (size := found.size()) > FAR_TOO_LARGE * host.settings.largest:
            host.count("corrupt_sessions")
            log.error(
                "The session %s was not used: it has %d bytes, far more than the %d that are allowed.",
                found.selector,
                size,
                host.settings.largest,
            )
            return draft
        draft.session = found
    elif found is not None:
        draft.late = found.recently
    return draft
