"""Sessions in the cookie itself: signed, or sealed so that nobody else can read them.

A cookie holds all of its session, so two requests that change it at once do not know of each
other: the cookie that the browser receives last is the session.  A copy of a cookie is good
until it expires, also after its browser has signed out, unless its subject is signed out
everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from moored.errors import ConfigurationError, TooLargeError, UnsupportedError
from moored.kinds.sessions import ending
from moored.kinds.sessions.browsers import remembers
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.gate import Gate, admit_in_browser, signing_in
from moored.kinds.sessions.record import Change, Session, apply_change, check_size, new_selector
from moored.kinds.sessions.saving import Outdated, Saved
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.subjects import Origin, read_subject
from moored.seal import LONGEST_CHECK, KeyRing
from moored.web.cookies import as_text, from_text, genuine

LARGEST: Final = (
    3_800  # characters of a value: browsers keep 4,096 with name and attributes (RFC 6265bis, 5.7)
)
PURPOSE: Final = "client-side session"
SIGNED, SEALED = "s", "x"  # what a value begins with


class Contents(Struct, frozen=True, array_like=True):
    """What is in a cookie.  Instants are milliseconds since 1970, by the clock of the web server."""

    selector: str
    created: int
    seen: int
    absolute: int
    generation: int
    subject: str | None
    owner: str | None
    epoch: bytes
    fields: dict[str, bytes]
    browser: str = ""


class CookieProof(Struct, frozen=True):
    """A cookie's value, and the session that is in it."""

    value: str
    session: Session
    epoch: bytes

    @property
    def selector(self) -> str:
        """The public name of the session."""
        return self.session.selector

    def __repr__(self) -> str:
        return f"<CookieProof {self.selector}>"


_decode = msgspec.msgpack.Decoder(Contents).decode
_encode = msgspec.msgpack.Encoder().encode


