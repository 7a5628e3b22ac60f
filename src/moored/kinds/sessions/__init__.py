"""Sessions: one record for each browser, one small record for each subject.

The session's own record decides whether it lives: one read, one key.  ``record`` holds what
a session is made of, ``saving`` how it is read and written, ``signing`` who it belongs to,
``subjects`` the list of somebody's sessions, ``gate`` the way to new ones, ``browsers`` where they are
remembered, ``subject_fields`` what a list is made of, ``ending`` how others end sessions and
``end_reason`` why.  Every program here is made of single-key steps; what may happen between two of
them is played through in ``tests/simulation``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Final
from uuid import UUID

from msgspec import Struct

from moored.commands import Read, Record, Scan
from moored.kinds.sessions.ending import end, end_any, everywhere
from moored.kinds.sessions.record import as_datetime, bytes_of, integer, session_key, text
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.subjects import listed, subject_of
from moored.operation import Handle, Mode, operation

__all__ = ["ANYBODY", "EndedSession", "SessionInfo", "SessionSettings", "Sessions"]


class Anybody(Enum):
    """The type of ``ANYBODY``: whoever owns a session, for operators."""

    ANYBODY = "anybody"


ANYBODY: Final = Anybody.ANYBODY


class SessionInfo(Struct, frozen=True):
    """A live session as its owner or an operator sees it; ``selector`` is its public name.

    ``size`` is in bytes, and None in lists, which do not read the sessions' data.
    """

    selector: str
    subject: str | None
    created: datetime
    last_seen: datetime
    expires: datetime | None
    signed_in: datetime | None = None
    device: str = ""
    address: str = ""
    size: int | None = None


class EndedSession(Struct, frozen=True):
    """An ended session, for as long as it is remembered: why it ended, and when."""

    selector: str
    reason: str
    ended: datetime


class Sessions(Handle[Mode]):
    """The sessions of all subjects.  None of these calls needs, or shows, a secret."""

    __slots__ = ()

    @operation
    async def of(self, subject: str | int | UUID) -> list[SessionInfo]:
        """The live sessions of a subject, the one used last first."""
        found = [
            _info(selector, record, entry.device, entry.address)
            for selector, (entry, record) in (await listed(subject_of(subject))).items()
        ]
        return sorted(found, key=lambda info: info.last_seen, reverse=True)

    @operation
    async def show(self, selector: str) -> SessionInfo | EndedSession | None:
        """One session: alive, ended lately and why, or None if nothing is known of it."""
        record = await Read(session_key(selector))
        if record is None:
            return None
        if record.dead:
            reason = text(record.fields.get("@note")) or "ended"
            return EndedSession(selector, reason, datetime.fromtimestamp(record.version / 1_000_000, UTC))
        return _info(selector, record, size=bytes_of(record.fields))

    @operation
    async def selectors(self, cursor: str = "", limit: int = 100) -> tuple[list[str], str]:
        """Some of all sessions' selectors, and the cursor to go on with; "" after the last.

        Ended ones are among them while they are remembered.
        """
        page = await Scan("session:", cursor, limit)
        return [key.partition(":")[2] for key in page.keys], page.cursor

    @operation
    async def revoke(self, selector: str, *, subject: str | int | UUID | Anybody = ANYBODY) -> bool:
        """End one session, with ``subject`` only if it is theirs; false if it was not alive.

        Raises MisuseError for the subject None: nobody who is not signed in owns a session.

        After the acknowledgement no request in flight can bring it back, nor can a remember-me
        cookie of its browser; other sessions that such a cookie began end with it.
        """
        return await (end_any(selector) if subject is ANYBODY else end(subject_of(subject), selector))

    @operation
    async def revoke_subject(self, subject: str | int | UUID, *, keep: str | None = None) -> None:
        """Log the subject out everywhere, but for the session ``keep``.

        After the acknowledgement none of the others is alive, and every login that had begun
        before is refused or ended.
        """
        await everywhere(subject_of(subject), keep)


def _info(
    selector: str, record: Record, device: str = "", address: str = "", size: int | None = None
) -> SessionInfo:
    fields = record.fields
    return SessionInfo(
        selector,
        text(fields.get("@subject")),
        as_datetime(integer(fields, "@created")),
        as_datetime(integer(fields, "@seen")),
        None if record.expires is None else as_datetime(record.expires),
        as_datetime(integer(fields, "@changed")) if "@subject" in fields else None,
        device,
        address,
        size,
    )
