"""Changes that are decided and stored where they are made, as programs on a draft.

What the request has changed before is saved first, so that the decision sees it.  Not so once the
browser is to get another cookie, as for a sign-in: until the request ends, the one that it came with
proves the session still, and somebody who had planted it there would see what was saved.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
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
    waiting = (await _flush(draft))[1]
    draft.changed = True
    if draft.session is None or name in waiting:  # nobody else knows what this request has written
        return decide_here(draft, name, changes.taken)
    return await _done(draft, name, changes.take(draft.session, name, draft.host.settings))


async def decide(draft: Draft, name: str, what: Decide) -> Any:
    """Decide on a value as it is stored, and answer what ``what`` does."""
    session, waiting = await stored(draft)
    if name in waiting:
        return decide_here(draft, name, what)
    return await _done(draft, name, changes.decide(session, name, what, draft.host.settings))


def decide_here(draft: Draft, name: str, what: Decide) -> Any:
    """Decide on this request's view of a value; it is stored at the end, with all else."""
    value, answer = what(draft.get(name) if draft.has(name) else MISSING)
    if value is not MISSING:
        draft.put(name, value)
    elif draft.has(name):
        draft.remove(name)
    return answer


async def stored(draft: Draft) -> tuple[Session, AbstractSet[str]]:
    """The session with all that this request has changed so far; made if there was none.

    Also the names of those changes that are not in it yet, because they wait for a sign-in.
    Raises GoneError where none may be made.
    """
    change, waiting = await _flush(draft)
    if draft.session is None:
        if draft.late or draft.without:
            raise GoneError("this session has ended, or cannot be reached, while the request was running.")
        draft.keep(await draft.host.store.create(change))
        draft.fate = "kept"  # that of the new session
    draft.changed = True
    assert draft.session is not None
    return draft.session, waiting


async def save_held(draft: Draft, session: Session, token: int, waiting: AbstractSet[str]) -> None:
    """Save what was changed while the session was held by that token, and let go of it.

    ``waiting``: the names of changes from before, which are for the end of the request.
    """
    settings = draft.host.settings
    change = {name: value for name, value in draft.change().items() if name not in waiting}
    if not change.keys().isdisjoint(_identity(draft)):
        raise MisuseError("who is signed in cannot change inside exclusive(): end that first.")
    draft.keep(await save(session, change, settings, token=token))


async def _flush(draft: Draft) -> tuple[dict[str, bytes | None], AbstractSet[str]]:
    """Save what was changed, if there is a session to save it to; what it is, and the names of what waits."""
    if draft.fate == "ending" or draft.login is not None or draft.exclusive:
        raise MisuseError("this cannot be done in a request that signs in or out, or inside exclusive().")
    change = draft.change()
    if draft.renewed or not change.keys().isdisjoint(_identity(draft)):
        return {}, change.keys()
    if draft.session is not None and change:
        draft.keep(await draft.host.store.save(draft.session, change))
    return change, frozenset()


def _identity(draft: Draft) -> tuple[str, ...]:
    """The names of fields whose change is a sign-in or a sign-out."""
    return (*draft.host.settings.identity, FRESHNESS)


async def _done(draft: Draft, name: str, program: Program[tuple[Session, Any]]) -> Any:
    draft.forget(name)
    try:
        draft.session, answer = await program
    except CorruptRecord as error:
        draft.give_up(name, error)
        raise
    return answer
