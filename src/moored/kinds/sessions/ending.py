"""Ending sessions that are not one's own request's: all of a subject, or one and its browser's.

One step on the subject's record says what is to end, and takes away what could bring it back; then
the sessions are buried.
"""

from __future__ import annotations

import secrets

from moored.commands import Bury, Patch, Put, Read, Record, Refused, Written
from moored.kinds.sessions.browsers import LONGEST_COOKIE, browsers_of, remembers
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.record import TOMBSTONE, session_key, text
from moored.kinds.sessions.settings import DAY
from moored.kinds.sessions.subject_fields import browser_field, entry_field
from moored.kinds.sessions.subjects import (
    entries_of,
    finish,
    noted,
    read_subject,
    subject_key,
)


async def everywhere(subject: str, keep: str | None = None) -> None:
    """End every session of the subject but ``keep``, and refuse every login begun before.

    That they were ended is kept also where none is listed, and for as long as a browser keeps a
    cookie: sessions may be elsewhere still, in cookies or where another library kept them.
    """
    while True:
        record, ttl = await read_subject(subject), LONGEST_COOKIE + DAY
        if record is None:
            epoch = secrets.token_hex(8).encode()
            made = await Put(subject_key(subject), {"@epoch": epoch}, {"@ended": 0}, version=0, ttl=ttl)
            if isinstance(made, Written):
                return None
            continue
        entries = entries_of(record)
        ending = {name: EndReason.EVERYWHERE for name in entries if name != keep}
        stays = entries[keep].browser if keep in entries else ""
        forget = [browser_field(name) for name in browsers_of(record) if name != stays]
        done = await Patch(
            subject_key(subject),
            {"@epoch": secrets.token_hex(8).encode(), **noted(ending)},
            # Removing comes first, which succeeds also where an engine's memory is at its limit.
            ("@epoch", "@revoked", *map(entry_field, ending), *forget),
            {"@ended": 0},
            ttl=max(ttl, (record.expires or 0) - record.at),
            version=record.version,
        )
        if isinstance(done, Written):
            return await finish(subject, ending)


async def end(subject: str, selector: str, why: EndReason = EndReason.REVOKED) -> bool:
    """End one session of the subject, and let its browser forget them; false if it is not alive and theirs.

    With it end all sessions that were begun with that browser's cookie.  The browser of a session
    that has expired forgets the subject all the same, unless it has had a later one.
    """
    while True:
        record = await read_subject(subject)
        if record is None:
            return (
                await Bury(session_key(selector), {"@owner": subject.encode()}, ttl=TOMBSTONE, note=why.note)
                is True
            )
        entries, browsers = entries_of(record), _of_session(record, selector)
        there = await Read(session_key(selector), ("@owner",))
        alive = there is not None and there.fields.get("@owner") == subject.encode()
        if not (alive or browsers or selector in entries):
            return False
        ending = {
            name: why for name, entry in entries.items() if entry.browser in browsers or name == selector
        }
        if alive:
            ending[selector] = why
        done = await Patch(
            subject_key(subject),
            noted(ending),
            # Removing comes first, as in ``everywhere``.
            ("@revoked", *map(entry_field, ending), *map(browser_field, sorted(browsers))),
            {"@revoked": 0},
            # Cookies that name no browser, which are refused from now on, are kept for so long.
            ttl=max(LONGEST_COOKIE + DAY, (record.expires or 0) - record.at),
            version=record.version,
        )
        if isinstance(done, Written):
            await finish(subject, ending)
            return alive


async def end_any(selector: str) -> bool:
    """End a session whoever owns it, for operators; false if it was not alive."""
    why = EndReason.BY_OPERATOR
    while True:
        record = await Read(session_key(selector), ("@owner",))
        owner = text(record.fields.get("@owner")) if record else None
        if owner is not None:
            return await end(owner, selector, why)
        ended = await Bury(session_key(selector), {"@owner": None}, ttl=TOMBSTONE, note=why.note)
        if not isinstance(ended, Refused):
            return ended


async def forget(subject: str, browser: str, but: str, why: EndReason) -> None:
    """Let a browser forget the subject, and end every session begun with its cookie ``but`` one."""
    while True:
        record = await read_subject(subject)
        browsers = set[str]() if record is None else {browser, *_of_session(record, but)}
        if record is None or not any([remembers(record, name) for name in browsers]):
            return None
        ending = {n: why for n, entry in entries_of(record).items() if entry.browser in browsers and n != but}
        done = await Patch(
            subject_key(subject),
            noted(ending),
            (*map(entry_field, ending), *map(browser_field, sorted(browsers))),
            version=record.version,
        )
        if isinstance(done, Written):
            return await finish(subject, ending)


def _of_session(record: Record, selector: str) -> set[str]:
    """The browsers that a session was the last one of.

    That is one at most, but where two requests signed in to it at once, each for a browser of its own.
    """
    browsers = {name for name, browser in browsers_of(record).items() if browser.selector == selector}
    entry = entries_of(record).get(selector)
    return browsers | {entry.browser} if entry is not None and entry.browser else browsers
