"""Where the sessions of an application are: on the server, or elsewhere by the same interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from moored.kinds.sessions import ending, saving, signing
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.gate import Gate, signing_in
from moored.kinds.sessions.record import Change, Credential, Proof, Session, from_cookie, to_cookie
from moored.kinds.sessions.saving import Outdated, Saved
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.subjects import Origin
from moored.run import Program
from moored.seal import KeyRing
from moored.web.cookies import genuine


class Moved(Struct, frozen=True):
    """A live session that another cookie proves from now on: the browser is to be given that one."""

    session: Session
    proof: Proof


class SessionStore(Protocol):
    """A place for sessions.

    Every method but ``at_once`` and ``cookie`` is a program; what they promise is what the
    functions of the same names in ``moored.kinds.sessions`` promise, or less where said.
    """

    def at_once(self, session: Session | None) -> bool:
        """Are changes of this session, or a new one, decided one after another, whoever makes them?

        (``add``, ``append``, ``take``, ``exclusive``.)  Then a subject's sessions are listed, too.
        """
        ...

    def proofs(self, cookies: Iterable[str]) -> Program[Sequence[Proof]]:
        """What the cookies of our name prove.  Raises TooManyCookiesError."""
        ...

    def cookie(self, proof: Any) -> str:
        """The value of the cookie that proves it."""
        ...

    def look(self, proof: Any) -> Program[Session | Moved | Outdated | None]:
        """The live session, what became of it, or None."""
        ...

    def create(self, change: Change) -> Program[Saved[Any]]:
        """A new session that nobody is signed in to."""
        ...

    def save(self, session: Session, change: Change, *, sent: bool = False) -> Program[Saved[Any]]:
        """Store what a request changed; with nothing changed, extend the session.

        ``sent``: the response carries the cookie again.
        """
        ...

    def signing_in(self, subject: str) -> Program[Gate]:
        """The gate, to be read before the subject proves who they are."""
        ...

    def login(
        self, session: Session | None, change: Change, gate: Gate, *, cleared: bool, origin: Origin
    ) -> Program[Saved[Any]]:
        """Sign the subject of the gate in."""
        ...

    def forget_identity(self, session: Session, change: Change) -> Program[Saved[Any]]:
        """Take the identity away and leave the data."""
        ...

    def logout(self, session: Session, why: EndReason = EndReason.SIGNED_OUT) -> Program[bool]:
        """End the session; false if it had moved on."""
        ...

    def everywhere(self, subject: str, keep: str | None = None) -> Program[None]:
        """End every session of the subject but ``keep``."""
        ...


class ServerSide:
    """Sessions in the engine: what ``moored.kinds.sessions`` promises."""

    def __init__(self, settings: SessionSettings, ring: Callable[[], KeyRing]) -> None:
        self.settings = settings
        self.ring = ring

    def at_once(self, session: Session | None) -> bool:
        """They are."""
        return True

    async def proofs(self, cookies: Iterable[str]) -> Sequence[Credential]:
        """The different credentials with a good check."""
        ring = self.ring()
        return genuine(cookies, lambda value: from_cookie(value, ring))

    def cookie(self, proof: Credential) -> str:
        """Selector, verifier and check."""
        return to_cookie(proof, self.ring())

    def look(self, proof: Credential) -> Program[Session | Outdated | None]:
        """One round trip."""
        return saving.look(proof)

    def create(self, change: Change) -> Program[Saved[Credential]]:
        """A new record."""
        return saving.create(change, self.settings)

    def save(self, session: Session, change: Change, *, sent: bool = False) -> Program[Saved[Credential]]:
        """Merge what the request changed into the record."""
        return saving.save(session, change, self.settings, sent=sent)

    def signing_in(self, subject: str) -> Program[Gate]:
        """The epoch of the subject's record."""
        return signing_in(subject)

    def login(
        self, session: Session | None, change: Change, gate: Gate, *, cleared: bool, origin: Origin
    ) -> Program[Saved[Credential]]:
        """Replace the verifier, in the same step as the change."""
        return signing.login(session, change, gate, self.settings, cleared=cleared, origin=origin)

    def forget_identity(self, session: Session, change: Change) -> Program[Saved[Credential]]:
        """Replace the verifier and go on as a visitor."""
        return signing.forget_identity(session, change, self.settings)

    def logout(self, session: Session, why: EndReason = EndReason.SIGNED_OUT) -> Program[bool]:
        """Replace the record by a tombstone."""
        return signing.logout(session, why)

    def everywhere(self, subject: str, keep: str | None = None) -> Program[None]:
        """End the sessions on the subject's list."""
        return ending.everywhere(subject, keep)
