"""Changes that are decided and stored where they are made, as programs on a draft.

What the request has changed before is saved first, so that the decision sees it.
"""

from __future__ import annotations

from typing import Any

from moored.errors import CorruptRecord, GoneError, MisuseError
from moored.kinds.sessions import changes
from moored.kinds.sessions.changes import Decide
from moored.kinds.sessions.record import Session
from moored.kinds.sessions.saving import save
from moored.merge import MISSING
from moored.run import Program
from moored.web.draft import Draft
from moored.web.identity import FRESHNESS


async def take(draft: Draft, name: str) -> Any:
    """Remove a value and answer it, or MISSING; a request without a stored session makes none for it."""
    await _flush(draft)
    draft.changed = True
    if draft.session is None:  # nobody else knows what this request has written
        return decide_here(draft, name, changes.taken)
    return await _done(draft, name, changes.take(draft.session, name, draft.host.settings))


async def decide(draft: Draft, name: str, what: Decide) -> Any:
    """Decide on a value as it is stored, and answer what ``what`` does."""
    session = await stored(draft)
    return await _done(draft, name, changes.decide(session, name, what, draft.host.settings))


def decide_here(draft: Draft, name: str, what: Decide) -> Any:
    """Decide on this request's view of a value; it is stored at the end, with all else."""
    value, answer = what(draft.get(name) if draft.has(name) else MISSING)
    if value is not MISSING:
        draft.put(name, value)
    elif draft.has(name):
        draft.remove(name)
    return answer


async def stored(draft: Draft) -> Session:
    """The session with all that this request has changed so far; made if there was none.

    Raises GoneError where none may be made.
    """
    change = await _flush(draft)
    if draft.session is None:
        if draft.late or draft.without:
            raise GoneError("this session has ended, or cannot be reached, while the request was running.")
        draft.keep(await draft.host.store.create(change))
        draft.fate = "kept"  # that of the new session
    draft.changed = True
    assert draft.session is not None
    return draft.session


async def save_held(draft: Draft, session: Session, token: int) -> None:
    """Save what was changed while the session was held by that token, and let go of it."""
    settings = draft.host.settings
    change = draft.change()
    if any(name in change for name in (*settings.identity, FRESHNESS)):
        raise MisuseError("who is signed in cannot change inside exclusive(): end that first.")
    draft.keep(await save(session, change, settings, token=token))


async def _flush(draft: Draft) -> dict[str, bytes | None]:
    """Save what was changed, if there is a session to save it to; what it is."""
    if draft.fate == "ending" or draft.login is not None or draft.exclusive:
        raise MisuseError("this cannot be done in a request that signs in or out, or inside exclusive().")
    identity = draft.host.settings.identity
    change = {name: value for name, value in draft.change().items() if name not in identity}
    if draft.session is not None and change:
        draft.keep(await draft.host.store.save(draft.session, change))
    return change


async def _done(draft: Draft, name: str, program: Program[tuple[Session, Any]]) -> Any:
    draft.forget(name)
    try:
        draft.session, answer = await program
    except CorruptRecord as error:
        draft.give_up(name, error)
        raise
    return answer
