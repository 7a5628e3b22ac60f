"""The Redis engine: each mutating command is one script on one key, a step is one packet.

``Read`` is no script (that would cost twenty times as much) but HGETALL or HMGET, with TIME
in the same packet.  Scripts are loaded when the server turns out not to have them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, TypeVar

import redis

from moored.commands import Op, Step
from moored.engines.redis_connections import Connection
from moored.engines.redis_connector import Connector, Way
from moored.engines.redis_dialogue import Dialogue, Talk, changes
from moored.engines.redis_pool import AsyncStack, Stack
from moored.engines.redis_replies import moved_away
from moored.errors import MooredError, OutcomeUnknown, Unavailable
from moored.spelling import one_of
from moored.url import Url, whole

T = TypeVar("T")

PREFIX = "moored:"
CONNECTIONS = 50


def _positive(text: str) -> int:
    value = whole(text)
    if not value:
        raise ValueError("a whole number, 1 or more")
    return value


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError("the path of a file that exists")
    return text


def _switch(text: str) -> bool:
    return one_of("true", "false")(text) == "true"


class RedisEngine:
    """Keeps records in Redis, each a hash under ``prefix`` and its key.

    ``wait``: that many replicas must confirm a change before it is acknowledged.
    ``evicting``: allow a server that may evict records.  ``max_connections`` bounds the
    threads of a process together, and each event loop.  ``clock`` (microseconds since 1970)
    takes the place of the server's, for tests.
    """

    name: ClassVar[str] = "redis"
    traits: ClassVar[frozenset[str]] = frozenset({"durable", "server_clock", "scans"})
    options: ClassVar[dict[str, Callable[[str], Any]]] = {
        "db": whole,
        "username": str,
        "password": str,
        "protocol": lambda text: int(one_of("2", "3")(text)),
        "max_connections": _positive,
        "prefix": str,
        "wait": whole,
        "evicting": one_of("refuse", "allow"),
        "ssl_ca_certs": _file,
        "ssl_certfile": _file,
        "ssl_keyfile": _file,
        "ssl_cert_reqs": one_of("required", "optional", "none"),
        "ssl_check_hostname": _switch,
    }

    def __init__(
        self,
        connector: Connector,
        *,
        prefix: str = PREFIX,
        wait: int = 0,
        evicting: bool = False,
        max_connections: int = CONNECTIONS,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._connector, self._limit = connector, max_connections
        self._dialogue = Dialogue(connector.place, prefix, wait, clock)
        self._ask_policy = not evicting
        self.time: Callable[[], int | None] = self._dialogue.time
        self._stack = Stack(connector.open, max_connections)
        # Those of a parent process stay here when it forks: they are of no use, but closing them would
        # meddle with the loop there.
        self._stacks: dict[asyncio.AbstractEventLoop, AsyncStack] = {}

    @classmethod
    def from_url(cls, url: Url, clock: Callable[[], int] | None = None) -> RedisEngine:
        """``redis://host:6379/0``, ``rediss:`` for TLS, or ``unix:///path?db=0``."""
        options = url.options
        return cls(
            Connector.from_url(url),
            prefix=options.get("prefix", PREFIX),
            wait=options.get("wait", 0),
            evicting=options.get("evicting") == "allow",
            max_connections=options.get("max_connections", CONNECTIONS),
            clock=clock,
        )

    @classmethod
    def from_client(
        cls, client: redis.Redis, *, prefix: str = PREFIX, wait: int = 0, evicting: bool = False
    ) -> RedisEngine:
        """Connects as ``client`` does, on connections of its own; the client is left as it is."""
        limit = min(client.connection_pool.max_connections, CONNECTIONS)
        return cls(
            Connector.from_client(client), prefix=prefix, wait=wait, evicting=evicting, max_connections=limit
        )

    @property
    def way(self) -> Way:
        """How the server is reached."""
        return self._connector.way

    def own_connection(self, timeout: float) -> Connection:
        """A connection of the caller's, who closes it.  ``timeout`` is in seconds.

        Raises Unavailable, ConfigurationError.
        """
        return self._connector.open(monotonic() + timeout)

    # --- The engine's protocol ----------------------------------------------------------------

    def connect(self, timeout: float) -> None:
        """Reach the server and learn its clock; the first time, refuse one that evicts records."""
        self._carry_out(self._dialogue.greet(self._ask_policy), (), timeout)
        self._ask_policy = False

    async def aconnect(self, timeout: float) -> None:
        """The same on an event loop."""
        await self._acarry_out(self._dialogue.greet(self._ask_policy), (), timeout)
        self._ask_policy = False

    def execute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """Carry a step out in one packet."""
        return self._carry_out(self._dialogue.carry_out(step, ops, timeout), step, timeout)

    async def aexecute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """The same on an event loop."""
        return await self._acarry_out(self._dialogue.carry_out(step, ops, timeout), step, timeout)

    def remembered(self, key: str, timeout: float) -> int:
        """How many operations the record of that key remembers."""
        return self._carry_out(self._dialogue.remembered(key), (), timeout)

    def info(self, timeout: float) -> dict[str, str]:
        """What the server tells of itself (INFO), by name.  Raises Unavailable if it may not be asked."""
        return self._carry_out(self._dialogue.info(), (), timeout)

    def close(self) -> None:
        """Close the connections of all threads."""
        stack, self._stack = self._stack, Stack(self._connector.open, self._limit)
        if stack.pid == os.getpid():
            stack.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of all threads."""
        self.close()
        if stack := self._stacks.get(asyncio.get_running_loop()):
            await stack.close()

    # --- Who carries a conversation -------------------------------------------------------------

    def _carry_out(self, talk: Talk[T], step: Step, timeout: float) -> T:
        try:
            packet = next(talk)
        except StopIteration as done:
            nothing: T = done.value
            return nothing
        if self._stack.pid != os.getpid():  # forked: the parent's connections are closed here, but not there
            self._stack = Stack(self._connector.open, self._limit)
        began, stack = monotonic(), self._stack
        connection = stack.take(began + timeout)
        try:
            while True:
                packet = talk.send(connection.exchange(*packet, began + timeout))
        except StopIteration as done:
            stack.give_back(connection)
            result: T = done.value
            return result
        except BaseException as error:
            failed = self._failed(stack, connection, error, began, step)
            if failed is error:
                raise
            raise failed from error

    async def _acarry_out(self, talk: Talk[T], step: Step, timeout: float) -> T:
        try:
            packet = next(talk)
        except StopIteration as done:
            nothing: T = done.value
            return nothing
        began, loop = monotonic(), asyncio.get_running_loop()
        stack = self._stacks.get(loop) or await self._new_stack(loop)
        connection = await stack.take(began + timeout)
        try:
            while True:
                packet = talk.send(await connection.exchange(*packet, began + timeout))
        except StopIteration as done:
            stack.give_back(connection)
            result: T = done.value
            return result
        except BaseException as error:
            failed = self._failed(stack, connection, error, began, step)
            if failed is error:
                raise
            raise failed from error

    def _failed(
        self, stack: Any, connection: Any, error: BaseException, began: float, step: Step
    ) -> BaseException:
        """Settle what becomes of the connection; what to raise."""
        if isinstance(error, MooredError) and not moved_away(error):
            stack.give_back(connection)  # all replies were read
            return error
        stack.discard(connection)
        if isinstance(error, MooredError):
            stack.distrust()
        if not isinstance(error, OSError):
            return error
        # After a time-out, those that got answers meanwhile are good.
        stack.distrust(began if isinstance(error, TimeoutError) else inf)
        why = str(error) or "timed out"
        if any(map(changes, step)):
            return OutcomeUnknown(
                f"the connection to {self._connector.place} was lost after sending ({why})."
            )
        return Unavailable(
            f"the connection to {self._connector.place} was lost ({why}); nothing was changed."
        )

    async def _new_stack(self, loop: asyncio.AbstractEventLoop) -> AsyncStack:
        for other in [other for other in [*self._stacks] if other.is_closed()]:
            self._stacks.pop(other, None)
        stack = self._stacks[loop] = AsyncStack(self._connector.aopen, self._limit)
        await stack.close_with_loop(self._forget)
        return stack

    def _forget(self, stack: AsyncStack) -> None:
        for loop in [loop for loop, other in [*self._stacks.items()] if other is stack]:
            self._stacks.pop(loop, None)
