"""What a request has made of its session so far, before anything is stored."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from moored.codec import decode, encode
from moored.codec.limits import SCALARS
from moored.errors import CorruptRecord, MisuseError
from moored.kinds.sessions.gate import Gate
from moored.kinds.sessions.record import Proof, Session
from moored.kinds.sessions.saving import Saved
from moored.web.host import SessionHost, log

Fate = Literal["kept", "wiped", "ending", "ended"]
"""What becomes of the stored session: it is kept, even if emptied; a visitor's was cleared, so that a
sign-in is to start anew ("wiped"); it is to end with the request ("ending"); it was ended everywhere
("ended")."""


class Draft:
    """The stored session as it was read, and what is to become of it when the request ends.

    Values are decoded when they are first looked at.  What differs at the end is found by
    encoding them again, so that changes inside them count without any flag.
    """

    def __init__(self, host: SessionHost, cookie: Proof | None = None) -> None:
        self.host = host
        # What there is.
        self.cookie: Proof | None = cookie  # what the browser has
        self.session: Session | None = None
        self.late = False  # the cookie was superseded a moment ago: this request was under way then
        self.without: bool = False  # the request is served without a session: an outage, or damage
        self.damage: CorruptRecord | None = None  # a stored value that could not be read
        # What the request makes of it.
        self.values: dict[str, Any] = {}  # decoded or written
        self.written: set[str] = set()  # names that were given a value, whatever it was before
        self.removed: set[str] = set()
        self._originals: dict[str, Any] = {}  # values as they were decoded
        self.fate: Fate = "kept"
        self.gate: Gate | None = None  # read before somebody signs in
        self.login: str | None = None  # who is to be signed in
        self.renewed = False  # the browser is to get another cookie, whoever is signed in
        self.exclusive = False  # the request has the session to itself just now
        # What was stored, and is to be sent.
        self.changed = False  # something was saved already
        self.sent: Proof | None = None  # what the browser is to be given
        self.resend = False  # its copy of the cookie is to have another lifetime

    # --- As a mapping -------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """The value of a name; raises KeyError."""
        if name in self.values:
            return self.values[name]
        raw = None if self._is_hidden(name) or self.session is None else self.session.get(name)
        if raw is None:
            raise KeyError(name)
        value = self.values[name] = self._originals[name] = self._decoded(name, raw)
        return value

    def put(self, name: str, value: Any) -> None:
        """Give a name a value."""
        self.values[name] = value
        self.written.add(name)
        self.removed.discard(name)

    def remove(self, name: str) -> None:
        """Take a name away; raises KeyError."""
        if not self.has(name):
            raise KeyError(name)
        self.values.pop(name, None)
        self.removed.add(name)

    def has(self, name: str) -> bool:
        """Is there a value of that name?"""
        if name in self.values:
            return True
        return self.session is not None and not self._is_hidden(name) and self.session.get(name) is not None

    def is_untouched(self, name: str) -> bool:
        """Is it certain without a look at the bytes that nothing was made of this name?"""
        if name not in self.values:
            return name not in self.removed
        if self.fate == "ending" or name not in self._originals:
            return False
        value = self.values[name]
        return value is self._originals[name] and type(value) in SCALARS

    def names(self) -> list[str]:
        """The stored names in a fixed order, then the new ones in theirs."""
        stored = [] if self.session is None or self.fate == "ending" else self.session.names()
        names = [name for name in stored if name not in self.removed]
        known = set(names)
        return names + [name for name in self.values if name not in known]

    def clear(self) -> None:
        """Take everything away; a session that somebody is signed in to is to be ended."""
        if self.without or (self.session is not None and self.session.subject is not None):
            self.end()
            return
        if self.session is not None and self.fate != "ending":
            self.removed.update(self.session.names())
            self.fate = "wiped"
        self._start_over()

    def end(self) -> None:
        """The stored session is to end with the request, if it has not ended yet."""
        if self.fate != "ended":
            self.fate = "ending"
        self._start_over()

    def _start_over(self) -> None:
        self.login = None
        self.values.clear()
        self._originals.clear()

    def let_go(self) -> None:
        """Go on without the stored session, which was ended."""
        self.session, self.login, self.fate = None, None, "ended"
        self.forget()

    def go_without(self) -> None:
        """Serve what is left of the request without a session: nothing more of it is stored."""
        self.without, self.fate = True, "kept"

    def forget(self, *names: str) -> None:
        """Look at these names (default: all) anew when they are asked for."""
        for name in names or (*self.values, *self.removed):
            self.values.pop(name, None)
            self._originals.pop(name, None)
            self.removed.discard(name)

    def forget_all_but(self, names: Collection[str]) -> None:
        """Look at all others anew when they are asked for."""
        if others := [name for name in (*self.values, *self.removed) if name not in names]:
            self.forget(*others)

    def give_up(self, name: str, error: CorruptRecord) -> None:
        """Go on without a session, because a stored value of this one cannot be read.

        Nothing else of it is used or kept, and the browser is to forget it: without that value
        the rest may say something else than was meant.
        """
        selector = "" if self.session is None else self.session.selector
        self.host.count("corrupt_sessions")
        log.error("The session %s was given up at its field %r: %s", selector, name, error)
        self.go_without()
        self.damage = error
        self.session, self.login = None, None
        self.forget()

    def _decoded(self, name: str, raw: bytes) -> Any:
        try:
            return decode(raw)
        except CorruptRecord as error:
            self.give_up(name, error)
            raise

    def _is_hidden(self, name: str) -> bool:
        return self.fate == "ending" or name in self.removed

    # --- What changed ---------------------------------------------------------------------------

    def change(self, anew: bool = False, written: bool = False) -> dict[str, bytes | None]:
        """The fields that differ from what was read, encoded; None where one was removed.

        ``anew``: all that there are, as if nothing had been stored.  ``written``: also those
        that were given the value they had.  Raises EncodingError and TooLargeError.
        """
        depth = self.host.settings.depth
        stored = None if self.fate == "ending" or anew else self.session
        change: dict[str, bytes | None] = {}
        for name in self.names() if anew else self.values:
            value = self.get(name)
            raw = None if stored is None else stored.get(name)
            again = written and name in self.written
            if raw is not None and not again and self.is_untouched(name):
                continue
            new = encode(value, path=name, depth=depth)
            if again or (new != raw and (raw is None or new != _encoded_again(raw, depth))):
                change[name] = new
        if stored is not None:
            change.update({name: None for name in self.removed if stored.get(name) is not None})
        return change

    def stored(self, name: str) -> Any:
        """A value as it was read, whatever has been made of it since; None if there is none."""
        raw = None if self.session is None else self.session.get(name)
        return None if raw is None else self._decoded(name, raw)

    def keep(self, saved: Saved[Any]) -> None:
        """Go on from what was saved."""
        self.session = saved.session
        self._originals.clear()  # what was read is no longer what is stored
        if saved.credential is not None:
            self.cookie = self.sent = saved.credential
        if saved.dropped:
            self.host.count("late_changes_dropped")
        if saved.conflicts:
            self.host.count("merge_conflicts", len(saved.conflicts))


def _encoded_again(raw: bytes, depth: int) -> bytes | None:
    """What another version or other limits let be written, as it is written now: that is no change.

    None if it cannot be read or written now.
    """
    try:
        return encode(decode(raw), depth=depth)
    except (CorruptRecord, MisuseError):
        return None
