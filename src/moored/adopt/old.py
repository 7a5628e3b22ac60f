"""The old library's sessions: rows in a store of its own, or cookies that hold them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from moored.adopt.place import CookiePlace, Place, Row, UnreadableRow
from moored.adopt.session import OldProof, OldSession, fields_of, old_proof, old_session, values_of
from moored.commands import Outside, Put, Read, record_key
from moored.errors import ConflictError
from moored.kinds.sessions.record import Fields, apply_change
from moored.kinds.sessions.saving import Edit
from moored.kinds.sessions.settings import SessionSettings
from moored.seal import KeyRing

log = logging.getLogger("moored")

TRIES = 20  # times that a row is read again because another worker has written it meanwhile


class Old(Protocol):
    """Sessions of the old library, by one interface.  What is ``async`` is a program."""

    name: str

    def proof(self, cookie: str) -> OldProof | None:
        """What a cookie proves by the old library's rules."""
        ...

    async def read(self, proof: OldProof) -> Row | None:
        """The session, ``moved`` if it was carried over; None if there is none that can be read."""
        ...

    async def mark(self, proof: OldProof, row: Row) -> bool:
        """Let nobody adopt it from now on; false if it is another than the one that was read."""
        ...

    async def make(self, fields: Fields) -> OldSession:
        """A new session, for workers of both sorts."""
        ...

    async def change(self, session: OldSession, edit: Edit) -> OldSession | None:
        """Store what ``edit`` makes of the fields as they are; None if the session is not there any more.

        Raises ConflictError if others kept winning.
        """
        ...

    async def remove(self, session: OldSession) -> None:
        """End it."""
        ...


class OldRows:
    """Rows in a store.  ``ring`` answers our keys."""

    def __init__(self, place: Place, settings: SessionSettings, ring: Callable[[], KeyRing]) -> None:
        self.name, self.place = place.name, place
        self._settings, self._ring = settings, ring

    def proof(self, cookie: str) -> OldProof | None:
        """What a cookie proves."""
        row = self.place.row_id(cookie)
        return None if row is None else old_proof(self.name, row, cookie, self._ring())

    async def read(self, proof: OldProof) -> Row | None:
        """The session in a row; that one cannot be read is told in the log."""
        try:
            return await self.look(proof)
        except UnreadableRow as error:
            log.warning("The session %s was not adopted from %s: %s", proof.selector, self.name, error)
            return None

    async def look(self, proof: OldProof) -> Row | None:
        """The session in a row.  Raises UnreadableRow."""
        row: Row | None = await Outside(partial(self.place.read, proof.row))
        return row

    async def mark(self, proof: OldProof, row: Row) -> bool:
        """Leave the mark in the row's place."""
        lasting = self._settings.lifetime
        done: bool = await Outside(partial(self.place.mark, proof.row, row.raw, lasting))
        return done

    async def make(self, fields: Fields) -> OldSession:
        """A new row."""
        row, values = self.place.new_id(), values_of(fields)
        done = await Outside(partial(self.place.replace, row, None, values, self._settings.lifetime))
        proof = old_proof(self.name, row, self.place.cookie_of(row), self._ring())
        return old_session(proof, Row(done.raw, values), self._settings)

    async def change(self, session: OldSession, edit: Edit) -> OldSession | None:
        """Compare and set, until nobody was faster."""
        fields, raw = session.fields, session.raw
        lasting = self._settings.lifetime
        for _ in range(TRIES):
            change = edit(fields)
            values = values_of(apply_change(fields, change))
            done = await Outside(partial(self.place.replace, session.proof.row, raw, values, lasting))
            if done is not None:
                mine = apply_change(session.fields, edit(session.fields))
                return replace(session, fields=mine, raw=done.raw)
            row = await self.read(session.proof)
            if row is None or row.moved:
                return None
            fields, raw = fields_of(row.values, self._settings.depth), row.raw
        raise ConflictError(
            "too many requests changed this session at once, and the old library's store lets only one of"
            " them through at a time. Nothing was changed; try again."
        )

    async def remove(self, session: OldSession) -> None:
        """Remove the row, whatever others have made of it."""
        raw: bytes | None = session.raw
        while raw is not None:
            if await Outside(partial(self.place.replace, session.proof.row, raw, None, 1)) is not None:
                return
            row = await self.read(session.proof)
            raw = None if row is None or row.moved else row.raw


class OldCookies:
    """Cookies that hold their sessions.  That one was carried over is a record of ours."""

    def __init__(self, place: CookiePlace, settings: SessionSettings, ring: Callable[[], KeyRing]) -> None:
        self.name, self.place = place.name, place
        self._settings, self._ring = settings, ring

    def proof(self, cookie: str) -> OldProof | None:
        """What a cookie proves."""
        return None if self.place.open(cookie) is None else old_proof(self.name, cookie, cookie, self._ring())

    async def read(self, proof: OldProof) -> Row | None:
        """The session in a cookie."""
        row = self.place.open(proof.cookie)
        return None if row is None else replace(row, moved=await Read(_marked(proof)) is not None)

    async def mark(self, proof: OldProof, row: Row) -> bool:
        """Remember the cookie for as long as it may be good."""
        await Put(_marked(proof), {}, version=0, ttl=self._settings.lifetime)
        return True

    async def make(self, fields: Fields) -> OldSession:
        """A new cookie."""
        values = values_of(fields)
        cookie = self.place.sign(values)
        proof = old_proof(self.name, cookie, cookie, self._ring())
        return old_session(proof, Row(cookie.encode(), values), self._settings)

    async def change(self, session: OldSession, edit: Edit) -> OldSession | None:
        """A new cookie in place of the old one."""
        return await self.make(apply_change(session.fields, edit(session.fields)))

    async def remove(self, session: OldSession) -> None:
        """Remember that this cookie is no good any more; of copies made before nobody knows."""
        await Put(_marked(session.proof), {}, version=0, ttl=self._settings.lifetime)


def _marked(proof: OldProof) -> str:
    return record_key("adopted", proof.selector)
