"""The one choke point: operation ids, deadline, retry, breaker and observers, written once.

A policy is itself a program around a program: it receives the steps that the inner program
awaits and hands the runner attempts (``Send``) and pauses.  So it serves blocking callers,
event loops and the simulator alike.

- Every mutating command carries an operation id, the same one on every attempt, so that an
  engine recognises a repeat; only that makes retrying safe.
- The deadline bounds the whole operation, its retries, pauses and queueing; no attempt is
  carried out by the engine after it (*not-after*, by the server's own clock).
- Retries: at most three attempts, full jitter (M. Brooker, "Exponential Backoff And Jitter",
  AWS Architecture Blog, 2015), within a budget of a tenth of what succeeded.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from moored.breaker import Breaker
from moored.commands import (
    Add,
    Command,
    Connect,
    Drop,
    Enter,
    Op,
    Outside,
    Patch,
    Put,
    Read,
    Refused,
    Scan,
    Send,
    Sleep,
    Step,
)
from moored.errors import BreakerOpen, ConflictError, OutcomeUnknown, Unavailable
from moored.model import KEPT
from moored.run import Program

T = TypeVar("T")

ATTEMPTS = 3
PAUSES = (10.0, 200.0)  # milliseconds: the bound of the first pause, and of every pause
BUDGET = 0.1  # retries earned by each success
SAVED = 20.0  # the most retries that can be saved up
MARGIN_US = 1_000  # by which "it can no longer be carried out" is put off, against rounding

_NO_OP = Op("", 0, 0)  # of commands that change nothing


class Sent(Struct, frozen=True):
    """What an observer is told of each step.

    ``outcome`` is "done", "unavailable" or "unknown"; ``commands`` the names of the step's
    commands, ``key`` the first one's key; ``seconds`` includes retries and pauses.
    """

    commands: tuple[str, ...]
    key: str
    outcome: str
    attempts: int
    seconds: float
    refused: tuple[str, ...] = ()


Observer = Callable[[Sent], object]


class Policy:
    """How the steps of every operation on one engine are sent.

    ``engine_time`` is the engine's ``time``; ``deadline`` is in seconds; ``clock`` a
    monotonic clock in seconds; ``new_id`` makes operation ids.
    """

    def __init__(
        self,
        engine_time: Callable[[], int | None],
        *,
        deadline: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: os.urandom(8).hex(),
        chance: random.Random | None = None,
        engine_name: str = "the engine",
    ) -> None:
        self.deadline = deadline
        self.breaker: Breaker = Breaker()
        self.observers: list[Observer] = []
        self.carry: Callable[[Program[Any]], Any] | None = None  # runs ``resolve``; set by the binding
        self._engine_time, self._clock, self._new_id = engine_time, clock, new_id
        self._chance = chance or random.Random()
        self._engine_name = engine_name
        self._budget = SAVED
        self._answered = clock()  # when the engine last answered anybody

    async def around(self, program: Program[T], deadline: float | None = None) -> T:
        """Run ``program`` under this policy, within ``deadline`` seconds if other than the usual."""
        ends = self._clock() + (self.deadline if deadline is None else deadline)
        resume: Callable[[Any], Any] = program.send
        value: Any = None
        while True:
            try:
                request = resume(value)
            except StopIteration as done:
                result: T = done.value
                return result
            try:
                resume, value = program.send, await self._serve(request, ends)
            except BaseException as error:  # the program cleans up, also when it is cancelled
                resume, value = program.throw, error

    async def _serve(self, request: Any, ends: float) -> Any:
        if type(request) is tuple and all([isinstance(command, Command) for command in request]):
            return await self._send(request, ends)
        if isinstance(request, Outside):
            return await request
        if isinstance(request, Send):  # a probe of ``_resolve``, which is an attempt already
            return await request
        if isinstance(request, Sleep):
            left = max(0.0, (ends - self._clock()) * 1000)
            return await (request if request.ms <= left else Sleep(left))
        if isinstance(request, Enter):
            return await self._queue(replace(request, timeout=max(0.0, ends - self._clock())))
        raise TypeError(f"a program may await only commands, not {type(request).__name__}")

    async def _queue(self, request: Enter) -> Any:
        try:
            return await request
        except ConflictError as error:
            if self._clock() - self._answered < self.deadline / 2:
                raise
            raise Unavailable(
                f"{self._engine_name} does not answer those who are before this in a queue; nothing was"
                " changed. Try again in a moment."
            ) from error

    async def _send(self, step: Step, ends: float) -> list[Any]:
        started = now = self._clock()
        ops: tuple[Op, ...] = ()
        unsure: OutcomeUnknown | None = None  # an attempt was sent of which nobody knows the outcome
        failure: Unavailable | None = None
        attempt = 0
        while attempt < ATTEMPTS:
            if attempt and not await self._may_retry(attempt, ends):
                break
            if attempt:
                now = self._clock()
            left = ends - now
            if left <= 0:
                break
            if not self.breaker.allows(now):
                failure = BreakerOpen(
                    f"{self._engine_name} failed so often in the last seconds that it is given a rest;"
                    " nothing was sent. Try again in a second."
                )
                break
            attempt += 1
            try:
                since = self._engine_time()
                if since is None:
                    await Connect(left)
                    since = self._engine_time() or 0
                    left = ends - self._clock()
                if not ops:
                    ops = self._ops(step, since, since + int(left * 1_000_000))
                elif unsure is not None:
                    ops = tuple([replace(op, again=True) for op in ops])
                answers = await Send(step, ops, left)
            except Unavailable as error:
                failure = error
                self.breaker.note(self._clock(), error.outage)
                continue
            except OutcomeUnknown as error:
                self.breaker.note(self._clock(), True)
                if all(isinstance(command, (Read, Scan)) for command in step):
                    failure = Unavailable(
                        f"the answer of {self._engine_name} was lost; it was only asked, and nothing was"
                        " changed. Try again."
                    )
                    failure.__cause__ = error
                    continue
                unsure = error
                if not all(_repeatable(command) for command in step):
                    break
                continue
            ended = self._answered = self._clock()
            self.breaker.note(ended, ended - now > self.deadline / 2)
            reasons = [answer.reason for answer in answers if type(answer) is Refused]
            if "unknown" in reasons or "late" in reasons:
                if unsure is not None or len(step) > 1:
                    unsure = unsure or OutcomeUnknown(
                        "the engine cannot tell which commands were carried out."
                    )
                    break
                # Surely not carried out; the answer has taught us the server's clock anew.
                failure = Unavailable("the step reached the engine after its deadline.", outage=False)
                ops = ()
                continue
            if unsure is not None and any(map(_may_yet_be_done, step, answers)):
                break
            if self._budget < SAVED:
                self._budget += BUDGET
            if self.observers:
                self._tell(step, "done", attempt, ended - started, tuple(reasons))
            return answers
        if unsure is not None:
            self._tell(step, "unknown", attempt, self._clock() - started)
            raise self._unknown(unsure, step, ops)
        self._tell(step, "unavailable", attempt, self._clock() - started)
        raise failure or Unavailable(
            f"{self._engine_name} did not carry out the operation within its deadline; nothing was changed by"
            " this step. Try again, or allow more time with ?deadline= (seconds).",
            outage=False,
        )

    def _ops(self, step: Step, since: int, until: int) -> tuple[Op, ...]:
        return tuple(
            [
                _NO_OP if isinstance(command, (Read, Scan)) else Op(self._new_id(), since, until)
                for command in step
            ]
        )

    async def _may_retry(self, attempt: int, ends: float) -> bool:
        if self._budget < 1:
            return False
        self._budget -= 1
        pause = self._chance.uniform(0, min(PAUSES[1], PAUSES[0] * 2**attempt))
        if self._clock() + pause / 1000 >= ends:
            return False
        await Sleep(pause)
        return True

    def _tell(
        self, step: Step, outcome: str, attempts: int, seconds: float, refused: tuple[str, ...] = ()
    ) -> None:
        if self.observers:
            names = tuple(type(command).__name__ for command in step)
            sent = Sent(names, step[0].key, outcome, attempts, seconds, refused)
            for observer in self.observers:
                observer(sent)

    # --- What became of a step ----------------------------------------------------------

    def _unknown(self, cause: OutcomeUnknown, step: Step, ops: tuple[Op, ...]) -> OutcomeUnknown:
        names = ", ".join(type(command).__name__ for command in step)
        error = OutcomeUnknown(
            f"the answer of {self._engine_name} to {names} was lost, so it may have been carried out or not."
            " Ask resolve() before doing it again."
        )
        error.__cause__ = cause
        carry = self.carry
        if carry is not None and ops:
            error.resolver = lambda: carry(self.around(self._resolve(step, ops), self.deadline + 1))
        return error

    async def _resolve(self, step: Step, ops: tuple[Op, ...]) -> str:
        """Ask with the same ids, too late to be carried out: what is remembered was done.

        "Not done" is said only after the step's own not-after has passed, so that no late
        copy can make it false.  A lost question is asked again, until the deadline.
        """
        probes = tuple(replace(op, until=0, again=True) for op in ops)
        until = max(op.until for op in ops)
        ends = self._clock() + self.deadline + 1
        while self._clock() < ends:
            try:
                answers = await Send(step, probes, self.deadline)
            except (Unavailable, OutcomeUnknown):
                await Sleep(PAUSES[0])
                continue
            told = {_told(command, answer) for command, answer in zip(step, answers, strict=True)}
            if told != {"not done"}:
                return "done" if told == {"done"} else "unknown"
            now = self._engine_time() or 0
            left = until + MARGIN_US - now
            if left < 0:
                # What a repeat did is surely remembered only so long.
                asked_late = any(op.again for op in ops) and now > until + KEPT - MARGIN_US
                return "unknown" if asked_late else "not done"
            await Sleep(left / 1000 + 1)
        return "unknown"


def _told(command: Command[Any], answer: Any) -> str:
    if not isinstance(answer, Refused) or answer.reason not in ("late", "unknown"):
        return "unknown" if isinstance(command, (Read, Scan)) else "done"
    # A record that is gone took its memory along.
    return "unknown" if answer.reason == "unknown" or answer.record is None else "not done"


def _may_yet_be_done(command: Command[Any], answer: Any) -> bool:
    """Can an earlier copy of a refused command, if it is still on its way, find its guards to hold?

    A version or a life that has passed never comes back; a lease ends, a value or a total may.
    """
    if not isinstance(answer, Refused) or not isinstance(command, (Add, Patch, Put)):
        return False
    return answer.reason in ("held", "match", "bounds")


def _repeatable(command: Command[Any]) -> bool:
    # A record that was dropped remembers nothing: only a version tells its next life apart.
    return not isinstance(command, Drop) or command.version is not None
