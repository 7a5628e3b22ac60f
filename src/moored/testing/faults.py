"""A TCP proxy that loses, delays and repeats what passes between a client and a server.

::

    with RedisServer() as server, FaultProxy(server.port) as proxy:
        proxy.plan(every(10, cut_after(), late(1)), only=(b"EVALSHA", b"EVAL"))
        ...  # clients of proxy.url_for(server.url)
        assert proxy.fired["cut_after"] and proxy.fired["late"]

A *request* is what a client sends without waiting: with ``framing="resp"`` (Redis) one or
more complete commands, in however many packets they come, and its answer is as many
complete replies; with ``framing="stream"`` (anything else, TLS too) each piece that is read
is a request, and its answer is the next piece from the server.  What the server says unasked
passes as it comes; but plan no fault that waits for an answer where none is sent.
"""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

from moored.errors import MisuseError
from moored.testing.fault_plans import (
    Fault,
    Plan,
    Planner,
    Way,
    chance,
    cut_after,
    cut_before,
    delay,
    every,
    late,
    nth,
    rate,
    stall,
    truncate,
)
from moored.testing.link import PIECE, Link, Request, close

__all__ = [
    "Fault",
    "FaultProxy",
    "Planner",
    "Way",
    "chance",
    "cut_after",
    "cut_before",
    "delay",
    "every",
    "late",
    "nth",
    "rate",
    "stall",
    "truncate",
]


@dataclass(eq=False, slots=True)
class _Late:
    """A request that the server is still to get, and after how many more."""

    link: Link
    request: Request
    left: float


class FaultProxy:
    """A proxy on a free port of 127.0.0.1, run by a thread of its own within a ``with`` block.

    It passes everything to ``host``:``port`` unharmed until a plan says otherwise.  Its
    methods may be called from any thread.  What a planner raises ends that connection, and
    is raised again at the end of the block.
    """

    fired: Counter[str]
    """How often each kind of fault took effect; counted before the client can notice."""
    delivered: int
    """How many requests that the plan concerns were given to the server, late ones included."""

    def __init__(
        self, port: int, host: str = "127.0.0.1", *, framing: Literal["resp", "stream"] = "resp"
    ) -> None:
        self.fired = Counter()
        self.delivered = 0
        self._target = (host, port)
        self._framing: Literal["resp", "stream"] = framing
        self._plan = Plan()
        self._late: list[_Late] = []
        self._clients: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 where the proxy listens."""
        return self._port

    @property
    def requests(self) -> int:
        """How many requests the present plan was asked about."""
        return self._plan.asked

    @property
    def waiting(self) -> int:
        """How many late requests have not been delivered yet."""
        return len(self._late)

    def url_for(self, url: str) -> str:
        """That URL, with the proxy's address instead of the server's."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}"))

    def plan(self, planner: Planner | None, only: bytes | tuple[bytes, ...] = ()) -> None:
        """From now on ``planner`` decides about each request, numbered from 1; None lets all pass.

        ``only`` names the Redis commands that it concerns (``b"EVALSHA"``): a request with
        none of them passes, and is not counted.
        """
        if only and self._framing == "stream":
            raise MisuseError('only=... names Redis commands, which framing="stream" cannot see.')
        self._plan = Plan(planner, (only,) if isinstance(only, bytes) else only)

    def deliver(self, timeout: float = 5.0) -> int:
        """Give the server all late requests, oldest first, each when the one before is answered.

        Returns how many the server has answered.  Raises TimeoutError after ``timeout`` seconds.
        """
        return asyncio.run_coroutine_threadsafe(self._deliver(math.inf), self._loop).result(timeout)

    def resume(self) -> None:
        """End the stalls that have fired."""
        self._loop.call_soon_threadsafe(self._resume)

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._port: int = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._resumed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=[listener], name="FaultProxy", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    # --- In the proxy's thread ---------------------------------------------------------------

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._accept, sock=listener, limit=PIECE)
        await self._closing.wait()
        server.close()
        for copy in self._late:
            copy.link.close_server()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients)
        await asyncio.sleep(0)  # sockets are closed in the loop's next turn

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        link: Link | None = None
        try:
            server = await asyncio.open_connection(*self._target, limit=PIECE)
            link = Link((reader, writer), server, self._framing)
            while request := await link.next_request():
                plan = self._plan
                concerned = plan.concerns(request)
                fault = plan.choose(request) if concerned else None
                if fault is None:
                    await self._exchange(link, request, concerned)
                elif not await self._inflict(fault, link, request):
                    break
        except (OSError, asyncio.CancelledError):
            pass  # one of the two is gone, or the proxy is closing
        except Exception as error:
            self._failure = self._failure or error
        finally:
            self._clients.discard(task)
            close(writer)
            if link is not None and not any(copy.link is link for copy in self._late):
                link.close_server()

    async def _inflict(self, fault: Fault, link: Link, request: Request) -> bool:
        """Do it; the answer says whether the connection goes on."""
        match fault.kind:
            case "cut_before":
                self.fired[fault.kind] += 1
                return False
            case "late":
                self.fired[fault.kind] += 1
                link.swallow()
                self._late.append(_Late(link, request, fault.amount))
                return False
            case "cut_after" | "truncate":
                await link.hold()
                if await self._exchange(link, request):
                    self.fired[fault.kind] += 1
                    await link.release_only(int(fault.amount))
                return False
            case "rate":
                self.fired[fault.kind] += 1
                await link.hold()
                await self._exchange(link, request, rate=fault.amount)
                await link.release(fault.amount)
            case "delay" | "stall":
                await self._keep(fault, link, request)
        return True

    async def _keep(self, fault: Fault, link: Link, request: Request) -> None:
        resumed = self._resumed

        async def passed() -> None:
            await (asyncio.sleep(fault.amount) if fault.kind == "delay" else resumed.wait())

        if fault.way != "request":
            await link.hold()
        if fault.way != "reply":
            self.fired[fault.kind] += 1
            await passed()
        await self._exchange(link, request)
        if fault.way == "reply":
            self.fired[fault.kind] += 1
        if fault.way != "request":
            await passed()
            await link.release()

    async def _exchange(
        self, link: Link, request: Request, concerned: bool = True, rate: float = 0.0
    ) -> bool:
        """Give it to the server; wait for the answer where it is held, or late requests count on it."""
        holds = link.holds
        counts = concerned and bool(self._late)
        if counts and not holds:
            await link.hold()
        if link.ended:
            raise ConnectionResetError("the server or the client is gone.")
        self.delivered += concerned
        await link.deliver(request, rate)
        if not link.holds:
            return True
        answered = await link.answered()
        if answered and counts:
            await self._deliver(1)
        if not holds:
            await link.release()
        return answered

    async def _deliver(self, requests: float) -> int:
        """Count them down by that many requests, and give the server those that are due."""
        for copy in self._late:
            copy.left = copy.left - requests if requests < math.inf else 0
        due = [copy for copy in self._late if copy.left <= 0]
        self._late = [copy for copy in self._late if copy.left > 0]
        answered = 0
        for copy in due:
            if not copy.link.ended:
                self.delivered += 1
                await copy.link.deliver(copy.request)
                answered += await copy.link.answered()
            copy.link.close_server()
        return answered

    def _resume(self) -> None:
        self._resumed.set()
        self._resumed = asyncio.Event()
