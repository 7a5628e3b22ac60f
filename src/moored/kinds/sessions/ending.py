"""Ending sessions that are not one's own request's: all of a subject, or one and its browser's.

One step on the subject's record says what is to end, and takes away what could bring it back; then
the sessions are buried.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct

from moored.commands import NOTHING, Bury, Patch, Put, Read, Record, Refused, Written
from moored.kinds.sessions.browsers import CHECKED, LONGEST_COOKIE, browsers_of, remembers
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.record import TOMBSTONE, Session, session_key, text
from moored.kinds.sessions.settings import DAY
from moored.kinds.sessions.subject_fields import browser_field, entry_field
from moored.kinds.sessions.subjects import (
    entries_of,
    finish,
    kept_for,
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
        record, least = await read_subject(subject), LONGEST_COOKIE + DAY
        epoch = {"@epoch": secrets.token_hex(8).encode()}
        if record is None:
            made = await Put(subject_key(subject), epoch, {"@ended": 0}, version=0, ttl=least)
            if isinstance(made, Written):
                return
            continue
        entries = entries_of(record)
        ending = {name: EndReason.EVERYWHERE for name in entries if name != keep}
        stays = entries[keep].browser if keep in entries else ""
        forget = {name for name in browsers_of(record) if name != stays}
        step = Step(ending, forget, ("@epoch", "@revoked"), epoch, {"@ended": 0}, least)
        if await _taken(subject, record, step):
            return


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
        # Cookies that name no browser, which are refused from now on, are kept for so long.
        step = Step(ending, browsers, ("@revoked",), stamp={"@revoked": 0}, least=LONGEST_COOKIE + DAY)
        if await _taken(subject, record, step):
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


async def forget_browser_of(session: Session, why: EndReason) -> None:
    """Let a session's browser forget who is signed in there, before the session ends.

    With that end all other sessions that were begun with the browser's cookie.
    """
    if session.owner is not None and session.browser:
        await forget_browser(session.owner, session.browser, why, session.selector)


async def forget_browser(subject: str, browser: str, why: EndReason, but: str = "") -> None:
    """Let a browser forget the subject, and end all sessions that its cookie began, but for one.

    From then on no cookie without a check is good: it may be what is left of this browser's.
    """
    while True:
        record = await read_subject(subject)
        if record is None:
            return
        browsers = {browser, *(_of_session(record, but) if but else ())}
        if not any([remembers(record, name) for name in browsers]):
            return
        entries = entries_of(record).items()
        ending = {n: why for n, entry in entries if entry.browser in browsers and n != but}
        if await _taken(subject, record, Step(ending, browsers, set=CHECKED)):
            return


class Step(Struct, frozen=True):
    """What is to be done to a subject's record: sessions end, browsers forget, and further fields change.

    ``least``: milliseconds for which the record is kept; None: for as long as it is anyhow.
    """

    ending: Mapping[str, EndReason]
    forget: AbstractSet[str]
    unset: tuple[str, ...] = ()
    set: Mapping[str, bytes] = NOTHING
    stamp: Mapping[str, int] = NOTHING
    least: int | None = None


async def _taken(subject: str, record: Record, step: Step) -> bool:
    """Take the step and end its sessions; false if others have written since the record was read."""
    done = await Patch(
        subject_key(subject),
        {**step.set, **noted(step.ending)},
        # Removing comes first, which succeeds also where an engine's memory is at its limit.
        (*step.unset, *map(entry_field, step.ending), *map(browser_field, sorted(step.forget))),
        step.stamp,
        ttl=None if step.least is None else kept_for(record, step.least),
        version=record.version,
    )
    if not isinstance(done, Written):
        return False
    await finish(subject, step.ending)
    return True


def _of_session(record: Record, selector: str) -> set[str]:
    """The browsers that a session was the last one of.

    That is one at most, but where two requests signed in to it at once, each for a browser of its own.
    """
    browsers = {name for name, browser in browsers_of(record).items() if browser.selector == selector}
    entry = entries_of(record).get(selector)
    return browsers | {entry.browser} if entry is not None and entry.browser else browsers
