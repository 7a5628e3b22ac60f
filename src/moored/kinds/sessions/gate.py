"""The gate to a subject's new sessions: read before the proof, and passed at the sign-in.

A sign-in is refused where its subject was signed out everywhere since the gate was read, or where
what a remember-me cookie proved is no longer so.  Which browser remembers the subject from then on
is decided here, and nowhere else.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from moored.commands import NOTHING, Patch, Put, Record, Written
from moored.errors import LoginRefused
from moored.kinds.sessions.browsers import CHECKED, put_on_list, remember_for, remembers, revoked
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.record import new_selector
from moored.kinds.sessions.settings import DAY, SessionSettings
from moored.kinds.sessions.subject_fields import entry_field
from moored.kinds.sessions.subjects import (
    Entry,
    Origin,
    encode_entry,
    entries_of,
    finish,
    kept_for,
    noted,
    read_subject,
    subject_key,
)

Answer = TypeVar("Answer")

# Milliseconds for which an epoch waits for its first sign-in: a visitor may ask for any name.
WAITS = DAY // 24


class Password(Struct, frozen=True):
    """The subject gives a proof in this request, of whatever sort."""


class BrowserCookie(Struct, frozen=True):
    """A remember-me cookie proves who they are, as long as their record knows its browser."""

    name: str


class PlainCookie(Struct, frozen=True):
    """A remember-me cookie that names no browser does, until one of their sessions is revoked."""


class Gate(Struct, frozen=True):
    """A subject's epoch, read before the subject proved who they are; ``record`` is what was read.

    ``by`` is the proof.  ``browser`` is that of a good remember-me cookie which came with the request,
    "" if none did.  ``wanted``: a browser is to remember the subject, a new one if none does yet.
    ``renews``: there is no proof but the session that the sign-in goes on with.
    """

    subject: str
    epoch: bytes
    record: Record | None = None
    by: Password | BrowserCookie | PlainCookie = Password()
    browser: str = ""
    wanted: bool = False
    renews: bool = False

    def by_cookie(self, browser: str) -> Gate:
        """For a sign-in by a remember-me cookie of this browser, or of none that it names ("")."""
        by = BrowserCookie(browser) if browser else PlainCookie()
        return replace(self, by=by, browser=browser, wanted=True)

    def for_another_session(self, ended: str) -> Gate:
        """For a sign-in that ends the session it found, which lets the browser ``ended`` forget its subject.

        The new sign-in is not to be forgotten with it: its browser gets another name.
        """
        return replace(self, browser="", wanted=True) if ended and self.browser == ended else self


async def signing_in(subject: str) -> Gate:
    """The gate, to be read *before* the subject proves who they are.

    A log-out-everywhere between here and the login refuses the login.
    """
    record = await read_subject(subject)
    while record is None:
        epoch = secrets.token_hex(8).encode()
        made = await Put(subject_key(subject), {"@epoch": epoch}, version=0, ttl=WAITS)
        if isinstance(made, Written) and not made.overtaken:
            return Gate(subject, epoch)
        record = await read_subject(subject)
    return Gate(subject, record.fields["@epoch"], record)


async def enlist(
    gate: Gate, selector: str, origin: Origin, settings: SessionSettings, before: str = ""
) -> str:
    """Put a session on its subject's list, at the epoch of the gate; over the maximum the oldest ends.

    The answer is the name of the browser that remembers the subject there, "" if none does;
    ``before`` is that which did so far.  Raises LoginRefused.
    """

    def step(record: Record) -> tuple[tuple[str, dict[str, EndReason]], Patch]:
        browser = _browser(gate, record, before)
        remember, forget = put_on_list(record, browser, selector, settings)
        others = {name: entry for name, entry in entries_of(record).items() if name != selector}
        over = max(0, len(others) + 1 - settings.each)
        surplus = sorted(others, key=lambda name: others[name].created)[:over]
        # Later than every other, also within one millisecond: it tells which is the oldest.
        created = max([record.at, *[other.created + 1 for other in others.values()]])
        entry = Entry(created, origin.device[:200], origin.address[:64], browser)
        ending = dict.fromkeys(surplus, EndReason.OVER)
        return (browser, ending), Patch(
            subject_key(gate.subject),
            {entry_field(selector): encode_entry(entry), **_given(gate, remember), **noted(ending)},
            (*map(entry_field, surplus), *forget),
            {"@listed": 0},
            version=record.version,
            ttl=_kept_for(record, settings, bool(remember)),
        )

    browser, ending = await _pass(gate, step)
    await finish(gate.subject, ending)
    return browser


async def admit(gate: Gate, settings: SessionSettings) -> None:
    """Let somebody in whose session is on no list, and keeps no browser's name; the record outlives it.

    Raises LoginRefused.
    """
    await _pass(gate, lambda record: (None, _admitted(gate, record, settings)))


async def admit_in_browser(gate: Gate, selector: str, settings: SessionSettings, before: str = "") -> str:
    """As ``admit``, where the session keeps the name of its browser: the answer, as ``enlist`` gives it."""

    def step(record: Record) -> tuple[str, Patch]:
        browser = _browser(gate, record, before)
        return browser, _admitted(gate, record, settings, *put_on_list(record, browser, selector, settings))

    return await _pass(gate, step)


def _admitted(
    gate: Gate,
    record: Record,
    settings: SessionSettings,
    remember: Mapping[str, bytes] = NOTHING,
    forget: tuple[str, ...] = (),
) -> Patch:
    return Patch(
        subject_key(gate.subject),
        _given(gate, remember),
        forget,
        {"@listed": 0},
        {"@epoch": gate.epoch},
        version=record.version if remember or gate.by != Password() else None,
        ttl=_kept_for(record, settings, bool(remember)),
    )


async def _pass(gate: Gate, step: Callable[[Record], tuple[Answer, Patch]]) -> Answer:
    """Write what a sign-in makes of the record, while the gate is open."""
    record = gate.record  # if others have written since, the step is refused, and it is read again
    while True:
        record = await _open(gate, record)
        answer, patch = step(record)
        if isinstance(await patch, Written):
            return answer
        record = None


async def _open(gate: Gate, record: Record | None) -> Record:
    """The record, if the gate is still open.  Raises LoginRefused."""
    record = record or await read_subject(gate.subject)
    if record is None or record.fields["@epoch"] != gate.epoch:
        raise LoginRefused(
            f"{gate.subject} was logged out everywhere while this login was under way: sign in again."
        )
    if not _holds(gate, record):
        raise LoginRefused(
            f"{gate.subject} was signed out of this browser while it was signing them in: sign in again."
        )
    return record


def _holds(gate: Gate, record: Record) -> bool:
    """Is what proves the subject still so, by the record as it is now?"""
    match gate.by:
        case BrowserCookie(name):
            return remembers(record, name)
        case PlainCookie():
            return revoked(record) == revoked(gate.record)
        case Password():
            return True


def _browser(gate: Gate, record: Record, before: str) -> str:
    """Which browser remembers the subject after a sign-in, "" if none does.

    That of the session so far, unless a cookie signs in; else that of the cookie; else a new one.
    """
    own = gate.by == Password() and remembers(gate.record, before)
    known = before if own else gate.browser
    if remembers(record, known):
        return known
    if known or gate.wanted:  # one that was forgotten since stays so: there are other copies of its cookie
        return new_selector()
    return before if remembers(record, before) else ""


def _given(gate: Gate, remember: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """What to set where a browser is to remember the subject.

    Whoever comes with a cookie from before the move may have other browsers with such cookies.
    """
    return {**remember, **CHECKED} if remember and gate.by == Password() else remember


def _outlives(settings: SessionSettings) -> int:
    """The record is kept a day longer than any session on its list can live."""
    return settings.absolute + DAY


def _kept_for(record: Record, settings: SessionSettings, remembered: bool) -> int:
    """For how long the record is kept after a sign-in."""
    return kept_for(record, remember_for(settings) if remembered else _outlives(settings))
