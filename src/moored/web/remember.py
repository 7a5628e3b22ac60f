"""Remember-me cookies: which are as good as their user's record says.

A cookie that says who somebody is, and is good for months, is given together with a keyed check
over that user, their epoch, and the name of the browser that it was given to.  Signing them out
everywhere gives them another epoch; signing them out of that browser takes its name off their
list.  Where the session does not keep such a name the check is over what every revocation of one
of their sessions changes.
"""

from __future__ import annotations

import base64
from typing import Final

from msgspec import Struct

from moored.commands import Patch, Put, Read, Together, record_key
from moored.kinds.sessions.browsers import LONGEST_COOKIE, remember_for, remembers, revoked
from moored.kinds.sessions.gate import Gate
from moored.kinds.sessions.record import SELECTOR_BYTES, integer, selector_of
from moored.kinds.sessions.settings import DAY, SessionSettings
from moored.kinds.sessions.subjects import subject_key
from moored.seal import KeyRing

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
    return base64.urlsafe_b64encode(name + check).decode().rstrip("=")


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
        raw = base64.b64decode(value + "=" * (-len(value) % 4), b"-_", validate=True)
    except ValueError:
        return None
    name, check = raw[:-CHECK_BYTES], raw[-CHECK_BYTES:]
    if len(check) != CHECK_BYTES or len(name) not in (0, SELECTOR_BYTES):
        return None
    return Shown(selector_of(name), check)


async def extend(gate: Gate, settings: SessionSettings) -> None:
    """Keep the epoch for longer than a browser keeps a cookie that is renewed as long as a session lives."""
    least = remember_for(settings)
    record = gate.record
    if record is not None and record.expires is not None and record.expires - record.at >= least:
        return
    await Together(
        Patch(subject_key(gate.subject), match={"@epoch": gate.epoch}, ttl=least + SLACK),
        Put(FIRST, stamp={"@began": 0}, version=0),
    )


async def accepts_plain(gate: Gate) -> bool:
    """Is a cookie without a check, from before the move to Moored, as good as it was there?

    Not if its user has been signed out everywhere, or of any browser by somebody else: it may be
    that one's.  And not when every browser must have dropped it: what is shown then was copied, and
    what revoked it may be forgotten.
    """
    if gate.record is not None and ("@ended" in gate.record.fields or revoked(gate.record)):
        return False
    _, first = await Together(Put(FIRST, stamp={"@began": 0}, version=0), Read(FIRST))
    return first is not None and first.at - integer(first.fields, "@began") < LONGEST_COOKIE
