"""Group commit: what waits while one transaction commits goes into the next one together.

There is no thread of its own: the caller who finds nobody committing leads, carries out its
own step and those of all who wait, then hands the lead to the first of those who came
meanwhile.  (D. DeWitt et al., "Implementation Techniques for Main Memory Database Systems",
SIGMOD 1984, section "group commit".)
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from moored.commands import Op, Step
from moored.errors import OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

LARGEST = 256  # tickets in one transaction
GRACE = 0.05  # seconds by which a call may outlive its deadline for a commit that is under way
GLANCE = 0.05  # seconds after which who waits looks whether there still is somebody who leads
WITHDRAWN = -1  # taken by nobody


class Ticket:
    """A step that waits for its transaction; then it has ``answers`` or an ``error``."""

    __slots__ = ("answers", "batch", "done", "ends", "error", "lead", "ops", "present", "step", "taken")

    def __init__(self, step: Step, ops: tuple[Op, ...], timeout: float) -> None:
        self.step: Step = step
        self.ops: tuple[Op, ...] = ops
        self.ends: float = time.monotonic() + timeout
        self.taken: int = 0  # the number of the transaction that it is in, or was
        self.present: threading.Lock = threading.Lock()  # held while its caller is there to lead
        self.batch: list[Ticket] = []  # those whom it is to wake, if it leads
        self.answers: list[Any] | None = None  # given only once they are committed
        self.error: BaseException | None = None
        self.done: Callable[[], object] = _nobody_waits  # called when it has been carried out
        self.lead: Callable[[], object] = _nobody_waits  # called when it is to lead

    def result(self) -> list[Any]:
        """The answers, or the error raised."""
        if self.error is not None:
            raise self.error
        if self.answers is None:
            raise OutcomeUnknown("the transaction with this step broke off.")
        return self.answers


def _nobody_waits() -> None:
    """For the ticket of a caller that leads."""


class Commits:
    """The queue before the one writer of a file.

    ``carry_out`` is given the tickets of one transaction, by one thread at a time, and must
    give each its answers or an error.

    A signal handler may raise between any two steps of the main thread.  So who leads is
    told by one assignment, everything that hands on or wakes may be done twice, and a leader
    holds its ``present`` by a ``with`` statement, which always lets go: whoever finds it free
    knows that the lead was dropped, and takes it.
    """

    _all: ClassVar[weakref.WeakSet[Commits]] = weakref.WeakSet()

    def __init__(self, carry_out: Callable[[list[Ticket]], None]) -> None:
        self._carry_out = carry_out
        self._start_again()
        self._all.add(self)

    def _start_again(self) -> None:
        self._lock = threading.Lock()  # over the three below
        self._waiting: deque[Ticket] = deque()
        self._leader: Ticket | None = None
        self._number = 1  # of the transaction under way, or of the next one
        self._executor: ThreadPoolExecutor | None = None

    @classmethod
    def after_fork(cls) -> None:
        """In the child: forget who waited and led, who were threads of the parent."""
        for commits in cls._all:
            commits._start_again()

    def close(self) -> None:
        """Let the thread that leads for event loops end."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def submit(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """Carry out a step in a transaction shared with others; blocks for ``timeout`` seconds at most."""
        ticket = Ticket(step, ops, timeout)
        called = threading.Lock()
        called.acquire()
        ticket.done = ticket.lead = lambda: _ring(called)
        with ticket.present:
            try:
                if self._line_up(ticket) or self._wait(ticket, called):
                    self._lead(ticket)
            except BaseException:
                self._leave(ticket)
                raise
        return ticket.result()

    def _wait(self, ticket: Ticket, called: threading.Lock) -> bool:
        """Until it was carried out, or is to lead (true)."""
        while True:
            left = ticket.ends - time.monotonic()
            called.acquire(timeout=max(0.0, min(GLANCE, left)))
            with self._lock:
                if not ticket.taken:
                    self._appoint(ticket)
                    if self._leader is ticket:
                        return True
                    if left <= 0:
                        self._waiting.remove(ticket)
                        raise too_busy()
                elif ticket.taken != self._number:
                    return False
            if left <= -GRACE:
                raise _endless()
            if left <= 0:
                called.acquire(timeout=GRACE + left)

    async def asubmit(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """The same on an event loop: a thread of ours leads, so that the loop never waits for the disk."""
        import asyncio

        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        ticket = Ticket(step, ops, timeout)
        ticket.present.acquire()  # the thread that leads for it is not one in which signals are handled
        ticket.done, ticket.lead = lambda: _wake(loop, done), lambda: self._lead_elsewhere(ticket)
        try:
            if self._line_up(ticket):
                ticket.lead()
            async with asyncio.timeout(timeout + GRACE):
                await done
        except TimeoutError:
            if self._withdraw(ticket):
                raise too_busy() from None
            raise _endless() from None
        except BaseException:
            self._withdraw(ticket)
            raise
        return ticket.result()

    def _line_up(self, ticket: Ticket) -> bool:
        """Join the queue; true if the caller is to lead."""
        with self._lock:
            self._waiting.append(ticket)
            self._appoint(ticket)
            return self._leader is ticket

    def _appoint(self, ticket: Ticket | None) -> None:
        """Let this one lead if nobody does; called with the lock held."""
        leader = self._leader
        if leader is None or not leader.present.locked():
            if leader is not None:
                self._number += 1  # what it had taken will not be carried out any further
            self._leader = ticket

    def _withdraw(self, ticket: Ticket) -> bool:
        """Leave the queue, unless it is too late for that (false)."""
        with self._lock:
            if ticket.taken:
                return False
            ticket.taken = WITHDRAWN
            self._waiting.remove(ticket)
        self._hand_on(ticket)
        return True

    def _leave(self, ticket: Ticket) -> None:
        """Leave the queue and the lead, for a caller that was interrupted."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
        self._hand_on(ticket)

    def _hand_on(self, ticket: Ticket) -> None:
        """Let the first who waits lead, and wake all that this one has carried out."""
        with self._lock:
            if self._leader is ticket:
                while self._waiting and self._waiting[0].taken:  # by one who was interrupted in doing so
                    self._waiting.popleft()
                self._number += 1
                self._leader = self._waiting[0] if self._waiting else None
            following = self._leader
        if following is not None and not following.taken:
            following.lead()
        for each in ticket.batch:
            each.done()
        ticket.batch = []

    def _lead_elsewhere(self, ticket: Ticket) -> None:
        from concurrent.futures import ThreadPoolExecutor

        for _ in range(2):
            executor = self._executor
            if executor is None:
                executor = self._executor = ThreadPoolExecutor(1, "moored-sqlite")
            try:
                executor.submit(self._lead, ticket)
                return
            except RuntimeError:  # it was closed at this moment
                if self._executor is executor:
                    self._executor = None
        self._lead(ticket)  # the interpreter is about to end: no thread can be begun any more

    def _lead(self, leader: Ticket) -> None:
        """Carry out what waits, wake those who waited, and hand the lead on."""
        try:
            with self._lock:
                if self._leader is not leader or leader.taken:
                    return
                if self._waiting[0] is not leader:  # it has taken a lead that was dropped
                    self._waiting.remove(leader)
                    self._waiting.appendleft(leader)
                leader.batch = [self._waiting[n] for n in range(min(LARGEST, len(self._waiting)))]
                for ticket in leader.batch:
                    ticket.taken = self._number
                    self._waiting.popleft()
            self._carry_out(leader.batch)
        finally:
            if leader.taken:
                self._hand_on(leader)


os.register_at_fork(after_in_child=Commits.after_fork)


def too_busy() -> Unavailable:
    """The error of a step whose turn did not come before its deadline."""
    return Unavailable(
        "other transactions kept SQLite busy for the whole deadline; nothing was changed. Try again, or"
        " allow more time with ?deadline= (seconds).",
        outage=False,
    )


def _endless() -> OutcomeUnknown:
    return OutcomeUnknown("the transaction with this step did not end within the deadline.")


def _ring(called: threading.Lock) -> None:
    with suppress(RuntimeError):  # it was rung before
        called.release()


def _wake(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    def finish() -> None:
        if not done.done():
            done.set_result(None)

    try:
        loop.call_soon_threadsafe(finish)
    except RuntimeError:  # the loop was closed: nobody waits any more
        return
