"""Carrying a session over: from where the old library keeps it to a record of ours.

Of all requests with one old cookie, in any worker, exactly one makes the record, and all go on
with it.  The row is marked before anybody uses the record: a sign-out comes after the mark, so
the old cookie cannot bring the session back.
"""

from __future__ import annotations

from msgspec.structs import replace

from moored.adopt.old import Old
from moored.adopt.place import Row
from moored.adopt.session import OldProof, fields_of, since, subject_in
from moored.commands import Patch, Refused
from moored.errors import LoginRefused
from moored.kinds.sessions import saving, subjects
from moored.kinds.sessions.record import Credential, Session, integer
from moored.kinds.sessions.saving import Outdated
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.signing import logout
from moored.kinds.sessions.subjects import Gate, Origin

ADOPTING = "@adopting"  # a field of a record whose row may not be marked yet

Found = tuple[Session | Outdated, Credential]


async def carried(old: Old, proof: OldProof, settings: SessionSettings) -> Found | None:
    """The record that a session was carried over to, and what proves it now; None if it was not."""
    for credential in proof.credentials:
        found = await saving.look(credential)
        if isinstance(found, Session) and ADOPTING in found.fields:
            found = await _settle(old, proof, found, credential, settings)
        if found is not None:
            return found, credential
    return None


async def carry_over(old: Old, proof: OldProof, settings: SessionSettings) -> Found | None:
    """Make a record of a session that was not carried over yet; None if there is none."""
    row = await old.read(proof)
    if row is None or row.moved:
        return None
    credential, subject = proof.credentials[0], subject_in(row.values, settings)
    try:
        if subject is not None:
            gate = await subjects.signing_in(subject, settings)
            if ended_since(gate, row):
                await old.mark(proof, row)
                return Outdated(recently=False, ended=True), credential
            await subjects.enlist(gate, credential.selector, Origin(), settings)
        made = await saving.make(
            credential.selector,
            _change(row, settings),
            subject,
            settings,
            verifier=credential.verifier,
            also={ADOPTING: b"1"},
        )
    except LoginRefused:  # another request was first, or they were signed out everywhere just now
        return await carried(old, proof, settings)
    return await _settle(old, proof, made.session, credential, settings, row), credential


def ended_since(gate: Gate, row: Row) -> bool:
    """Was the subject signed out everywhere after the session began, as far as is known?"""
    return gate.record is not None and integer(gate.record.fields, "@ended") > since(row)


async def _settle(
    old: Old,
    proof: OldProof,
    session: Session,
    credential: Credential,
    settings: SessionSettings,
    row: Row | None = None,
) -> Session | Outdated:
    """Mark the row, taking along what an old worker has written to it since, and say so in the record."""
    while True:
        row = row or await old.read(proof)
        if row is None:  # an old worker has signed out meanwhile
            await logout(session)
            return Outdated(recently=True, ended=True)
        if row.moved:
            break
        newer = {name: value for name, value in _change(row, settings).items() if session.get(name) != value}
        if newer:
            session = (await saving.save(session, newer, settings)).session
        if await old.mark(proof, row):
            break
        row = None
    match = {"@generation": b"%d" % session.generation}
    if isinstance(await Patch(session.key, unset=(ADOPTING,), match=match), Refused):
        return await saving.look(credential) or Outdated(recently=True, ended=True)
    return replace(session, fields={n: value for n, value in session.fields.items() if n != ADOPTING})


def _change(row: Row, settings: SessionSettings) -> dict[str, bytes | None]:
    return {name[1:]: value for name, value in fields_of(row.values, settings.depth).items()}
