"""The app's host as handlers of sockets have it: no cookie can be sent to the browser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from moored.errors import MisuseError
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.gate import Gate
from moored.kinds.sessions.record import Change, Proof, Session
from moored.kinds.sessions.saving import Outdated, Saved
from moored.kinds.sessions.subjects import Origin
from moored.run import Program
from moored.web.host import SessionHost
from moored.web.store import Moved, SessionStore


class HostOfSockets(SessionHost):
    """Where also no outage makes a visitor of a member."""

    def __init__(self, host: SessionHost) -> None:
        super().__init__(host.binding, host.settings, StoreWithoutCookies(host.store), renews=host.renews)
        self._host = host

    def count(self, what: str, times: int = 1) -> None:
        """As the app's."""
        self._host.count(what, times)

    def refuse(self, selector: str) -> None:
        """As the app's: for its requests, too."""
        self._host.refuse(selector)

    def refuses(self, selector: str) -> bool:
        """As the app's."""
        return self._host.refuses(selector)


class StoreWithoutCookies:
    """The app's store, but for what the browser would need another cookie after."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    # --- What can be done -------------------------------------------------------------------

    def at_once(self, session: Session | None) -> bool:
        """As the app's."""
        return self._store.at_once(session)

    def proofs(self, cookies: Iterable[str]) -> Program[Sequence[Proof]]:
        """As the app's: of the cookies with which the socket was opened."""
        return self._store.proofs(cookies)

    def cookie(self, proof: Any) -> str:
        """As the app's."""
        return self._store.cookie(proof)

    def look(self, proof: Any) -> Program[Session | Moved | Outdated | None]:
        """As the app's."""
        return self._store.look(proof)

    async def save(self, session: Session, change: Change, *, sent: bool = False) -> Saved[Any]:
        """As the app's, where that needs no other cookie."""
        saved = await self._store.save(session, change)  # no cookie is sent from here
        if saved.credential is not None:
            raise _no_cookie("change a session that is in a cookie, or has expired meanwhile")
        return saved

    def signing_in(self, subject: str) -> Program[Gate]:
        """As the app's."""
        return self._store.signing_in(subject)

    def logout(self, session: Session, why: EndReason = EndReason.SIGNED_OUT) -> Program[bool]:
        """As the app's: the cookie that the browser keeps proves nothing any more."""
        return self._store.logout(session, why)

    def everywhere(self, subject: str, keep: str | None = None) -> Program[None]:
        """As the app's."""
        return self._store.everywhere(subject, keep)

    # --- What cannot ------------------------------------------------------------------------

    async def create(self, change: Change) -> NoReturn:
        """Raises MisuseError."""
        raise _no_cookie("begin a session")

    async def login(
        self, session: Session | None, change: Change, gate: Gate, *, cleared: bool, origin: Origin
    ) -> NoReturn:
        """Raises MisuseError."""
        raise _no_cookie("sign in")

    async def forget_identity(self, session: Session, change: Change) -> NoReturn:
        """Raises MisuseError."""
        raise _no_cookie("take the identity away and leave the data (session.logout() can be done)")


def _no_cookie(what: str) -> MisuseError:
    return MisuseError(
        f"a handler of a socket cannot {what}: the browser would need another cookie, which only the response"
        " to an HTTP request can bring. Do it in such a request, and connect anew."
    )
