"""A session that is loaded when a request first touches it, and stored when the request ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Self

from moored.errors import EncodingError, MisuseError, MooredError
from moored.kinds.sessions.record import as_datetime
from moored.run import Program
from moored.web.draft import Draft
from moored.web.finish import NOTHING, Arrival, Outcome, finish
from moored.web.host import SessionHost
from moored.web.loading import load


class LazySession(MutableMapping[str, Any]):
    """A visitor's session as a mapping of named values, and what is known of it.

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
            self._closed = False
            draft.go_without()
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
            return "<Session, not loaded>"
        return f"<Session {self.selector or 'new'}>"

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
            self._forced
            or draft.changed
            or draft.fate == "ending"
            or draft.login is not None
            or bool(draft.change())
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
        return None if draft.session is None or draft.fate == "ending" else draft.session.subject

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
