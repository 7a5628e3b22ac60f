"""Remember-me cookies: which are as good as their user's record says.

A cookie that says who somebody is, and is good for months, is given together with a keyed check
over that user, their epoch, and the name of the browser that it was given to.  Signing them out
everywhere gives them another epoch; signing them out of that browser takes its name off their
list.  Where the session does not keep such a name the check is over what every revocation of one
of their sessions changes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from moored.commands import NOTHING, Patch, Put, Read, Together, record_key
from moored.kinds.sessions.browsers import CHECKED, LONGEST_COOKIE, remember_for, remembers, revoked
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.ending import forget_browser
from moored.kinds.sessions.gate import Gate
from moored.kinds.sessions.record import SELECTOR_BYTES, Session, integer, selector_of
from moored.kinds.sessions.settings import DAY, SessionSettings
from moored.kinds.sessions.subjects import subject_key
from moored.seal import KeyRing
from moored.web.cookies import as_text, from_text
from moored.web.draft import Draft

PURPOSE: Final = "remember cookie"
OF_A_BROWSER: Final = "remember cookie of a browser"
CHECK_BYTES: Final = 16
SLACK: Final = 30 * DAY  # so that not every sign-in has to prolong its user's record
FIRST: Final = record_key("adoption", "remember cookies")  # when one was first met here


class Shown(Struct, frozen=True):
    """What is in a cookie's value: the browser that it says it was given to ("": none), and the check."""

    browser: str
    check: bytes


def value_for(gate: Gate, browser: str, ring: KeyRing) -> str:
    """What is given to the browser: that a cookie was made for this subject at this epoch, there.

    ``browser`` is "" where the session does not keep its name.
    """
    name = base64.b32decode(browser.upper())
    check = ring.check(OF_A_BROWSER if browser else PURPOSE, _said(gate, browser), CHECK_BYTES)
    return as_text(name + check)


def proven(value: str, gate: Gate, ring: KeyRing) -> Shown | None:
    """What a value proves: that it was given to the subject, and they were not signed out since.

    The check is compared in constant time.
    """
    shown = shown_in(value)
    if shown is None:
        return None
    purpose = OF_A_BROWSER if shown.browser else PURPOSE
    if not ring.checks(purpose, _said(gate, shown.browser), shown.check):
        return None
    return shown if not shown.browser or remembers(gate.record, shown.browser) else None


def _said(gate: Gate, browser: str) -> bytes:
    since = b"" if browser else revoked(gate.record)
    # An epoch is hexadecimal, an instant decimal, a browser's name base32: none has a sign of its own.
    parts = [gate.epoch + b":" + since if since else gate.epoch, gate.subject.encode()]
    return b".".join([browser.encode(), *parts] if browser else parts)


def shown_in(value: str) -> Shown | None:
    """What a cookie's value says; None if it cannot be one."""
    try:
        raw = from_text(value)
    except ValueError:
        return None
    name, check = raw[:-CHECK_BYTES], raw[-CHECK_BYTES:]
    if len(check) != CHECK_BYTES or len(name) not in (0, SELECTOR_BYTES):
        return None
    return Shown(selector_of(name), check)


async def extend(gate: Gate, settings: SessionSettings, note: Mapping[str, bytes] = CHECKED) -> None:
    """Keep the epoch for longer than a browser keeps a cookie that is renewed as long as a session lives.

    ``note`` is written down with it: that a cookie with a check was given.
    """
    least = remember_for(settings)
    record = gate.record
    lasts = record is not None and record.expires is not None and record.expires - record.at >= least
    if lasts and record is not None and note.items() <= record.fields.items():
        return
    await Together(
        Patch(subject_key(gate.subject), note, match={"@epoch": gate.epoch}, ttl=least + SLACK),
        Put(FIRST, stamp={"@began": 0}, version=0),
    )


async def browser_shown(
    gate: Gate, given: str | None, ring: Callable[[], KeyRing], settings: SessionSettings
) -> str | None:
    """The browser whose remember-me cookie has come, "" if it names none; None if it is not good.

    ``given``: the value that accompanied the cookie of the gate's subject, None if none did.
    """
    if not gate.epoch:  # sessions in cookies, and no engine that would know of a sign-out
        return ""
    shown = None if given is None else proven(given, gate, ring())
    if shown is None and (given is not None or not await accepts_plain(gate)):
        return None
    if shown is not None and shown.browser:
        return shown.browser
    await extend(gate, settings, NOTHING)
    return ""


async def accepts_plain(gate: Gate) -> bool:
    """Is a cookie without a check, from before the move to Moored, as good as it was there?

    Not if its user has been signed out everywhere, or of any browser by somebody else: it may be
    that one's.  Nor if a cookie with a check was given to them since: a thief leaves the check out.
    And not when every browser must have dropped it: what is shown then was copied, and
    what revoked it may be forgotten.
    """
    if gate.record is not None and {"@ended", "@revoked", *CHECKED} & gate.record.fields.keys():
        return False
    _, first = await Together(Put(FIRST, stamp={"@began": 0}, version=0), Read(FIRST))
    return first is not None and first.at - integer(first.fields, "@began") < LONGEST_COOKIE


# --- In a request -----------------------------------------------------------------------------------


class Wanted(Struct, frozen=True):
    """A remember-me cookie that is to be given when the session has been stored.

    ``value`` is sent again as it has come, where there is one.
    """

    gate: Gate
    value: str = ""


async def gate_of(draft: Draft, subject: str) -> Gate:
    """The gate through which the subject signs in in this request, read now."""
    draft.gate = await draft.host.store.signing_in(subject)
    return draft.gate


async def has_ended(draft: Draft, subject: str) -> bool:
    """Is the session over by now in which the subject was already signed in when the request came?

    Whoever has read a gate asks after that: an epoch that ended the session may be the gate's,
    and what proves that epoch must not be given to a request that was under way then.
    """
    stored = draft.session
    if stored is None or stored.owner != subject or draft.login is not None:
        return False  # it is a sign-in, which is refused where the gate is not the latest
    return not isinstance(await draft.host.store.look(draft.cookie), Session)


async def forget_shown(draft: Draft, subject: str, given: str, ring: Callable[[], KeyRing]) -> None:
    """Let the browser forget a subject who signs out there, where no session is left that knows of it.

    ``given``: what accompanied the cookie of that subject.  A session that is there tells of its
    browser itself, when it ends.
    """
    shown, stored = shown_in(given), draft.session
    if shown is None or not shown.browser or (stored is not None and stored.browser == shown.browser):
        return
    gate = await gate_of(draft, subject)
    if gate.epoch and proven(given, gate, ring()) is not None:
        await forget_browser(subject, shown.browser, EndReason.SIGNED_OUT)


def value_after(draft: Draft, wanted: Wanted, signed_in_by: Gate | None, ring: KeyRing) -> str | None:
    """What accompanies the cookie that is wanted, now that the session is stored; None: send neither.

    ``signed_in_by``: the gate of the sign-in that this request was.
    """
    stored, gate = draft.session, wanted.gate
    if wanted.value or not gate.epoch:
        return wanted.value
    if stored is None or stored.subject != gate.subject:
        return None
    if signed_in_by is not None:
        return value_for(signed_in_by, stored.browser, ring)
    if stored.browser and not remembers(gate.record, stored.browser):
        return None  # the session is being ended, and its browser has forgotten already
    return value_for(gate, stored.browser, ring)
