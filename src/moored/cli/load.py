"""The work that ``moored bench`` does: what requests do to their sessions, in records of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moored.codec import decode, encode
from moored.commands import Add, Drop, record_key
from moored.errors import GoneError
from moored.kinds.sessions.record import Credential, Session, session_key
from moored.kinds.sessions.saving import create, load, save
from moored.kinds.sessions.settings import SessionSettings
from moored.run import Program

MINUTE = 60_000  # milliseconds
SETTINGS = SessionSettings(idle=10 * MINUTE, absolute=10 * MINUTE)  # what is left over is gone soon
CART = {"book": 2, "pen": 1}

Work = Callable[[Credential], Program[Any]]


class Load:
    """Sessions and a counter that nobody else knows; ``name`` is the counter's."""

    def __init__(self, name: str) -> None:
        self._counter = record_key("counter", name)
        self._made: list[str] = []

    async def session(self) -> Credential:
        """A new session that nobody is signed in to, with a small cart."""
        saved = await create({"cart": encode(CART), "visits": encode(0)}, SETTINGS)
        assert saved.credential is not None
        self._made.append(saved.credential.selector)
        return saved.credential

    async def read(self, credential: Credential) -> Credential:
        """What a request does that only looks at its session."""
        await self._loaded(credential)
        return credential

    async def change(self, credential: Credential) -> Credential:
        """What a request does that changes its session."""
        session = await self._loaded(credential)
        visits = decode(session.fields[".visits"])
        await save(session, {"visits": encode(visits + 1)}, SETTINGS)
        return credential

    async def add(self, credential: Credential) -> Credential:
        """Add to the counter that all clients share."""
        await Add(self._counter, ttl=10 * MINUTE)
        return credential

    async def clean_up(self) -> None:
        """Remove all of it without a trace."""
        for key in (self._counter, *map(session_key, self._made)):
            await Drop(key)

    @staticmethod
    async def _loaded(credential: Credential) -> Session:
        session = await load(credential)
        if session is None:
            raise GoneError("somebody removed a session of this measurement.")
        return session
