"""Remember-me cookies: which are as good as their user's epoch says.

A cookie that says who somebody is, and is good for months, is given together with a keyed check
over that user and their epoch.  Signing them out everywhere gives them another epoch.
"""

from __future__ import annotations

import base64
from typing import Final

from moored.commands import Patch, Put, Read, Together, record_key
from moored.kinds.sessions.record import integer
from moored.kinds.sessions.settings import DAY
from moored.kinds.sessions.subjects import LONGEST_COOKIE, Gate, subject_key
from moored.seal import KeyRing

PURPOSE: Final = "remember cookie"
CHECK_BYTES: Final = 16
SLACK: Final = 30 * DAY  # so that not every sign-in has to prolong its user's record
FIRST: Final = record_key("adoption", "remember cookies")  # when one was first met here


def check_for(gate: Gate, ring: KeyRing) -> str:
    """What is given to the browser: that a cookie was made for this subject at this epoch."""
    return base64.urlsafe_b64encode(ring.check(PURPOSE, _said(gate), CHECK_BYTES)).decode().rstrip("=")


def proves(value: str, gate: Gate, ring: KeyRing) -> bool:
    """Was this given to the subject at the epoch that is theirs now?  In constant time."""
    check = check_in(value)
    return check is not None and ring.checks(PURPOSE, _said(gate), check)


def _said(gate: Gate) -> bytes:
    return gate.epoch + b"." + gate.subject.encode()  # an epoch is hexadecimal


def check_in(value: str) -> bytes | None:
    """The check in a cookie's value; None if it cannot be one."""
    try:
        check = base64.b64decode(value + "==", b"-_", validate=True)
    except ValueError:
        return None
    return check if len(check) == CHECK_BYTES else None


async def extend(gate: Gate, absolute: int) -> None:
    """Keep the epoch for longer than a browser keeps a cookie that is renewed as long as a session lives."""
    least = LONGEST_COOKIE + absolute + DAY
    record = gate.record
    if record is not None and record.expires is not None and record.expires - record.at >= least:
        return
    await Together(
        Patch(subject_key(gate.subject), match={"@epoch": gate.epoch}, ttl=least + SLACK),
        Put(FIRST, stamp={"@began": 0}, version=0),
    )


async def accepts_plain(gate: Gate) -> bool:
    """Is a cookie without an epoch, from before the move to Moored, as good as it was there?

    Not if its user has been signed out everywhere.  And not when every browser must have
    dropped it: what is shown then was copied, and what revoked it may be forgotten.
    """
    if gate.record is not None and "@ended" in gate.record.fields:
        return False
    _, first = await Together(Put(FIRST, stamp={"@began": 0}, version=0), Read(FIRST))
    return first is not None and first.at - integer(first.fields, "@began") < LONGEST_COOKIE
