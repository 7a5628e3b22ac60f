"""The session of one request, as a mapping that is loaded when it is first touched."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from moored.errors import (
    CorruptRecord,
    EncodingError,
    GoneError,
    MisuseError,
    MooredError,
    OutcomeUnknown,
    Unavailable,
    UnsupportedError,
)
from moored.kinds.sessions import changes, exclusive
from moored.kinds.sessions.changes import Decide
from moored.kinds.sessions.record import Session, as_datetime
from moored.kinds.sessions.saving import save
from moored.kinds.sessions.subjects import subject_of
from moored.merge import MISSING
from moored.run import Program
from moored.web.draft import Draft
from moored.web.finish import NOTHING, Arrival, Outcome, finish
from moored.web.host import SessionHost
from moored.web.identity import FRESHNESS
from moored.web.loading import load

EXCLUSIVE_FOR = 30.0  # seconds after which a handler that never ended loses its exclusive use


class WebSession(MutableMapping[str, Any]):
    """A visitor's session: a mapping of named values, and who is signed in.

    Nothing is read before the first touch.  Values are decoded when they are looked at, and
    changes inside them count without any flag.  ``cookies`` answers the values of all
    cookies of our name; ``arrival`` what a sign-in wants to know of the request.
    """

    def __init__(
        self,
        host: SessionHost,
        cookies: Callable[[], Iterable[str]],
        arrival: Callable[[], Arrival] = Arrival,
    ) -> None:
        self._host, self._cookies, self._arrival = host, cookies, arrival
        self._loaded: Draft | None = None
        self._failure: MooredError | None = None
        self._closed = False  # the response has begun
        self._forced = False  # the application said that it was modified
        self._exclusive = False

    # --- Loading --------------------------------------------------------------------------------

    @property
    def touched(self) -> bool:
        """Has this request looked at its session, or written to it?"""
        return self._loaded is not None

    def _carry(self, program: Program[Any]) -> Any:
        return self._host.binding.run(program)

    @property
    def _draft(self) -> Draft:
        if self._loaded is not None:
            return self._loaded
        try:
            draft: Draft = self._carry(load(self._host, self._cookies()))
        except MooredError as error:
            # The page that tells of it may look at the session, and finds nothing there.
            self._failure, self._loaded = error, Draft(self._host)
            self._loaded.without = True
            raise
        self._loaded = draft
        return draft

    @property
    def _open_draft(self) -> Draft:
        draft = self._draft
        if failure := self._failure or draft.damage:
            raise failure
        if self._closed:
            raise MisuseError(
                "the session was saved when the response began; a change after that would be lost. Change the"
                " session before the first byte is sent."
            )
        return draft

    def finish(self) -> Outcome:
        """Store what was changed; what the response must do.  Only the first call does anything.

        To be called at the end of every request: from then on the session cannot be changed.
        """
        draft = self._loaded
        if self._closed or draft is None:
            self._closed = True
            return NOTHING
        self._closed = True
        try:
            return self._carry(finish(draft, self._arrival))  # type: ignore[no-any-return]
        except BaseException:
            # The page that tells of it may use the session (show messages); nothing of it is kept.
            self._closed, draft.without, draft.cleared = False, True, False
            raise

    # --- The mapping ----------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        return self._draft.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        draft = self._open_draft
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            raise EncodingError(f"the names in a session are text, not {type(name).__name__}.")
        draft.put(name, value)

    def __delitem__(self, name: str) -> None:
        self._open_draft.remove(name)

    def __contains__(self, name: object) -> bool:
        draft = self._draft
        return isinstance(name, str) and draft.has(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._draft.names())

    def __len__(self) -> int:
        return len(self._draft.names())

    def clear(self) -> None:
        """Remove everything; if somebody is signed in, sign them out."""
        self._open_draft.clear()

    def copy(self) -> dict[str, Any]:
        """The values in a plain dict."""
        return dict(self)

    __copy__ = copy
    to_dict = copy

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __ior__(self, other: Mapping[str, Any]) -> Self:
        self.update(other)
        return self

    def __repr__(self) -> str:  # never its values
        if self._loaded is None:
            return f"<{type(self).__name__}, not loaded>"
        return f"<{type(self).__name__} {self.selector or 'new'}>"

    # --- What hosts and handlers look at ----------------------------------------------------------

    @property
    def is_new(self) -> bool:
        """Is there no stored session that this browser could prove?"""
        return self._draft.session is None

    @property
    def modified(self) -> bool:
        """Has anything been changed so far, inside values included?"""
        draft = self._loaded
        return draft is not None and (
            self._forced or draft.changed or draft.cleared or draft.login is not None or bool(draft.change())
        )

    @modified.setter
    def modified(self, value: bool) -> None:
        # Changes are found without it; it is accepted because applications set it by habit.
        self._forced = value

    @property
    def accessed(self) -> bool:
        """Has this request touched its session?"""
        return self.touched

    @accessed.setter
    def accessed(self, value: bool) -> None:
        """Flask sets it whenever its proxy is looked at; what counts here is a touch."""

    @property
    def selector(self) -> str | None:
        """The public name of the stored session, to show and to log; None if there is none."""
        session = self._draft.session
        return None if session is None else session.selector

    @property
    def subject(self) -> str | None:
        """Who is signed in."""
        draft = self._draft
        if draft.login is not None:
            return draft.login
        return None if draft.session is None or draft.cleared else draft.session.subject

    @property
    def superseded(self) -> bool:
        """Has this browser's session ended, or somebody signed in to it, in the last half minute?

        Then the request may have been under way before: it is served without a session, and
        what it writes is not kept.  An application that would rather tell its visitor looks here.
        """
        return self._draft.late

    @property
    def generation(self) -> int:
        """How often it changed who this session belongs to."""
        session = self._draft.session
        return 0 if session is None else session.generation

    @property
    def created(self) -> datetime | None:
        """When the stored session was made."""
        session = self._draft.session
        return None if session is None else as_datetime(session.instant("@created"))

    @property
    def expires(self) -> datetime | None:
        """When it ends if it is not used again."""
        session = self._draft.session
        return None if session is None or session.expires is None else as_datetime(session.expires)

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
        if self._exclusive:
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
        draft = self._open_draft
        draft.cleared, draft.login = True, None
        draft.values.clear()

    def logout_everywhere(self, *, keep_this: bool = False) -> None:
        """End every session of whoever is signed in, at once; this one too unless ``keep_this``."""
        draft = self._open_draft
        session = draft.session
        if session is None or session.owner is None or draft.cleared:
            raise MisuseError("logout_everywhere() needs somebody who is signed in.")
        store = self._host.store
        if keep_this:
            self._carry(store.everywhere(session.owner, session.selector))
            if not store.at_once(session):  # on no list: its cookie says that it is younger than the ending
                draft.login = session.owner
            return
        try:
            self._carry(store.everywhere(session.owner))
            self._carry(store.logout(session, b"signed out everywhere"))  # also if it was on no list
        except (Unavailable, OutcomeUnknown):
            self._host.refuse(session.selector)
            raise
        draft.session, draft.login, draft.left = None, None, True
        draft.forget()

    # --- Changes that are made at once --------------------------------------------------------------

    def take(self, name: str, default: Any = None) -> Any:
        """Remove a value and return it: of all that ask at once, exactly one gets it."""
        self._refuse_identity(name)
        if not self._at_once:
            value = self._here(name, changes.taken)
            return default if value is MISSING else value
        draft = self._flushed(make=False)
        if draft.session is None:  # nobody else knows what this request has written
            value = self._here(name, changes.taken)
        else:
            program = changes.take(draft.session, name, self._host.settings)
            draft.session, value = self._done(draft, name, program)
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
        if not self._at_once:
            raise UnsupportedError(
                "exclusive() needs sessions that are kept by Moored on the server; these are in cookies, or"
                " where another library keeps them."
            )
        draft, session = self._stored_session()
        hold = exclusive.hold(session, int(EXCLUSIVE_FOR * 1000))
        session, token = self._host.binding.run(hold, wait)
        draft.session = session
        draft.forget()
        self._exclusive = True
        try:
            yield
            change = draft.change()
            if any(name in change for name in (*self._host.settings.identity, FRESHNESS)):
                raise MisuseError("who is signed in cannot change inside exclusive(): end that first.")
            draft.keep(self._carry(save(session, change, self._host.settings, token=token)))
        except BaseException:
            draft.forget()
            self._carry(exclusive.give_back(session, token))
            raise
        finally:
            self._exclusive = False

    @property
    def _at_once(self) -> bool:
        return self._host.store.at_once(self._open_draft.session)

    def _decide(self, name: str, what: Decide) -> Any:
        self._refuse_identity(name)
        if not self._at_once:
            return self._here(name, what)
        draft, session = self._stored_session()
        program = changes.decide(session, name, what, self._host.settings)
        draft.session, answer = self._done(draft, name, program)
        return answer

    def _here(self, name: str, what: Decide) -> Any:
        """Decide on this request's view of a value; it is stored at the end, with all else."""
        draft = self._open_draft
        value, answer = what(draft.get(name) if draft.has(name) else MISSING)
        if value is not MISSING:
            draft.put(name, value)
        elif draft.has(name):
            draft.remove(name)
        return answer

    def _done(self, draft: Draft, name: str, program: Program[Any]) -> Any:
        draft.forget(name)
        try:
            return self._carry(program)
        except CorruptRecord as error:
            draft.give_up(name, error)
            raise

    def _refuse_identity(self, name: str) -> None:
        if name in self._host.settings.identity:
            raise MisuseError(
                f"{name!r} says who is signed in: set or remove it, or call login() or logout()."
            )

    def _stored_session(self) -> tuple[Draft, Session]:
        draft = self._flushed(make=True)
        assert draft.session is not None
        return draft, draft.session

    def _flushed(self, make: bool) -> Draft:
        """The draft after saving what has been changed; with a session, if ``make``."""
        draft = self._open_draft
        if draft.cleared or draft.login is not None or self._exclusive:
            raise MisuseError("this cannot be done in a request that signs in or out, or inside exclusive().")
        change = {n: v for n, v in draft.change().items() if n not in self._host.settings.identity}
        if draft.session is not None:
            if change:
                draft.keep(self._carry(self._host.store.save(draft.session, change)))
        elif make:
            if draft.late or draft.without:
                raise GoneError(
                    "this session has ended, or cannot be reached, while the request was running."
                )
            draft.keep(self._carry(self._host.store.create(change)))
        draft.changed = True
        return draft
