"""The browsers in which a subject is remembered: a list in their record, which decides.

A *remember me* cookie names its browser, and is good as long as that name is on the list: a field
of the subject's record (``subject_fields``).  Sessions that are begun with the cookie keep the name in
``@browser``, and on their own list, so that with one of them the browser is forgotten, and all of
them end.  Nothing has to be kept of browsers that are forgotten.

Cookies that name no browser are good until the first of their subject's sessions is revoked,
which ``@revoked`` tells: nobody knows in which browser they are.  Those without any check, from
before the move to Moored, are good until one with a check has been given, which ``@checked``
tells: they may be what a thief has left of it.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from moored.commands import Record
from moored.errors import CorruptRecord
from moored.kinds.sessions.settings import DAY, SessionSettings
from moored.kinds.sessions.subject_fields import FieldKind, browser_field, fields_of

CHECKED = {"@checked": b"1"}
LONGEST_COOKIE = 400 * DAY  # no browser keeps one for longer (RFC 6265bis, section 5.5)


class Browser(Struct, frozen=True, array_like=True):
    """A browser on the list: when somebody last signed in there (milliseconds), and to which session."""

    used: int
    selector: str


_decode = msgspec.msgpack.Decoder(Browser).decode
_encode = msgspec.msgpack.Encoder().encode


def browsers_of(record: Record) -> dict[str, Browser]:
    """The browsers on the list, by name.  Raises CorruptRecord."""
    return {name: browser_in(value) for name, value in fields_of(record, FieldKind.BROWSER)}


def browser_in(value: bytes) -> Browser:
    """The browser that a field holds.  Raises CorruptRecord."""
    try:
        return _decode(value)
    except msgspec.DecodeError:
        raise CorruptRecord(
            "the list of browsers that remember somebody is damaged, or was not written by Moored."
        ) from None


def remembers(record: Record | None, browser: str) -> bool:
    """Is the browser on the list?"""
    return record is not None and browser_field(browser) in record.fields


def revoked(record: Record | None) -> bytes:
    """What changes whenever one of the subject's sessions is revoked."""
    return b"" if record is None else record.fields.get("@revoked", b"")


def remember_for(settings: SessionSettings) -> int:
    """Milliseconds for which a browser is on the list after a sign-in there.

    It is longer than a browser keeps a cookie that is renewed as long as a session lives.
    """
    return LONGEST_COOKIE + settings.absolute + DAY


def put_on_list(
    record: Record, browser: str, selector: str, settings: SessionSettings
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """What to set and to remove in the record for a sign-in in a browser; nothing if that is "".

    Over the maximum those go that were used longest ago, which ``settings.each`` bounds as it does
    sessions: they are asked for the password again.
    """
    if not browser:
        return {}, ()
    known = browsers_of(record)
    others = {name: there.used for name, there in known.items() if name != browser}
    oldest = sorted(others, key=lambda name: others[name])
    over = max(0, len(others) + 1 - settings.each)
    until = record.at - remember_for(settings)
    gone = [name for at, name in enumerate(oldest) if at < over or others[name] < until]
    # Later than every other, also within one millisecond: it tells which was used longest ago.
    entry = Browser(max([record.at, *[used + 1 for used in others.values()]]), selector)
    return {browser_field(browser): _encode(entry)}, tuple([browser_field(name) for name in gone])
