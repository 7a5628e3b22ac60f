"""The session of one request, as a mapping that is loaded when it is first touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from moored.codec import decode, encode
from moored.errors import CorruptRecord, EncodingError, MisuseError, MooredError, OutcomeUnknown, Unavailable
from moored.kinds.sessions import changes, exclusive
from moored.kinds.sessions.record import Credential, Session
from moored.kinds.sessions.saving import Outdated, Saved, create, look, save
from moored.kinds.sessions.subjects import Gate, Origin, everywhere, signing_in
from moored.merge import MISSING
from moored.run import Program
from moored.web.cookies import TooManyCookiesError, believed
from moored.web.finish import NOTHING, Outcome, finish
from moored.web.host import SessionHost, log

SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
EXCLUSIVE_FOR = 30.0  # seconds after which a handler that never ended loses its exclusive use


class WebSession(MutableMapping[str, Any]):
    """A visitor's session: a mapping of named values, and who is signed in.

    Nothing is read before the first touch.  Values are decoded when they are looked at, and
    changes inside them count without any flag.  ``cookies`` answers the values of all
    cookies of our name; ``cross_site`` whether another site caused this request.
    """

    def __init__(
        self,
        host: SessionHost,
        cookies: Callable[[], Iterable[str]],
        cross_site: Callable[[], bool] = lambda: False,
        origin: Callable[[], Origin] = Origin,
    ) -> None:
        self._host, self._cookies, self.cross_site, self.origin = host, cookies, cross_site, origin
        self._loaded = False
        self._forced = False  # the application said that it was modified

    def _begin(self) -> None:
        """What a session that is touched needs; one that is not is spared it."""
        self._loaded = True
        self._session: Session | None = None
        self._cookie: Credential | None = None  # what the browser has
        self._sent: Credential | None = None  # what it is to be given
        self._failure: MooredError | None = None
        self._values: dict[str, Any] = {}  # decoded or written
        self._originals: dict[str, Any] = {}  # as they were decoded
        self._removed: set[str] = set()
        self._closed = False
        self._without = False  # an outage: served without a session
        self._late = False  # the cookie was superseded a moment ago: this request was under way
        self._cleared = False  # a signed-in session is to be ended
        self._wiped = False  # a visitor's session was cleared: signing in after that starts anew
        self._login: str | None = None
        self._remember: bool | None = None
        self._gate: Gate | None = None
        self._token: int | None = None  # of exclusive use
        self._left = False  # ended everywhere, this one included

    # --- Loading ------------------------------------------------------------------------

    @property
    def touched(self) -> bool:
        """Has this request looked at its session, or written to it?"""
        return self._loaded

    def _carry(self, program: Program[Any]) -> Any:
        return self._host.binding.run(program)

    def _load(self) -> None:
        if self._loaded:
            if self._failure is not None:
                raise self._failure
            return
        self._begin()
        try:
            self._cookie = believed(self._cookies(), self._host.ring())
        except TooManyCookiesError:
            self._host.count("several_genuine_cookies")
            log.warning("A request came with several genuine session cookies; none of them was used.")
        except MooredError as error:
            self._failure = error
            raise
        if self._cookie is None:
            return
        if self._host.refuses(self._cookie.selector):
            self._late = True
            return
        try:
            self._take_in(self._carry(look(self._cookie)))
        except CorruptRecord as error:
            self._host.count("corrupt_sessions")
            log.error("The session %s was not used: %s", self._cookie.selector, error)
        except (Unavailable, OutcomeUnknown) as error:
            if self._host.on_outage == "anonymous":
                self._host.count("served_without_session")
                self._without = True
                return
            self._failure = error
            raise

    def _take_in(self, found: Session | Outdated | None) -> None:
        if isinstance(found, Session):
            self._session = found
        elif found is not None:
            self._late = found.recently

    def _writable(self) -> None:
        self._load()
        if self._closed:
            raise MisuseError(
                "the session was saved when the response began; a change after that would be lost. Change the"
                " session before the first byte is sent."
            )

    # --- The mapping ----------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        self._load()
        if name in self._values:
            return self._values[name]
        if name in self._removed or self._cleared:
            raise KeyError(name)
        raw = None if self._session is None else self._session.get(name)
        if raw is None:
            raise KeyError(name)
        value = self._values[name] = self._originals[name] = decode(raw)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        self._writable()
        if not isinstance(name, str):
            raise EncodingError(f"the names in a session are text, not {type(name).__name__}.")
        self._values[name] = value
        self._removed.discard(name)

    def __delitem__(self, name: str) -> None:
        self._writable()
        if name not in self:
            raise KeyError(name)
        self._values.pop(name, None)
        self._removed.add(name)

    def __contains__(self, name: object) -> bool:
        self._load()
        if name in self._values:
            return True
        if self._session is None or self._cleared or name in self._removed:
            return False
        return isinstance(name, str) and self._session.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        self._load()
        stored = [] if self._session is None or self._cleared else self._session.names()
        names = [name for name in stored if name not in self._removed]
        known = set(names)
        return iter(names + [name for name in self._values if name not in known])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return len(self) > 0

    def clear(self) -> None:
        """Remove everything; if somebody is signed in, sign them out."""
        self._writable()
        if self._session is not None and self._session.subject is not None:
            self._cleared, self._login = True, None
        elif self._session is not None and not self._cleared:
            self._removed.update(self._session.names())
            self._wiped = True
        self._values.clear()

    def copy(self) -> dict[str, Any]:
        """The values in a plain dict."""
        return dict(self)

    __copy__ = copy
    to_dict = copy

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __ior__(self, other: Mapping[str, Any]) -> WebSession:
        self.update(other)
        return self

    def __repr__(self) -> str:
        if not self.touched:
            return f"<{type(self).__name__}, not loaded>"
        return f"<{type(self).__name__} {self.selector or 'new'}>"  # never its values

    # --- What hosts look at ------------------------------------------------------------------

    @property
    def is_new(self) -> bool:
        """Is there no stored session that this browser could prove?"""
        self._load()
        return self._session is None

    @property
    def modified(self) -> bool:
        """Has anything been changed so far, inside values included?"""
        return self._loaded and (self._forced or self._cleared or bool(self._login) or bool(self.change()))

    @modified.setter
    def modified(self, value: bool) -> None:
        # Changes are found without it; it is accepted because applications set it by habit.
        self._forced = value

    @property
    def accessed(self) -> bool:
        """Has this request touched its session?"""
        return self._loaded

    @accessed.setter
    def accessed(self, value: bool) -> None:
        """Flask sets it whenever its proxy is looked at; what counts here is a touch."""

    @property
    def selector(self) -> str | None:
        """The public name of the stored session, to show and to log; None if there is none."""
        self._load()
        return None if self._session is None else self._session.selector

    @property
    def subject(self) -> str | None:
        """Who is signed in."""
        self._load()
        if self._login is not None:
            return self._login
        return None if self._session is None or self._cleared else self._session.subject

    @property
    def generation(self) -> int:
        """How often it changed who this session belongs to."""
        self._load()
        return 0 if self._session is None else self._session.generation

    @property
    def created(self) -> datetime | None:
        """When the stored session was made."""
        self._load()
        return None if self._session is None else _instant(self._session.instant("@created"))

    @property
    def expires(self) -> datetime | None:
        """When it ends if it is not used again."""
        self._load()
        expires = None if self._session is None else self._session.expires
        return None if expires is None else _instant(expires)

    # --- Signing in and out ---------------------------------------------------------------------

    def signing_in(self, subject: str) -> None:
        """Say, before the password is checked, who is about to sign in.

        If they are logged out everywhere (for example, the password is changed) before this
        request ends, its ``login`` is then refused.
        """
        self._writable()
        self._gate = self._carry(signing_in(subject, self._host.settings))

    def login(self, subject: str | int, *, remember: bool | None = None) -> None:
        """Sign somebody in; done when the request ends, together with its other changes.

        The browser gets a new cookie and the one from before is worthless.  ``remember``
        makes the cookie outlive the browser, or not; None leaves it as it is.
        """
        self._writable()
        if self._token is not None:
            raise MisuseError("login() cannot be called inside exclusive(): end that first.")
        if isinstance(subject, bool) or not isinstance(subject, (str, int)) or subject == "":
            raise MisuseError("login() takes the user's id as text or a whole number.")
        self._login, self._remember = str(subject), remember

    def logout(self) -> None:
        """Sign out and remove everything; no request in flight can bring the session back."""
        self._writable()
        self._cleared, self._login = True, None
        self._values.clear()

    def logout_everywhere(self, *, keep_this: bool = False) -> None:
        """End every session of whoever is signed in, at once; this one too unless ``keep_this``."""
        self._writable()
        session = self._session
        if session is None or session.owner is None or self._cleared:
            raise MisuseError("logout_everywhere() needs somebody who is signed in.")
        self._carry(everywhere(session.owner, session.selector if keep_this else None))
        if not keep_this:
            self._session, self._cleared, self._left = None, False, True
            self._values.clear()
            self._originals.clear()
            self._removed.clear()

    # --- Changes that are made at once -------------------------------------------------------------

    def take(self, name: str, default: Any = None) -> Any:
        """Remove a value and return it: of all that ask at once, exactly one gets it."""
        session = self._flushed(name, make=False)
        if session is None:
            return default
        self._session, value = self._carry(changes.take(session, name, self._host.settings))
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
        session = self._flushed(name)
        self._session, total = self._carry(changes.add(session, name, by, min, max, self._host.settings))
        return total

    def append(self, name: str, item: Any, *, unique: bool = False) -> list[Any]:
        """Append to a list (once, if ``unique``) and return it as it now is."""
        session = self._flushed(name)
        self._session, items = self._carry(changes.append(session, name, item, unique, self._host.settings))
        return items  # type: ignore[no-any-return]

    @contextmanager
    def exclusive(self, wait: float | None = None) -> Iterator[None]:
        """Have the session to oneself: saves of other requests wait until the block ends.

        ``wait``: seconds to wait for others who have it (default: the deadline).  Values are
        read anew at the start and saved at the end; if the block raises, nothing is saved.
        Raises HeldError.
        """
        session = self._flushed(None)
        hold = exclusive.hold(session, int(EXCLUSIVE_FOR * 1000))
        self._session, token = self._host.binding.run(hold, wait)
        self._forget_values()
        self._token = token
        try:
            yield
            self._keep(self._carry(save(self._session, self.change(), self._host.settings, token=token)))
        except BaseException:
            self._carry(exclusive.give_back(self._session, token))
            self._forget_values()
            raise
        finally:
            self._token = None
        self._forget_values()

    def _flushed(self, name: str | None, make: bool = True) -> Any:
        """The stored session after saving what has been changed; made if there is none and ``make``."""
        self._writable()
        if self._cleared or self._token is not None:
            raise MisuseError("this cannot be done in a request that signs out, or inside exclusive().")
        change = {n: v for n, v in self.change().items() if n not in self._host.settings.identity}
        if self._session is None:
            if self._late or self._without or not (make or change):
                return None if not make else self._refuse_late()
            self._keep(self._carry(create(change, self._host.settings)))
        elif change:
            self._keep(self._carry(save(self._session, change, self._host.settings)))
        if name is not None:
            self._values.pop(name, None)
            self._originals.pop(name, None)
            self._removed.discard(name)
        return self._session

    def _refuse_late(self) -> None:
        from moored.errors import GoneError

        raise GoneError("this session was ended, or cannot be reached, while the request was running.")

    def _keep(self, saved: Saved) -> None:
        self._session = saved.session
        if saved.credential is not None:
            self._cookie = self._sent = saved.credential
        if saved.dropped:
            self._host.count("late_changes_dropped")
        if saved.conflicts:
            self._host.count("merge_conflicts", len(saved.conflicts))

    def _forget_values(self) -> None:
        self._values, self._originals, self._removed = {}, {}, set()

    # --- The end of the request ---------------------------------------------------------------

    def finish(self) -> Outcome:
        """Store what was changed; what the response must do.  Only the first call does anything."""
        if not self._loaded or self._closed:
            return NOTHING
        self._closed = True
        return self._carry(finish(self))  # type: ignore[no-any-return]

    def stored(self, name: str) -> Any:
        """A value as it was read, whatever has been made of it since."""
        raw = None if self._session is None else self._session.get(name)
        return None if raw is None else decode(raw)

    # --- What changed ------------------------------------------------------------------------------

    def change(self, anew: bool = False) -> dict[str, bytes | None]:
        """The fields that differ from what was read, encoded; None where one was removed.

        ``anew``: all fields, as if nothing had been stored.
        """
        depth = self._host.settings.depth
        stored = None if self._cleared or anew else self._session
        change: dict[str, bytes | None] = {}
        for name, value in self._values.items():
            if type(value) in SCALARS and name in self._originals and value is self._originals[name]:
                continue
            raw = None if stored is None else stored.get(name)
            new = encode(value, path=name, depth=depth)
            # Decoding and encoding again: what another version wrote is not a change.
            if new != raw and (raw is None or new != encode(decode(raw), path=name, depth=depth)):
                change[name] = new
        if stored is not None:
            change.update({name: None for name in self._removed if stored.get(name) is not None})
        return change


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
