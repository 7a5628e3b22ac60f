"""Connections: a packet out, so many replies in, by a deadline."""

from __future__ import annotations

import asyncio
import select
import socket
from contextlib import suppress
from time import monotonic
from typing import Any

from moored.engines.redis_resp import MISSING, new_reader

PIECE = 1 << 16  # bytes read at once; small pieces cost a large session a call each
AT_LEAST = 0.001  # seconds given to a socket: 0 would mean not to wait at all


class Connection:
    """A connection for blocking callers, used by one of them at a time.

    ``used`` is when it last proved alive, by the monotonic clock.
    """

    __slots__ = ("_buffer", "_reader", "_socket", "used")

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._reader = new_reader()
        self._buffer = bytearray(PIECE)
        self.used: float = monotonic()

    def exchange(self, packet: bytes, count: int, ends: float) -> list[Any]:
        """Send a packet and return its ``count`` replies, by ``ends`` on the monotonic clock.

        Raises OSError, TimeoutError among others; then the connection is of no more use.
        """
        self._socket.settimeout(max(ends - monotonic(), AT_LEAST))
        self._socket.sendall(packet)
        replies: list[Any] = []
        while True:
            size = self._socket.recv_into(self._buffer)
            if not size:
                raise ConnectionResetError("the server closed the connection")
            self._reader.feed(self._buffer, 0, size)
            while (reply := self._reader.gets()) is not MISSING:
                replies.append(reply)
            if len(replies) >= count:
                self.used = monotonic()
                return replies
            left = ends - monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)

    def is_stale(self) -> bool:
        """Has the server closed it, or sent what nobody asked for?"""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close it, also for processes that have inherited it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __del__(self) -> None:
        # Not for the others: in a process that was forked it is the parent's.
        self._socket.close()


class AsyncConnection:
    """A connection for one event loop, used by one task at a time."""

    __slots__ = ("_reader", "_stream", "_writer", "used")

    def __init__(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._stream, self._writer = stream, writer
        self._reader = new_reader()
        self.used: float = monotonic()

    async def exchange(self, packet: bytes, count: int, ends: float) -> list[Any]:
        """As ``Connection.exchange``; of no more use either once it was cancelled."""
        async with asyncio.timeout(max(ends - monotonic(), 0)):
            self._writer.write(packet)
            replies: list[Any] = []
            while len(replies) < count:
                data = await self._stream.read(PIECE)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                self._reader.feed(data, 0, len(data))
                while (reply := self._reader.gets()) is not MISSING:
                    replies.append(reply)
        self.used = monotonic()
        return replies

    def is_stale(self) -> bool:
        """Has the server closed it?"""
        return self._stream.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """Close it at once."""
        self._writer.transport.abort()

    async def aclose(self) -> None:
        """Close it and wait until it is closed."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