class ClientSide:
    """Sessions in cookies.

    ``sealed``: encrypted by AES-256-GCM, else signed only.  Cookies of both sorts are read,
    so that an application can go from one to the other.  ``revocable``: the epoch of who is
    signed in is compared with the subject's record, in one round trip, and so is their browser,
    if one remembers them.  ``clock`` answers seconds since 1970.
    """

    def __init__(
        self,
        settings: SessionSettings,
        ring: Callable[[], KeyRing],
        *,
        sealed: bool,
        revocable: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.ring = ring
        self.sealed = sealed
        self.revocable = revocable
        self._clock = clock

    def at_once(self, session: Session | None) -> bool:
        """They are not: no cookie knows of another."""
        return False

    async def proofs(self, cookies: Iterable[str]) -> Sequence[CookieProof]:
        """The sessions in the different cookies that were made with our keys and have not expired."""
        return genuine(cookies, self._open)

    def cookie(self, proof: CookieProof) -> str:
        """The value as it was made."""
        return proof.value

    async def look(self, proof: CookieProof) -> Session | Outdated | None:
        """The session; no round trip if nobody is signed in to it, or it cannot be revoked."""
        subject = proof.session.owner
        if subject is None:
            return proof.session
        epoch: bytes | None = b""  # of cookies that are made where none is compared
        forgotten = False
        if self.revocable:
            record = await read_subject(subject)
            epoch = None if record is None else record.fields["@epoch"]
            browser = proof.session.browser
            forgotten = browser != "" and not remembers(record, browser)
        if proof.epoch != epoch or forgotten:
            return Outdated(recently=False, ended=True)
        return proof.session

    async def create(self, change: Change) -> Saved[CookieProof]:
        """A new cookie."""
        return self._made(new_selector(), 0, change, now=self._now())

    async def save(self, session: Session, change: Change, *, sent: bool = False) -> Saved[CookieProof]:
        """A cookie with the change, and with a new lifetime."""
        return self._after(session, change, subject=session.subject)

    async def signing_in(self, subject: str) -> Gate:
        """The epoch of the subject's record, if it is compared."""
        return await signing_in(subject) if self.revocable else Gate(subject, b"")

    async def login(
        self, session: Session | None, change: Change, gate: Gate, *, cleared: bool, origin: Origin
    ) -> Saved[CookieProof]:
        """A cookie in the subject's name, without what a sign-in drops.  Raises LoginRefused."""
        kept = None if session is None or cleared or session.owner not in (None, gate.subject) else session
        selector, before = (new_selector(), "") if kept is None else (kept.selector, kept.browser)
        if kept is None and session is not None:
            gate = gate.for_another_session(session.browser)
        browser = ""
        if self.revocable:
            if gate.renews and before:
                gate = gate.by_cookie(before)
            browser = await admit_in_browser(gate, selector, self.settings, before)
        if kept is not None:
            dropped = {name: None for name in self.settings.fresh_on_login if name not in change}
            change = {**dropped, **change}
            return self._after(kept, change, subject=gate.subject, gate=gate, browser=browser)
        made = self._made(selector, 0, change, now=self._now(), gate=gate, browser=browser)
        if session is not None:
            await self.logout(session)
        return made

    async def forget_identity(self, session: Session, change: Change) -> Saved[CookieProof]:
        """A cookie with the data and without the identity; the browser forgets who was signed in."""
        await self.logout(session)
        return self._after(session, change, subject=None, further=1)

    async def logout(self, session: Session, why: EndReason = EndReason.SIGNED_OUT) -> bool:
        """Nothing is kept here that would have to be ended, but that a browser remembers somebody."""
        if self.revocable:
            await ending.forget_browser_of(session, why)
        return True

    async def everywhere(self, subject: str, keep: str | None = None) -> None:
        """Give the subject a new epoch: every cookie in their name is refused from then on.

        Raises UnsupportedError where no epoch is compared.
        """
        if not self.revocable:
            raise UnsupportedError(
                "sessions in cookies can be ended everywhere only if an engine keeps who was signed out: set"
                " MOORED_URL."
            )
        await ending.everywhere(subject)

    # --- Values ---------------------------------------------------------------------------------

    def _open(self, value: str) -> CookieProof | None:
        if len(value) > LARGEST or not value.isascii():
            return None
        try:
            body = self._verified(value[:1], from_text(value[1:]))
            contents = None if body is None else _decode(body)
        except (ValueError, RecursionError, msgspec.DecodeError):
            return None
        if contents is None:
            return None
        now, expires = self._now(), min(contents.seen + self.settings.idle, contents.absolute)
        if now >= expires:
            return None
        return CookieProof(value, _session(contents, expires, now), contents.epoch)

    def _verified(self, sort: str, raw: bytes) -> bytes | None:
        if sort == SEALED:
            return self._unsealed(raw)
        if sort != SIGNED or len(raw) <= LONGEST_CHECK:
            return None
        body, check = raw[:-LONGEST_CHECK], raw[-LONGEST_CHECK:]
        return body if self.ring().checks(PURPOSE, body, check) else None

    def _unsealed(self, raw: bytes) -> bytes | None:
        ring = self.ring()
        try:
            return ring.unseal(PURPOSE, raw)
        except ConfigurationError:  # without the package cryptography there are no sealed cookies of ours
            if self.sealed:
                raise
            return None

    def _value(self, contents: Contents) -> str:
        body = _encode(contents)
        ring = self.ring()
        raw = ring.seal(PURPOSE, body) if self.sealed else body + ring.check(PURPOSE, body, LONGEST_CHECK)
        value = (SEALED if self.sealed else SIGNED) + as_text(raw)
        if len(value) > LARGEST:
            name = max(contents.fields, key=lambda name: len(contents.fields[name]), default="")
            raise TooLargeError(
                f"the session takes a cookie of {len(value)} characters, and browsers keep {LARGEST}; its"
                f" largest field is {name!r}. Keep less in it, or keep sessions on the server:"
                ' MOORED_SESSION_STORE = "engine".'
            )
        return value

    def _made(
        self,
        selector: str,
        generation: int,
        change: Change,
        *,
        now: int,
        gate: Gate | None = None,
        browser: str = "",
    ) -> Saved[CookieProof]:
        subject, epoch = (None, b"") if gate is None else (gate.subject, gate.epoch)
        fields = {name[1:]: value for name, value in apply_change({}, change).items()}
        absolute = now + self.settings.absolute
        return self._saved(
            Contents(selector, now, now, absolute, generation, subject, subject, epoch, fields, browser), now
        )

    def _after(
        self,
        session: Session,
        change: Change,
        *,
        subject: str | None,
        gate: Gate | None = None,
        browser: str | None = None,
        further: int = 0,
    ) -> Saved[CookieProof]:
        fields, now = apply_change(session.fields, change), self._now()
        check_size(fields, self.settings, session.fields)
        contents = Contents(
            session.selector,
            session.instant("@created"),
            now,
            session.instant("@absolute"),
            session.generation + (further if gate is None else 1),
            subject,
            session.owner if gate is None else gate.subject,
            session.fields["@epoch"] if gate is None else gate.epoch,
            {name[1:]: value for name, value in fields.items() if name[:1] == "."},
            "" if subject is None else session.browser if browser is None else browser,
        )
        return self._saved(contents, now)

    def _saved(self, contents: Contents, now: int) -> Saved[CookieProof]:
        session = _session(contents, min(now + self.settings.idle, contents.absolute), now)
        return Saved(session, CookieProof(self._value(contents), session, contents.epoch))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _session(contents: Contents, expires: int, now: int) -> Session:
    ours = {
        "@created": b"%d" % contents.created,
        "@sent": b"%d" % contents.seen,
        "@absolute": b"%d" % contents.absolute,
        "@epoch": contents.epoch,
        "@browser": contents.browser.encode(),
    }
    fields = {"." + name: value for name, value in contents.fields.items()}
    return Session(
        contents.selector,
        contents.generation,
        {**ours, **fields},
        contents.subject,
        contents.owner,
        expires,
        now,
    )
