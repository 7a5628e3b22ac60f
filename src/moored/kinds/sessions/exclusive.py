"""Exclusive use: a handler has the session to itself by a lease, saves without it wait."""

from __future__ import annotations

from moored.commands import LEASE_TOKEN, Acquire, Grant, Patch, Read, Record
from moored.errors import GoneError, Unavailable
from moored.kinds.sessions.record import Session, generation, view
from moored.kinds.sessions.saving import LEASE, crowded, pause_while_held


async def hold(session: Session, ttl: int) -> tuple[Session, int]:
    """Have the session to oneself for ``ttl`` milliseconds: it as it is now, and the token to save with.

    Waits until the deadline for others who hold it.  Raises HeldError, GoneError.
    """
    waits = 0
    while True:
        try:
            grant = await Acquire(session.key, ttl=ttl, existing=True)
        except Unavailable as error:
            if error.outage or not waits:
                raise
            raise crowded(True) from error
        if isinstance(grant, Grant):
            break
        if isinstance(grant, Record) or grant.reason != "held":
            raise GoneError("this session was ended while the request was running.")
        waits += 1
        await pause_while_held()
    record = await Read(session.key)
    if record is None or record.dead or generation(record) != session.generation:
        await give_back(session, grant.token)  # whoever is signed in there now must not wait for us
        raise GoneError("this session was ended, or somebody signed in to it, while the request was running.")
    return view(session.selector, record), grant.token


async def give_back(session: Session, token: int) -> None:
    """End ``hold`` without saving."""
    await Patch(session.key, unset=LEASE, match={LEASE_TOKEN: b"%d" % token})
