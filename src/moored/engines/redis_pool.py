"""Stacks of idle connections: the one used last is used next, so the others can grow old and go.

A connection whose exchange failed is closed, since its replies must not be read by the next;
and so are the idle ones that have not proved alive since.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from math import inf
from time import monotonic

from moored.engines.redis_connections import AsyncConnection, Connection
from moored.errors import Unavailable

FRESH = 1.0  # seconds for which an idle connection is believed to be open


class Stack:
    """The connections of this process's threads: at most ``limit``, opened by ``open_one``."""

    def __init__(self, open_one: Callable[[float], Connection], limit: int) -> None:
        self.pid: int = os.getpid()
        self._open_one, self._limit = open_one, limit
        self._idle: list[Connection] = []
        self._opened = 0
        self._waiting = 0
        self._closed = False
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)

    def take(self, ends: float) -> Connection:
        """A connection; waits for one until ``ends`` (monotonic).  Raises Unavailable."""
        while (idle := self._pop(ends)) is not None:
            if monotonic() - idle.used < FRESH or not idle.is_stale():
                return idle
            self.discard(idle)
        try:
            return self._open_one(ends)
        except BaseException:
            self._count_down(1)
            raise

    def give_back(self, connection: Connection) -> None:
        """For the next one."""
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                if self._waiting:
                    self._freed.notify()
                return
        self.discard(connection)

    def discard(self, connection: Connection) -> None:
        """Close one that was taken."""
        connection.close()
        self._count_down(1)

    def distrust(self, since: float = inf) -> None:
        """Close the idle ones that have not been used since then."""
        with self._lock:
            suspects = [idle for idle in self._idle if idle.used < since]
            self._idle = [idle for idle in self._idle if idle.used >= since]
        for suspect in suspects:
            suspect.close()
        self._count_down(len(suspects))

    def close(self) -> None:
        """Close the idle ones now, and each other one when it is given back."""
        self._closed = True
        self.distrust()

    def _pop(self, ends: float) -> Connection | None:
        """An idle one; None if one may be opened, which is counted already."""
        with self._lock:
            while not self._idle and self._opened >= self._limit:
                self._waiting += 1
                try:
                    freed = self._freed.wait(max(0.0, ends - monotonic()))
                finally:
                    self._waiting -= 1
                if not freed:
                    raise _all_in_use(self._limit)
            if self._idle:
                return self._idle.pop()
            self._opened += 1
            return None

    def _count_down(self, count: int) -> None:
        with self._lock:
            self._opened -= count
            self._freed.notify(count)


class AsyncStack:
    """The same for the tasks of one event loop."""

    def __init__(self, open_one: Callable[[float], Awaitable[AsyncConnection]], limit: int) -> None:
        self._open_one, self._limit = open_one, limit
        self._idle: list[AsyncConnection] = []
        self._opened = 0
        self._closed = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._guard: AsyncGenerator[None, None]

    async def take(self, ends: float) -> AsyncConnection:
        """A connection; waits for one until ``ends`` (monotonic).  Raises Unavailable."""
        while True:
            if self._idle:
                idle = self._idle.pop()
                if not idle.is_stale():
                    return idle
                self.discard(idle)
            elif self._opened < self._limit:
                self._opened += 1
                break
            else:
                await self._wait(ends)
        try:
            return await self._open_one(ends)
        except BaseException:
            self._opened -= 1
            self._wake()
            raise

    def give_back(self, connection: AsyncConnection) -> None:
        """For the next one."""
        if self._closed:
            self.discard(connection)
        else:
            self._idle.append(connection)
            if self._waiting:
                self._wake()

    def discard(self, connection: AsyncConnection) -> None:
        """Close one that was taken."""
        connection.close()
        self._opened -= 1
        self._wake()

    def distrust(self, since: float = inf) -> None:
        """Close the idle ones that have not been used since then."""
        suspects = [idle for idle in self._idle if idle.used < since]
        self._idle = [idle for idle in self._idle if idle.used >= since]
        for suspect in suspects:
            self.discard(suspect)

    async def close_with_loop(self, forget: Callable[[AsyncStack], object]) -> None:
        """Have it closed and forgotten when the running loop ends.

        A loop tells nobody that it ends, but it closes the asynchronous generators that were
        begun on it (``loop.shutdown_asyncgens``, which ``asyncio.run`` calls).
        """
        self._guard = self._until_closed(forget)
        await anext(self._guard)

    async def close(self) -> None:
        """Close the idle ones now, and each other one when it is given back."""
        await self._guard.aclose()

    async def _until_closed(self, forget: Callable[[AsyncStack], object]) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            forget(self)
            self._closed = True
            idle, self._idle = self._idle, []
            for connection in idle:
                await connection.aclose()

    async def _wait(self, ends: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(max(0.0, ends - monotonic())):
                await waiter
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            self._wake()  # this one may have been woken, and will not come
            if isinstance(error, TimeoutError):
                raise _all_in_use(self._limit) from None
            raise

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


def _all_in_use(limit: int) -> Unavailable:
    return Unavailable(
        f"all {limit} connections to Redis were in use for the whole deadline; nothing was sent. Allow more"
        " with ?max_connections=, or look for what keeps them."
    )
