"""The old library's sessions: rows in a store of its own, or cookies that hold them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from msgspec.structs import replace

from moored.adopt.notes import Notes, with_notes
from moored.adopt.place import CookiePlace, Place, Row, UnreadableRow
from moored.adopt.session import OldProof, OldSession, changed, fields_of, old_proof, old_session
from moored.commands import Outside, Put, Read, record_key
from moored.errors import ConflictError
from moored.kinds.sessions.record import apply_change
from moored.kinds.sessions.saving import Edit
from moored.kinds.sessions.settings import DAY, SessionSettings
from moored.seal import KeyRing
from moored.web.loading import FAR_TOO_LARGE

log: logging.Logger = logging.getLogger("moored")

TRIES = 20  # times that a row is read again because another worker has written it meanwhile


class Old(Protocol):
    """Sessions of the old library, by one interface.  What is ``async`` is a program."""

    name: str

    def proof(self, cookie: str) -> OldProof | None:
        """What a cookie proves by the old library's rules."""
        ...

    def session(self, proof: OldProof, row: Row) -> OldSession:
        """The session in a row that was read."""
        ...

    async def read(self, proof: OldProof) -> Row | None:
        """The session, ``moved`` if it was carried over; None if there is none that can be read."""
        ...

    async def mark(self, proof: OldProof, row: Row) -> bool:
        """Let nobody adopt it from now on; false if it is another than the one that was read."""
        ...

    async def make(self, values: Mapping[Any, Any], notes: Notes) -> OldSession:
        """A new session, for workers of both sorts."""
        ...

    async def change(self, session: OldSession, edit: Edit) -> OldSession | None:
        """Store what ``edit`` makes of the fields as they are; None if the session is not there any more.

        Raises ConflictError if others kept winning.
        """
        ...

    async def remove(self, session: OldSession) -> Row | None:
        """End it; what there was of it at last."""
        ...


class OldRows:
    """Rows in a store.  ``ring`` answers our keys."""

    def __init__(self, place: Place, settings: SessionSettings, ring: Callable[[], KeyRing]) -> None:
        self.name: str = place.name
        self.place: Place = place
        self._settings, self._ring = settings, ring

    def proof(self, cookie: str) -> OldProof | None:
        """What a cookie proves."""
        row = self.place.row_id(cookie)
        return None if row is None else old_proof(self.name, row, cookie, self._ring())

    def session(self, proof: OldProof, row: Row) -> OldSession:
        """The session in a row."""
        return old_session(proof, row, self._settings, self._ring())

    async def read(self, proof: OldProof) -> Row | None:
        """The session in a row; that one cannot be read is told in the log."""
        try:
            return await self.look(proof)
        except UnreadableRow as error:
            log.warning("The session %s was not adopted from %s: %s", proof.selector, self.name, error)
            return None

    async def look(self, proof: OldProof) -> Row | None:
        """The session in a row.  Raises UnreadableRow."""
        row: Row | None = await self._ask(self.place.read, proof.row)
        if row is not None and len(row.raw) > FAR_TOO_LARGE * self._settings.largest:
            raise UnreadableRow(f"it has {len(row.raw)} bytes, far more than {self._settings.largest}.")
        return row

    async def mark(self, proof: OldProof, row: Row) -> bool:
        """Leave the mark in the row's place."""
        done: bool = await self._ask(self.place.mark, proof.row, row.raw, self._settings.lifetime)
        return done

    async def make(self, values: Mapping[Any, Any], notes: Notes) -> OldSession:
        """A new row."""
        row, values = self.place.new_id(), with_notes(values, notes, self._ring())
        done = await self._ask(self.place.replace, row, None, values, self._settings.lifetime)
        proof = old_proof(self.name, row, self.place.cookie_of(row), self._ring())
        return self.session(proof, Row(done.raw, values))

    async def change(self, session: OldSession, edit: Edit) -> OldSession | None:
        """Compare and set, until nobody was faster."""
        row: Row | None = session.row
        for _ in range(TRIES):
            if row is None or row.moved:
                return None
            values = changed(row.values, edit(fields_of(row.values, self._settings.depth)))
            ask = self.place.replace, session.proof.row, row.raw, values, self._settings.lifetime
            done = await self._ask(*ask)
            if done is not None:
                mine = apply_change(session.fields, edit(session.fields))
                return replace(session, fields=mine, row=Row(done.raw, values))
            row = await self.read(session.proof)
        raise ConflictError(
            "too many requests changed this session at once, and the old library's store lets only one of"
            " them through at a time. Nothing was changed; try again."
        )

    async def remove(self, session: OldSession) -> Row | None:
        """Remove the row, whatever others have made of it."""
        row: Row | None = session.row
        while row is not None and not row.moved:
            if await self._ask(self.place.replace, session.proof.row, row.raw, None, 1) is not None:
                return row
            row = await self.read(session.proof)
        return None

    async def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await Outside(partial(call, *arguments))


class OldCookies:
    """Cookies that hold their sessions.  That one was carried over is a record of ours."""

    def __init__(self, place: CookiePlace, settings: SessionSettings, ring: Callable[[], KeyRing]) -> None:
        self.name: str = place.name
        self.place: CookiePlace = place
        self._settings, self._ring = settings, ring

    def proof(self, cookie: str) -> OldProof | None:
        """What a cookie proves."""
        return None if self.place.open(cookie) is None else old_proof(self.name, cookie, cookie, self._ring())

    def session(self, proof: OldProof, row: Row) -> OldSession:
        """The session in a cookie."""
        return old_session(proof, row, self._settings, self._ring())

    async def read(self, proof: OldProof) -> Row | None:
        """The session in a cookie."""
        row = self.place.open(proof.cookie)
        return None if row is None else replace(row, moved=await Read(_marked(proof)) is not None)

    async def mark(self, proof: OldProof, row: Row) -> bool:
        """Remember the cookie for as long as it may be good, by any clock of ours."""
        left = 0 if row.expires is None else row.expires - int(time.time() * 1000)
        await Put(_marked(proof), {}, version=0, ttl=max(left, self._settings.lifetime) + DAY)
        return True

    async def make(self, values: Mapping[Any, Any], notes: Notes) -> OldSession:
        """A new cookie."""
        values = with_notes(values, notes, self._ring())
        cookie = self.place.sign(values)
        row = self.place.open(cookie) or Row(cookie.encode(), values)
        return self.session(old_proof(self.name, cookie, cookie, self._ring()), row)

    async def change(self, session: OldSession, edit: Edit) -> OldSession | None:
        """A new cookie in place of the old one, unless that was ended meanwhile."""
        if await Read(_marked(session.proof)) is not None:
            return None
        values = changed(session.row.values, edit(session.fields))
        return await self.make(values, session.notes)

    async def remove(self, session: OldSession) -> Row | None:
        """Remember that this cookie is no good any more; of copies made before nobody knows."""
        await self.mark(session.proof, session.row)
        return None


def _marked(proof: OldProof) -> str:
    return record_key("adopted", proof.selector)
