"""Sessions while an application moves to Moored from another library.

At first workers of the old library may still be serving: sessions stay where these read and
write them, and get what can be had there, which is merging, new cookies at a sign-in, and
nothing that comes back after a sign-out.  Once the window has closed, each session is carried
over when it is touched, and from then on has all that Moored promises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from msgspec.structs import replace

from moored.adopt.carry import carried, carry_over, ended_since
from moored.adopt.notes import UNKNOWN, Notes
from moored.adopt.old import Old
from moored.adopt.place import Row
from moored.adopt.session import OldProof, OldSession, changed, fields_of
from moored.adopt.window import Window
from moored.commands import NOTHING, Bury
from moored.kinds.sessions import saving
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.gate import Gate, admit
from moored.kinds.sessions.record import (
    TOMBSTONE,
    Change,
    Credential,
    Fields,
    Proof,
    Session,
    apply_change,
    check_size,
    session_key,
)
from moored.kinds.sessions.saving import Outdated, Saved
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.subjects import Origin, read_subject
from moored.web.cookies import MOST_GENUINE, TooManyCookiesError
from moored.web.store import Moved, ServerSide


class Adopting:
    """Sessions on the server, and those that are still with the old library.

    ``olds`` are where sessions are looked for, in this order; new ones are made in the first
    while the window is open.
    """

    def __init__(self, server: ServerSide, olds: Sequence[Old], window: Window) -> None:
        self.server: ServerSide = server
        self.olds: Sequence[Old] = olds
        self.window: Window = window
        self.settings: SessionSettings = server.settings

    def at_once(self, session: Session | None) -> bool:
        """Those that are here, once no old worker is serving any more."""
        return not self.window.is_open and not isinstance(session, OldSession)

    async def proofs(self, cookies: Iterable[str]) -> Sequence[Proof]:
        """Our own credentials, and what other cookies prove by the old library's rules."""
        await self.window.learn()
        different = list(dict.fromkeys(cookies))
        ours = await self.server.proofs(different)
        if len(ours) == len(different):
            return ours
        known = {proof.selector for proof in ours}  # a session may be there under both its cookies
        theirs = [proof for value in different if (proof := self._proof(value)) is not None]
        found: list[Proof] = [*ours, *[proof for proof in theirs if proof.selector not in known]]
        if len(found) > MOST_GENUINE:
            raise TooManyCookiesError
        return found

    def cookie(self, proof: OldProof | Credential) -> str:
        """Ours, or the old library's."""
        return proof.cookie if isinstance(proof, OldProof) else self.server.cookie(proof)

    async def look(self, proof: OldProof | Credential) -> Session | Outdated | Moved | None:
        """The session: a record of ours, or still with the old library."""
        if not isinstance(proof, OldProof):
            return await self.server.look(proof)
        old = self._old(proof)
        found = await carried(old, proof, self.settings)
        if found is None and self.window.is_open:
            beside = await self._alongside(old, proof)
            if beside is not None:
                return beside
            found = await carried(old, proof, self.settings)  # just now, by a worker whose window has closed
        elif found is None:
            found = await carry_over(old, proof, self.settings)
        if found is None:
            return None
        session, credential = found
        return session if isinstance(session, Outdated) else Moved(session, credential)

    async def _alongside(self, old: Old, proof: OldProof) -> OldSession | None:
        row = await old.read(proof)
        if row is None or row.moved:
            return None
        session = old.session(proof, row)
        if session.owner is not None:
            record = await read_subject(session.owner)
            if record is not None and ended_since(Gate(session.owner, b"", record), session):
                await old.remove(session)
                return None
        return session

    async def create(self, change: Change) -> Saved[Any]:
        """A new session, where workers of both libraries find it."""
        if not self.window.is_open:
            return await self.server.create(change)
        return await self._make(changed({}, change), UNKNOWN)

    async def save(self, session: Session, change: Change, *, sent: bool = False) -> Saved[Any]:
        """Merge what the request changed into the session, wherever it is now."""
        if not isinstance(session, OldSession):
            return await self.server.save(session, change, sent=sent)
        conflicts: list[str] = []
        edit = saving.merging(session.fields, change, self.settings, conflicts)
        check_size(apply_change(session.fields, change), self.settings, session.fields)
        old = self._old(session.proof)
        after = await old.change(session, edit)
        if after is not None:
            proof = after.proof if after.proof != session.proof else None
            return Saved(after, proof, conflicts=tuple(conflicts))
        found = await self._over(session)
        if found is None:
            return Saved(session, dropped=True)
        saved = await self.server.save(found.session, change, sent=True)
        return saved if saved.dropped else Saved(saved.session, found.proof, conflicts=saved.conflicts)

    async def signing_in(self, subject: str) -> Gate:
        """The epoch of the subject's record."""
        return await self.server.signing_in(subject)

    async def login(
        self, session: Session | None, change: Change, gate: Gate, *, cleared: bool, origin: Origin
    ) -> Saved[Any]:
        """Sign in; while the window is open, under a new id of the old library's."""
        if isinstance(session, OldSession) and (found := await self._over(session)) is not None:
            session = found.session
        if not self.window.is_open and not isinstance(session, OldSession):
            return await self.server.login(session, change, gate, cleared=cleared, origin=origin)
        await admit(gate, self.settings)
        notes = Notes(0 if gate.record is None else gate.record.at, gate.subject)
        if session is None or cleared or session.owner not in (None, gate.subject):
            saved = await self._make(changed({}, change), notes)
            if session is not None:
                await self.logout(session, EndReason.REPLACED)
            return saved
        dropped: Change = dict.fromkeys(self.settings.fresh_on_login)
        return await self._renewed(session, {**dropped, **change}, notes, EndReason.RENEWED)

    async def forget_identity(self, session: Session, change: Change) -> Saved[Any]:
        """Go on as a visitor, under a new id."""
        if isinstance(session, OldSession) and (found := await self._over(session)) is not None:
            session = found.session
        if not isinstance(session, OldSession):
            return await self.server.forget_identity(session, change)
        notes = Notes(session.notes.since, session.owner)
        return await self._renewed(session, change, notes, EndReason.SIGNED_OUT)

    async def logout(self, session: Session, why: EndReason = EndReason.SIGNED_OUT) -> bool:
        """End the session; a tombstone keeps what old workers write late from coming back here."""
        if not isinstance(session, OldSession):
            return await self.server.logout(session, why)
        await self._end(session, why)
        return True

    async def everywhere(self, subject: str, keep: str | None = None) -> None:
        """End the subject's sessions: those with us at once, the others when they are looked at."""
        await self.server.everywhere(subject, keep)

    async def _over(self, session: OldSession) -> Moved | None:
        """The record, if the session was carried over since this request read it."""
        found = await carried(self._old(session.proof), session.proof, self.settings)
        record, credential = (None, None) if found is None else found
        if not isinstance(record, Session):
            return None
        assert credential is not None
        base = {name: value for name, value in record.fields.items() if name[:1] == "@"}
        base |= {name: value for name, value in session.fields.items() if name[:1] == "."}
        return Moved(replace(record, fields=base), credential)

    async def _make(self, values: Mapping[Any, Any], notes: Notes, before: Fields = NOTHING) -> Saved[Any]:
        check_size(fields_of(values, self.settings.depth), self.settings, before)
        made = await self.olds[0].make(values, notes)
        return Saved(made, made.proof)

    async def _renewed(self, session: Session, change: Change, notes: Notes, why: EndReason) -> Saved[Any]:
        """The session under a new id, with what others have changed until the old one ended."""
        if not isinstance(session, OldSession):  # a record of ours: for another worker the window has closed
            saved = await self._make(changed({}, {**session.user_fields(), **change}), notes, session.fields)
            await self.server.logout(session, why)
            return saved
        saved = await self._make(changed(session.row.values, change), notes, session.fields)
        last = await self._end(session, why)
        found = None if last is None else self._old(session.proof).session(session.proof, last)
        if found is None or found.owner not in (None, session.owner, notes.owner):
            return saved
        assert isinstance(saved.session, OldSession)
        late = _difference(session.user_fields(), found.user_fields(), {*change, *self.settings.identity})
        after = await self.olds[0].change(saved.session, lambda _: late) if late else None
        return saved if after is None else Saved(after, after.proof)

    async def _end(self, session: OldSession, why: EndReason) -> Row | None:
        """End it; the tombstone outlasts what an old worker writes to the row after that."""
        await Bury(session_key(session.selector), ttl=max(TOMBSTONE, self.settings.absolute), note=why.note)
        return await self._old(session.proof).remove(session)

    def _proof(self, cookie: str) -> OldProof | None:
        found = (old.proof(cookie) for old in self.olds)
        return next((proof for proof in found if proof is not None), None)

    def _old(self, proof: OldProof) -> Old:
        return next(old for old in self.olds if old.name == proof.old)


def _difference(before: Fields, after: Fields, but: Set[str]) -> Change:
    names = {name for name in (*before, *after) if before.get(name) != after.get(name)} - but
    return {name: after.get(name) for name in names}
