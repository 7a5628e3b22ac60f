"""Sessions while an application moves to Moored from another library.

At first workers of the old library may still be serving: sessions stay where these read and
write them, and get what can be had there, which is merging, new cookies at a sign-in, and
nothing that comes back after a sign-out.  Once the window has closed, each session is carried
over when it is touched, and from then on has all that Moored promises.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from moored.adopt.carry import carried, carry_over, ended_since
from moored.adopt.old import Old
from moored.adopt.session import OldProof, OldSession, old_session
from moored.adopt.window import Window
from moored.commands import Bury
from moored.kinds.sessions import saving, subjects
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
from moored.kinds.sessions.subjects import Gate, Origin
from moored.web.cookies import MOST_GENUINE, TooManyCookiesError
from moored.web.store import Moved, ServerSide


class Adopting:
    """Sessions on the server, and those that are still with the old library.

    ``olds`` are where sessions are looked for, in this order; new ones are made in the first
    while the window is open.
    """

    def __init__(self, server: ServerSide, olds: Sequence[Old], window: Window) -> None:
        self.server, self.olds, self.window = server, olds, window
        self.settings = server.settings

    def at_once(self, session: Session | None) -> bool:
        """Those that are here, once no old worker is serving any more."""
        return not self.window.is_open and not isinstance(session, OldSession)

    async def proofs(self, cookies: Iterable[str]) -> Sequence[Proof]:
        """Our own credentials, and what other cookies prove by the old library's rules."""
        await self.window.learn()
        different = list(dict.fromkeys(cookies))
        ours = list(await self.server.proofs(different))
        if ours:
            return ours
        found = [proof for value in different if (proof := self._proof(value)) is not None]
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
        if found is None:
            if self.window.is_open:
                return await self._alongside(old, proof)
            found = await carry_over(old, proof, self.settings)
        if found is None:
            return None
        session, credential = found
        return session if isinstance(session, Outdated) else Moved(session, credential)

    async def _alongside(self, old: Old, proof: OldProof) -> OldSession | None:
        row = await old.read(proof)
        if row is None or row.moved:
            return None
        session = old_session(proof, row, self.settings)
        if session.subject is not None:
            record = await subjects.read_subject(session.subject)
            if record is not None and ended_since(Gate(session.subject, b"", record), row):
                await old.remove(session)
                return None
        return session

    async def create(self, change: Change) -> Saved[Any]:
        """A new session, where workers of both libraries find it."""
        if not self.window.is_open:
            return await self.server.create(change)
        return await self._make(apply_change({}, change))

    async def save(self, session: Session, change: Change) -> Saved[Any]:
        """Merge what the request changed into the session, wherever it is now."""
        if not isinstance(session, OldSession):
            return await self.server.save(session, change)
        conflicts: list[str] = []
        edit = saving.merging(session.fields, change, self.settings, conflicts)
        check_size(apply_change(session.fields, change), self.settings, session.fields)
        old = self._old(session.proof)
        after = await old.change(session, edit)
        if after is not None:
            proof = after.proof if after.proof != session.proof else None
            return Saved(after, proof, conflicts=tuple(conflicts))
        found = await carried(old, session.proof, self.settings)
        record, credential = (None, None) if found is None else found
        if not isinstance(record, Session):
            return Saved(session, dropped=True)
        base = {name: value for name, value in record.fields.items() if name[:1] == "@"}
        base |= {name: value for name, value in session.fields.items() if name[:1] == "."}
        saved = await self.server.save(replace(record, fields=base), change)
        return saved if saved.dropped else Saved(saved.session, credential, conflicts=saved.conflicts)

    async def signing_in(self, subject: str) -> Gate:
        """The epoch of the subject's record."""
        return await self.server.signing_in(subject)

    async def login(
        self, session: Session | None, change: Change, gate: Gate, *, cleared: bool, origin: Origin
    ) -> Saved[Any]:
        """Sign in; while the window is open, under a new id of the old library's."""
        if not self.window.is_open and not isinstance(session, OldSession):
            return await self.server.login(session, change, gate, cleared=cleared, origin=origin)
        fields: Fields = {}
        if session is not None and not cleared and session.owner in (None, gate.subject):
            dropped = self.settings.fresh_on_login
            fields = {n: value for n, value in session.fields.items() if n[1:] not in dropped}
        since = 0 if gate.record is None else gate.record.at
        saved = await self._make({**apply_change(fields, change), "@since": b"%d" % since})
        if session is not None:
            await self.logout(session, b"replaced by a sign-in")
        return saved

    async def forget_identity(self, session: Session, change: Change) -> Saved[Any]:
        """Go on as a visitor, under a new id."""
        if not isinstance(session, OldSession):
            return await self.server.forget_identity(session, change)
        owner = {} if session.owner is None else {"@owner": session.owner.encode()}
        saved = await self._make({**apply_change(session.fields, change), **owner})
        await self.logout(session)
        return saved

    async def logout(self, session: Session, why: bytes = b"signed out") -> bool:
        """End the session; a tombstone keeps what old workers write late from coming back here."""
        if not isinstance(session, OldSession):
            return await self.server.logout(session, why)
        await Bury(session_key(session.selector), ttl=TOMBSTONE, note=why)
        await self._old(session.proof).remove(session)
        return True

    async def everywhere(self, subject: str, keep: str | None = None) -> None:
        """End the subject's sessions: those with us at once, the others when they are looked at."""
        await self.server.everywhere(subject, keep)

    async def _make(self, fields: Fields) -> Saved[Any]:
        check_size(fields, self.settings)
        made = await self.olds[0].make(fields)
        return Saved(made, made.proof)

    def _proof(self, cookie: str) -> OldProof | None:
        found = (old.proof(cookie) for old in self.olds)
        return next((proof for proof in found if proof is not None), None)

    def _old(self, proof: OldProof) -> Old:
        return next(old for old in self.olds if old.name == proof.old)
