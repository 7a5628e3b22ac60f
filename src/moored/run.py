"""Runners: carry a program's requests out, blocking or on an event loop.

A *program* is a coroutine that awaits commands and nothing else.  ``run`` and ``arun``
differ by the word ``await`` only.  Both throw every exception *into* the program,
KeyboardInterrupt and cancellation included, so that a program can clean up.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from moored.commands import Connect, Enter, Op, Outside, Send, Sleep, Step
from moored.errors import ConflictError

T = TypeVar("T")
Program = Coroutine[Any, Any, T]


class Engine(Protocol):
    """Where state is kept.

    A step is carried out command by command, each one atomically and in order, and is
    answered with one answer each.  ``timeout`` is in seconds.  What goes wrong is raised as
    Unavailable (nothing was changed), OutcomeUnknown, CorruptRecord, or a MisuseError.
    """

    name: ClassVar[str]
    traits: ClassVar[frozenset[str]]

    def connect(self, timeout: float) -> None:
        """Reach the engine and learn its clock."""
        ...

    async def aconnect(self, timeout: float) -> None:
        """The same on an event loop."""
        ...

    def execute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """Carry a step out."""
        ...

    async def aexecute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """The same on an event loop."""
        ...

    def time(self) -> int | None:
        """The server's clock in microseconds, or a little earlier, never later; None before ``connect``."""
        ...

    def close(self) -> None:
        """Give back connections and files; what is used again opens again."""
        ...

    async def aclose(self) -> None:
        """The same on an event loop."""
        ...


# What an engine may offer besides, for operators.  The command line asks each engine which it is;
# none of these is needed to keep state.


@runtime_checkable
class Sweeping(Protocol):
    """An engine in which expired records stay until somebody removes them: ``moored gc``."""

    def sweep(self, timeout: float) -> int:
        """Remove some of them; how many there were, 0 when there are no more.  Raises Unavailable."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """An engine that tells how many operations a record remembers: ``moored inspect``."""

    def remembered(self, key: str, timeout: float) -> int:
        """How many operations the record of that key remembers, so that repeats of them do nothing."""
        ...


@runtime_checkable
class Telling(Protocol):
    """An engine whose server tells about itself: ``moored top``."""

    def info(self, timeout: float) -> dict[str, str]:
        """What it tells, by name.  Raises Unavailable, with ``outage`` false if it may not be asked."""
        ...


class Place:
    """A place in a queue; ``call`` is called when its turn has come."""

    __slots__ = ("_call", "_key", "_queues")

    def __init__(self, queues: Queues, key: str, call: Callable[[], object]) -> None:
        self._queues, self._key, self._call = queues, key, call
        with queues.lock:
            queue = queues.waiting.setdefault(key, deque())
            queue.append(self)
            first = queue[0] is self
        if first:
            call()

    def leave(self) -> None:
        """Give the place up, whether or not its turn had come."""
        with self._queues.lock:
            queue = self._queues.waiting.get(self._key)
            if queue is None or self not in queue:  # the queues were emptied by a fork
                return
            was_first = queue[0] is self
            queue.remove(self)
            following = queue[0] if queue and was_first else None
            if not queue:
                del self._queues.waiting[self._key]
        if following is not None:
            following._call()


class Queues:
    """This process's queues, one for each key that somebody is waiting for; first come, first served."""

    _all: ClassVar[weakref.WeakSet[Queues]] = weakref.WeakSet()

    def __init__(self) -> None:
        self.empty()
        self._all.add(self)

    def empty(self) -> None:
        """Forget who waits: after a fork the others of the parent process are not there."""
        self.lock: threading.Lock = threading.Lock()
        self.waiting: dict[str, deque[Place]] = {}

    @classmethod
    def after_fork(cls) -> None:
        """Empty the queues that a child process inherited."""
        for queues in cls._all:
            queues.empty()


os.register_at_fork(after_in_child=Queues.after_fork)


def run(program: Program[T], engine: Engine, queues: Queues) -> T:
    """Drive ``program`` to its result on the calling thread."""
    resume: Callable[[Any], Any] = program.send
    value: Any = None
    while True:
        try:
            request = resume(value)
        except StopIteration as done:
            result: T = done.value
            return result
        try:
            if type(request) is Send:
                value = engine.execute(request.step, request.ops, request.timeout)
            else:
                value = _carry_out(request, engine, queues)
            resume = program.send
        except BaseException as error:
            resume, value = program.throw, error


async def arun(program: Program[T], engine: Engine, queues: Queues) -> T:
    """Drive ``program`` to its result on the running event loop."""
    resume: Callable[[Any], Any] = program.send
    value: Any = None
    while True:
        try:
            request = resume(value)
        except StopIteration as done:
            result: T = done.value
            return result
        try:
            if type(request) is Send:
                value = await engine.aexecute(request.step, request.ops, request.timeout)
            else:
                value = await _acarry_out(request, engine, queues)
            resume = program.send
        except BaseException as error:
            resume, value = program.throw, error


def _carry_out(request: Connect | Sleep | Outside | Enter, engine: Engine, queues: Queues) -> Any:
    if isinstance(request, Connect):
        return engine.connect(request.timeout)
    if isinstance(request, Outside):
        return request.call()
    if isinstance(request, Sleep):
        return time.sleep(request.ms / 1000)
    if request.join and request.key not in queues.waiting:
        return None
    called = threading.Event()
    turn = Place(queues, request.key, called.set)
    try:
        if not called.wait(request.timeout):
            raise _queued_too_long(request)
    except BaseException:
        turn.leave()
        raise
    return turn


async def _acarry_out(request: Connect | Sleep | Outside | Enter, engine: Engine, queues: Queues) -> Any:
    if isinstance(request, Connect):
        return await engine.aconnect(request.timeout)
    import asyncio  # only those who run on an event loop have loaded it

    if isinstance(request, Outside):
        return await asyncio.to_thread(request.call)
    if isinstance(request, Sleep):
        return await asyncio.sleep(request.ms / 1000)
    if request.join and request.key not in queues.waiting:
        return None
    called = asyncio.Event()
    loop = asyncio.get_running_loop()
    turn = Place(queues, request.key, lambda: loop.call_soon_threadsafe(called.set))
    try:
        await asyncio.wait_for(called.wait(), request.timeout)
    except TimeoutError:
        turn.leave()
        raise _queued_too_long(request) from None
    except BaseException:
        turn.leave()
        raise
    return turn


def _queued_too_long(request: Enter) -> ConflictError:
    return ConflictError(
        "too many are writing to the same record: the turn of this one did not come before its deadline."
        " Nothing was changed; try again, or give each writer a record or field of its own."
    )
