"""The beginning of a session's use: one program, carried out at the first touch."""

from __future__ import annotations

from collections.abc import Iterable

from moored.errors import CorruptRecord, OutcomeUnknown, Unavailable
from moored.kinds.sessions.record import Credential, Proof, Session
from moored.web.cookies import TooManyCookiesError
from moored.web.draft import Draft
from moored.web.host import SessionHost, log
from moored.web.store import Moved

UNREAD = Credential("", b"")  # stands for a cookie that nobody could tell the meaning of
FAR_TOO_LARGE = 4  # times the limit; what concurrent requests add to a session can exceed it a little


async def load(host: SessionHost, cookies: Iterable[str]) -> Draft:
    """The session that the cookies of our name prove; one round trip, or none without a good cookie.

    Of several genuine cookies that one counts whose session lives; where more than one does,
    somebody may have planted a session of theirs ("cookie tossing"), and none is used.
    Raises Unavailable, unless the host serves such requests without a session, and
    ConfigurationError where there is no secret.
    """
    cookies = list(cookies)
    try:
        proofs = await host.store.proofs(cookies)
    except TooManyCookiesError:
        return _none_of_several(host)
    except (Unavailable, OutcomeUnknown) as outage:  # of the place that the application moves from
        return _without(host, Draft(host, UNREAD if any(cookies) else None), outage)
    drafts = [await _load_one(host, proof) for proof in proofs]
    alive = [draft for draft in drafts if draft.session is not None]
    if len(alive) > 1:
        return _none_of_several(host)
    return (alive or drafts or [Draft(host)])[0]


def _none_of_several(host: SessionHost) -> Draft:
    host.count("several_genuine_cookies")
    log.warning("A request came with several good session cookies; none of them was used.")
    return Draft(host)


def _without(host: SessionHost, draft: Draft, outage: Unavailable | OutcomeUnknown) -> Draft:
    if host.on_outage != "anonymous":
        raise outage
    host.count("served_without_session")
    draft.without = True
    return draft


async def _load_one(host: SessionHost, proof: Proof) -> Draft:
    draft = Draft(host, proof)
    if host.refuses(proof.selector):
        draft.late = True
        return draft
    try:
        found = await host.store.look(proof)
    except CorruptRecord as error:
        host.count("corrupt_sessions")
        log.error("The session %s was not used: %s", proof.selector, error)
        return draft
    except (Unavailable, OutcomeUnknown) as outage:
        return _without(host, draft, outage)
    if isinstance(found, Moved):
        draft.cookie, draft.resend, found = found.proof, True, found.session
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
