"""Who takes part in a simulation: actors, in processes of their own or shared, and how they end."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final

from moored.commands import Connect, Enter, Outside, Send, Sleep
from moored.errors import ConflictError, MooredError, OutcomeUnknown
from moored.policy import Policy
from moored.run import Place, Program, Queues

START: Final = 1_700_000_000_000_000  # microseconds since 1970 at which every play begins


class Cancelled(BaseException):
    """Thrown into an actor whose task is cancelled; like asyncio's, it is no Exception."""


class Outcome:
    """How an actor ended: with a value, an error, a crash, a cancellation."""

    __slots__ = ("cancelled", "crashed", "error", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: MooredError | None = None
        self.crashed: bool = False
        self.cancelled: bool = False

    @property
    def acknowledged(self) -> bool:
        """Did the actor return?"""
        return self.error is None and not self.crashed and not self.cancelled

    @property
    def unsure(self) -> bool:
        """May what it did last be there or not?"""
        return self.crashed or self.cancelled or isinstance(self.error, OutcomeUnknown)

    def __repr__(self) -> str:
        if self.crashed or self.cancelled:
            return "crashed" if self.crashed else "cancelled"
        return f"{self.error!r}" if self.error is not None else f"returned {self.value!r}"


class Clock:
    """Time in microseconds: ``elapsed`` by the clients' monotonic clock, the server's ``ahead`` of it."""

    __slots__ = ("ahead", "elapsed")

    def __init__(self) -> None:
        self.elapsed: int = 0
        self.ahead: int = START

    def server(self) -> int:
        """Microseconds since 1970."""
        return self.elapsed + self.ahead

    def client(self) -> float:
        """Seconds."""
        return self.elapsed / 1_000_000


class Fixed(random.Random):
    """Random numbers, tokens and ids that are the same in every play."""

    count: int = 0

    def random(self) -> float:
        """The next number, spread evenly (Weyl's sequence)."""
        self.count += 1
        return self.count * 0.6180339887498949 % 1.0

    def token_bytes(self, size: int | None = None) -> bytes:
        """In place of ``secrets.token_bytes``."""
        self.count += 1
        return blake2b(b"%d" % self.count, digest_size=size or 32).digest()

    def token_hex(self, size: int | None = None) -> str:
        """In place of ``secrets.token_hex``."""
        return self.token_bytes(size).hex()

    def new_id(self) -> str:
        """An operation id."""
        self.count += 1
        return f"{self.count:016x}"


class Process:
    """What the actors of one process share: a policy, queues, and what is known of the server's clock."""

    __slots__ = ("_ahead", "clock", "policy", "queues")

    def __init__(self, clock: Clock, fixed: Fixed, deadline: float) -> None:
        self.clock: Clock = clock
        self._ahead = clock.ahead
        self.queues: Queues = Queues()
        self.policy: Policy = Policy(
            self._engine_time,
            deadline=deadline,
            clock=clock.client,
            new_id=fixed.new_id,
            chance=fixed,
            engine_name="the simulated engine",
        )
        self.policy.carry = _itself  # ``await error.resolve()``

    def learn(self) -> None:
        """Every answer tells the server's clock."""
        self._ahead = self.clock.ahead

    def _engine_time(self) -> int:
        return self.clock.elapsed + self._ahead


class Actor:
    """A coroutine under way: a web request, a worker's step, an operator's call."""

    __slots__ = (
        "answers",
        "called",
        "ended",
        "entered",
        "name",
        "outcome",
        "outside",
        "place",
        "process",
        "program",
        "send",
        "upon",
        "wakes",
    )

    def __init__(self, name: str, program: Program[Any], process: Process) -> None:
        self.name: str = name
        self.program: Program[Any] = program
        self.process: Process = process
        self.outcome: Outcome = Outcome()
        self.send: Send | None = None  # what it waits for an answer to
        self.answers: list[Any] = []  # to the commands of ``send`` that were carried out
        self.wakes: int = 0  # when its pause or patience ends; 0 if it does not wait
        self.upon: MooredError | None = None  # what it is told then
        self.outside: Callable[[], Any] | None = None  # what is called then
        self.entered: Place | None = None  # where it queues or queued last
        self.place: Place | None = None  # the same while its turn has not come
        self.called: bool = False  # its turn has come
        self.ended: bool = False

    def resume(self, value: Any, failed: bool = False) -> None:
        """Go on until it waits for an answer, a time or a turn, or ends."""
        self.wakes = 0
        if self.outside is not None and not failed:
            value, failed = self._call(self.outside)
        self.outside = None
        while True:
            try:
                request = self.program.throw(value) if failed else self.program.send(value)
            except StopIteration as stop:
                self.outcome.value, self.ended = stop.value, True
                return
            except MooredError as error:  # anything else is a defect, and fails the scene
                self.outcome.error, self.ended = error, True
                return
            except Cancelled:
                self.outcome.cancelled = self.ended = True
                return
            value, failed = None, False
            if type(request) is Send:
                self.send = request
                return
            if isinstance(request, Sleep):
                self._wait(request.ms, None)
                return
            if isinstance(request, Outside):
                self.outside = request.call  # when it is this actor's turn again
                self._wait(0, None)
                return
            if isinstance(request, Enter):
                if request.join and request.key not in self.process.queues.waiting:
                    continue
                value = self._enter(request)
                if value is None:
                    return
            elif not isinstance(request, Connect):
                raise TypeError(f"an actor calls programs with world.call(); it awaited {request!r}")

    def crash(self) -> None:
        """End as in the death of its process; nothing if it has ended."""
        if self.ended:
            return
        self.outcome.crashed = self.ended = True
        self.send, self.place, self.wakes = None, None, 0
        with suppress(RuntimeError):  # what it would still await to clean up, a dead process does not
            self.program.close()

    def _enter(self, request: Enter) -> Place | None:
        """A place whose turn has come; None where it has to wait."""
        self.called = False

        def call() -> None:
            self.called = True

        place = self.entered = Place(self.process.queues, request.key, call)
        if self.called:
            return place
        self.place = place
        self._wait((request.timeout or 0) * 1000, ConflictError("the turn did not come before the deadline"))
        return None

    def _call(self, call: Callable[[], Any]) -> tuple[Any, bool]:
        try:
            return call(), False
        except MooredError as error:
            return error, True

    def _wait(self, ms: float, upon: MooredError | None) -> None:
        self.wakes, self.upon = self.process.clock.elapsed + int(ms * 1000) + 1, upon


def _itself(program: Program[Any]) -> Program[Any]:
    return program
