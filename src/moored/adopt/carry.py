"""Carrying a session over: from where the old library keeps it to a record of ours.

Of all requests with one old cookie, in any worker, exactly one makes the record, and all go on
with it.  The row is marked before anybody uses the record: a sign-out comes after the mark, so
the old cookie cannot bring the session back.
"""

from __future__ import annotations

from msgspec.structs import replace

from moored.adopt.old import Old
from moored.adopt.session import OldProof, OldSession
from moored.commands import Bury, Patch, Read, Record, Refused
from moored.errors import LoginRefused
from moored.kinds.sessions import saving
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.gate import Gate, enlist, signing_in
from moored.kinds.sessions.record import TOMBSTONE, Credential, Session, integer, session_key, text
from moored.kinds.sessions.saving import Outdated
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.subjects import Origin, strike

ADOPTING = "@adopting"  # a field of a record that nobody may use yet: its row may not be marked

Found = tuple[Session | Outdated, Credential]


async def carried(old: Old, proof: OldProof, settings: SessionSettings) -> Found | None:
    """The record that a session was carried over to, and what proves it now; None if it was not."""
    found = await _looked(proof)
    if found is not None and isinstance(found[0], Session) and ADOPTING in found[0].fields:
        return await _carry(old, proof, settings, await Read(found[0].key))
    return found


async def carry_over(old: Old, proof: OldProof, settings: SessionSettings) -> Found | None:
    """Make a record of a session that was not carried over yet; None if there is none."""
    return await _carry(old, proof, settings, None)


async def _looked(proof: OldProof) -> Found | None:
    first: Found | None = None
    for credential in proof.credentials:  # of one record, which was made under one of our keys
        found = await saving.look(credential)
        if found is None or isinstance(found, Session):
            return None if found is None else (found, credential)
        first = first or (found, credential)
    return first


def ended_since(gate: Gate, session: OldSession) -> bool:
    """Was its owner signed out everywhere after they signed in to it, as far as is known?"""
    return gate.record is not None and integer(gate.record.fields, "@ended") > session.notes.since


async def _carry(old: Old, proof: OldProof, settings: SessionSettings, record: Record | None) -> Found | None:
    """Let the record hold what the row does, mark the row, and say in the record that this is done.

    Until it is marked an old worker may write to the row, and then this begins again.  Others
    may do the same at the same time: each step is refused to who knows an earlier row than it.
    """
    key = session_key(proof.selector)
    while True:
        row = await old.read(proof)
        if row is None:  # with a record: an old worker has signed out meanwhile
            return None if record is None else await _end(old, proof, settings, record)
        if row.moved:
            break
        session = old.session(proof, row)
        try:
            if session.owner is not None:
                gate = await signing_in(session.owner)
                if ended_since(gate, session):
                    await old.mark(proof, row)
                    return await _end(old, proof, settings, record)
                await enlist(gate, proof.selector, Origin(), settings)
            if record is None:
                await _make(session, settings)
            elif isinstance(await _bring_up_to_date(session, record), Refused):
                return await carried(old, proof, settings)
        except LoginRefused:  # another request was first, or they were signed out everywhere just now
            return await carried(old, proof, settings)
        if await old.mark(proof, row):
            break
        record = await Read(key)
        if record is None or record.dead or ADOPTING not in record.fields:
            break
    await Patch(key, unset=(ADOPTING,), match={ADOPTING: b"1"})
    return await _looked(proof)


async def _make(session: OldSession, settings: SessionSettings) -> None:
    """A record of a session, however large that is.  Raises LoginRefused if there is one, or was."""
    also = {ADOPTING: b"1"}
    if session.owner is not None:
        also["@owner"] = session.owner.encode()
    large, many = max(settings.largest, 2 * session.size()), max(settings.most, len(session.fields))
    settings = replace(settings, largest=large, most=many)
    change, verifier = session.user_fields(), session.proof.credentials[0].verifier
    await saving.make(session.selector, change, session.subject, settings, verifier=verifier, also=also)


async def _bring_up_to_date(session: OldSession, record: Record) -> object:
    """Let an unused record hold what the row does by now; Refused if it has moved on."""
    ours = {"@subject": session.subject, "@owner": session.owner}
    wanted = {name: value for name, value in session.fields.items() if name[:1] == "."}
    wanted |= {name: who.encode() for name, who in ours.items() if who is not None}
    there = {name: value for name, value in record.fields.items() if name[:1] == "." or name in ours}
    if there == wanted:
        return None
    gone = tuple([name for name in there if name not in wanted])
    return await Patch(session.key, wanted, gone, version=record.version)


async def _end(old: Old, proof: OldProof, settings: SessionSettings, record: Record | None) -> Found | None:
    """There is no such session any more, and its record, which nobody has used, goes too."""
    if record is not None:
        key, why = session_key(proof.selector), EndReason.BY_OLD_LIBRARY.note
        if isinstance(await Bury(key, version=record.version, ttl=TOMBSTONE, note=why), Refused):
            return await carried(old, proof, settings)
        owner = text(record.fields.get("@owner"))
        if owner is not None:
            await strike(owner, proof.selector)
    return Outdated(recently=record is not None, ended=True), proof.credentials[0]
