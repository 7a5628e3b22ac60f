"""The session of a request: signing in and out, and changes that are decided at once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from moored.errors import MisuseError, OutcomeUnknown, Unavailable, UnsupportedError
from moored.kinds.sessions import changes, exclusive
from moored.kinds.sessions.changes import Decide
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.subjects import subject_of
from moored.merge import MISSING
from moored.web import at_once
from moored.web.lazy_session import LazySession

EXCLUSIVE_FOR = 30.0  # seconds after which a handler that never ended loses its exclusive use


class WebSession(LazySession):
    """A visitor's session: a mapping of named values, and who is signed in."""

    # --- Signing in and out -----------------------------------------------------------------------

    def signing_in(self, subject: str | int | UUID) -> None:
        """Say, before the password is checked, who is about to sign in.

        If they are logged out everywhere (for example, the password is changed) before this
        request ends, its ``login`` is then refused.
        """
        self._open_draft.gate = self._carry(self._host.store.signing_in(subject_of(subject)))

    def login(self, subject: str | int | UUID) -> None:
        """Sign somebody in; done when the request ends, together with its other changes.

        The browser gets a new cookie and the one from before is worthless.
        """
        draft = self._open_draft
        if draft.exclusive:
            raise MisuseError("login() cannot be called inside exclusive(): end that first.")
        draft.login = subject_of(subject)

    def regenerate(self) -> None:
        """Give the browser another cookie when the request ends; the one from before is worthless then.

        For applications that change by themselves what a session may do.  A sign-in does it
        without being asked.
        """
        self._open_draft.renewed = True

    def logout(self) -> None:
        """Sign out and remove everything; no request in flight can bring the session back."""
        self._open_draft.end()

    def logout_everywhere(self, *, keep_this: bool = False) -> None:
        """End every session of whoever is signed in, at once; this one too unless ``keep_this``.

        If nobody is signed in, as on a device that another one signed out, it does what
        ``logout()`` does, or nothing with ``keep_this``.
        """
        draft = self._open_draft
        session = draft.session
        if session is None or session.owner is None:
            by_field = [self.get(name) for name in self._host.settings.identity]
            if self.subject is not None or any([who is not None for who in by_field]):
                raise MisuseError(
                    "logout_everywhere() cannot end the sessions of somebody who signs in with this very"
                    " request: call state.sessions.revoke_subject() before login()."
                )
            if not keep_this:
                self.logout()
            return
        store = self._host.store
        if keep_this:
            if store.at_once(session):
                self._carry(store.everywhere(session.owner, session.selector))
                return
            gate, owner = draft.gate, session.owner
            overtaken = (
                gate is not None
                and gate.subject == owner
                and gate.epoch != self._carry(store.signing_in(owner)).epoch
            )
            self._carry(store.everywhere(owner, session.selector))
            # It is on no list: its cookie says that it is younger than the ending.
            draft.login = owner
            if not overtaken:  # what this request itself ends does not refuse it; what others ended does
                draft.gate = self._carry(store.signing_in(owner))
            return
        try:
            self._carry(store.everywhere(session.owner))
            self._carry(store.logout(session, EndReason.EVERYWHERE))  # also if it was on no list
        except (Unavailable, OutcomeUnknown):
            self._host.refuse(session.selector)
            raise
        draft.let_go()

    # --- Changes that are made at once --------------------------------------------------------------

    def take(self, name: str, default: Any = None) -> Any:
        """Remove a value and return it: of all that ask at once, exactly one gets it."""
        self._refuse_identity(name)
        draft = self._open_draft
        if self._host.store.at_once(draft.session):
            value = self._carry(at_once.take(draft, name))
        else:
            value = at_once.decide_here(draft, name, changes.taken)
        return default if value is MISSING else value

    def add(
        self,
        name: str,
        by: int | float = 1,
        *,
        min: int | float | None = None,
        max: int | float | None = None,
    ) -> Any:
        """Add to a number and return the new one, within bounds whoever asks at once.

        Raises OutOfBounds, changing nothing.
        """
        return self._decide(name, changes.adding(name, by, min, max))

    def append(self, name: str, item: Any, *, unique: bool = False) -> list[Any]:
        """Append to a list (once, if ``unique``) and return it as it now is."""
        items: list[Any] = self._decide(name, changes.appending(name, item, unique))
        return items

    @contextmanager
    def exclusive(self, wait: float | None = None) -> Generator[None]:
        """Have the session to oneself: saves of other requests wait until the block ends.

        ``wait``: seconds to wait for others who have it (default: the deadline).  Values are
        read anew at the start and saved at the end; if the block raises, nothing is saved.
        Raises HeldError.
        """
        draft = self._open_draft
        if not self._host.store.at_once(draft.session):
            raise UnsupportedError(
                "exclusive() needs sessions that are kept by Moored on the server; these are in cookies, or"
                " where another library keeps them."
            )
        session, waiting = self._carry(at_once.stored(draft))
        hold = exclusive.hold(session, int(EXCLUSIVE_FOR * 1000))
        session, token = self._host.binding.run(hold, wait)
        draft.session = session
        draft.forget_all_but(waiting)
        draft.exclusive = True
        try:
            yield
            self._carry(at_once.save_held(draft, session, token, waiting))
        except BaseException:
            draft.forget_all_but(waiting)
            self._carry(exclusive.give_back(session, token))
            raise
        finally:
            draft.exclusive = False

    def _decide(self, name: str, what: Decide) -> Any:
        self._refuse_identity(name)
        draft = self._open_draft
        if self._host.store.at_once(draft.session):
            return self._carry(at_once.decide(draft, name, what))
        return at_once.decide_here(draft, name, what)

    def _refuse_identity(self, name: str) -> None:
        if name in self._host.settings.identity:
            raise MisuseError(
                f"{name!r} says who is signed in: set or remove it, or call login() or logout()."
            )
