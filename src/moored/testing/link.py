"""One client's connection through ``FaultProxy``, and the connection to the server behind it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from moored.testing.resp import Framing, command_name

PIECE = 1 << 20
"""Bytes read at once, at most."""

TICK = 0.02
"""Seconds between the pieces in which a limited rate lets bytes pass."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent without waiting for an answer in between."""

    data: bytes
    replies: int
    """How many replies are its answer."""
    names: frozenset[bytes]
    """The names of its Redis commands, in capitals."""


class Link:
    """Passes requests on when told to, and the server's answers at once unless they are held.

    Belongs to an event loop.  Whoever makes one calls ``close_client`` and ``close_server``.
    """

    def __init__(self, client: Streams, server: Streams, framing: Literal["resp", "stream"]) -> None:
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._commands = Framing() if framing == "resp" else None
        self._replies = Framing() if framing == "resp" else None
        self._expected = self._arrived = 0  # replies
        self._held: bytearray | None = None
        self._ended = False
        self._news = asyncio.Event()
        for writer in (self._to_client, self._to_server):
            writer.transport.set_write_buffer_limits(0)  # so that drain() means: the kernel has it
        self._pump_task = asyncio.create_task(self._pump())

    async def next_request(self) -> Request | None:
        """The client's next request; None when it has closed the connection."""
        data = bytearray()
        starts = [0]
        while piece := await self._from_client.read(PIECE):
            if self._commands is None:
                return Request(piece, 1, frozenset())
            starts += [len(data) + end for end in self._commands.feed(piece)]
            data += piece
            if self._commands.complete and len(starts) > 1:
                names = frozenset(command_name(data, start) for start in starts[:-1])
                return Request(bytes(data), len(starts) - 1, names)
        return None

    @property
    def ended(self) -> bool:
        """Whether no more answers can come, because the server or the client is gone."""
        return self._ended

    async def deliver(self, request: Request, rate: float = 0.0) -> None:
        """Give the server a request, at ``rate`` bytes a second; returns when it has left this process."""
        if self._replies is None:
            self._expected = self._arrived  # answers of a mere stream cannot be told apart
        self._expected += request.replies
        await _send(self._to_server, bytearray(request.data), rate)

    async def answered(self) -> bool:
        """Wait for the full answer to all that was written; False when the server will give none."""
        while self._arrived < self._expected and not self._ended:
            self._news.clear()
            await self._news.wait()
        return self._arrived >= self._expected

    @property
    def holds(self) -> bool:
        """Whether answers are kept from the client."""
        return self._held is not None

    async def hold(self) -> None:
        """Keep what the server says from now on, once earlier requests have been answered."""
        if self._replies is not None:
            await self.answered()
        self._held = bytearray()

    def swallow(self) -> None:
        """Keep what the server says from now on, for good."""
        self._held = bytearray()

    async def release(self, rate: float = 0.0) -> None:
        """Let the client have what was kept, at ``rate`` bytes a second, and all that follows."""
        while self._held:
            kept, self._held = self._held, bytearray()
            await _send(self._to_client, kept, rate)
        self._held = None
        if self._ended:
            self.close_client()

    async def release_only(self, size: int) -> None:
        """Let the client have that many bytes of what was kept, and keep the rest."""
        await _send(self._to_client, (self._held or bytearray())[:size])

    def close_client(self) -> None:
        """Close the client's connection."""
        close(self._to_client)

    def close_server(self) -> None:
        """Close the connection to the server."""
        close(self._to_server)

    async def _pump(self) -> None:
        try:
            while piece := await self._from_server.read(PIECE):
                self._arrived += 1 if self._replies is None else len(self._replies.feed(piece))
                self._news.set()
                if self._held is None:
                    await _send(self._to_client, bytearray(piece))
                else:
                    self._held += piece
        except OSError:
            pass  # the server was killed, or the client is gone
        finally:
            self._ended = True
            self._news.set()
            if self._held is None:
                self.close_client()


async def _send(writer: asyncio.StreamWriter, data: bytearray, rate: float = 0.0) -> None:
    while rate and data:
        size = max(1, int(rate * TICK))
        await _send(writer, data[:size])
        del data[:size]
        await asyncio.sleep(size / rate)
    if data:
        writer.write(data)
        await writer.drain()


def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, even where a forked process has inherited its socket."""
    # close(2) alone would leave the connection open until that process closes it too.
    with suppress(OSError):
        writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    writer.close()
