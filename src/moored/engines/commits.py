"""Group commit: what waits while one transaction commits goes into the next one together.

There is no thread of its own: the caller who finds nobody committing leads, carries out its
own step and those of all who wait, then hands the lead to the first of those who came
meanwhile.  (D. DeWitt et al., "Implementation Techniques for Main Memory Database Systems",
SIGMOD 1984, section "group commit".)
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from moored.commands import Op, Step
from moored.errors import OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

LARGEST = 256  # tickets in one transaction
GRACE = 0.05  # seconds by which a call may outlive its deadline for a commit that is under way


class Standing(Enum):
    """Where a ticket stands."""

    WAITING = 1
    LEADS = 2  # its caller is to carry out the next transaction
    TAKEN = 3  # it is in a transaction, or was


class Ticket:
    """A step that waits for its transaction; then it has ``answers`` or an ``error``."""

    __slots__ = ("answers", "done", "ends", "error", "lead", "ops", "standing", "step")

    def __init__(self, step: Step, ops: tuple[Op, ...], timeout: float) -> None:
        self.step, self.ops, self.ends = step, ops, time.monotonic() + timeout
        self.standing = Standing.WAITING
        self.answers: list[Any] = []
        self.error: BaseException | None = None
        self.done: Callable[[], object] = _nobody_waits  # called when it has been carried out
        self.lead: Callable[[], object] = _nobody_waits  # called when it is to lead

    def result(self) -> list[Any]:
        """The answers, or the error raised."""
        if self.error is not None:
            raise self.error
        return self.answers


def _nobody_waits() -> None:
    """For the ticket of a caller that leads."""


class Commits:
    """The queue before the one writer of a file.

    ``carry_out`` is given the tickets of one transaction, by one thread at a time, and must
    give each its answers or an error.
    """

    def __init__(self, carry_out: Callable[[list[Ticket]], None]) -> None:
        self._carry_out = carry_out
        self.start_again()

    def start_again(self) -> None:
        """Forget everything, as a child process must after a fork."""
        self._lock = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._leading = False
        self._executor: ThreadPoolExecutor | None = None

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
        ticket.done = ticket.lead = called.release
        if not self._line_up(ticket):
            self._wait(ticket, called, timeout)
        if ticket.standing is Standing.LEADS:
            ticket.done = _nobody_waits
            self._lead()
        return ticket.result()

    def _wait(self, ticket: Ticket, called: threading.Lock, timeout: float) -> None:
        try:
            if called.acquire(timeout=max(0.0, timeout)):
                return
            standing = self._withdraw(ticket)
            if standing is Standing.WAITING:
                raise too_busy()
            if standing is Standing.TAKEN and not called.acquire(timeout=GRACE):
                raise _endless()
        except BaseException:
            if self._withdraw(ticket) is Standing.LEADS:  # whoever was given the lead must not drop it
                ticket.done = _nobody_waits
                self._lead()
            raise

    async def asubmit(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """The same on an event loop: a thread of ours leads, so that the loop never waits for the disk."""
        import asyncio

        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        ticket = Ticket(step, ops, timeout)
        ticket.done, ticket.lead = lambda: _wake(loop, done), self._lead_elsewhere
        if self._line_up(ticket):
            self._lead_elsewhere()
        try:
            async with asyncio.timeout(timeout + GRACE):
                await done
        except TimeoutError:
            if self._withdraw(ticket) is Standing.WAITING:
                raise too_busy() from None
            raise _endless() from None
        except asyncio.CancelledError:
            self._withdraw(ticket)
            raise
        return ticket.result()

    def _line_up(self, ticket: Ticket) -> bool:
        """Join the queue; true if the caller is to lead."""
        with self._lock:
            self._waiting.append(ticket)
            if self._leading:
                return False
            self._leading = True
            ticket.standing = Standing.LEADS
            return True

    def _withdraw(self, ticket: Ticket) -> Standing:
        """Leave the queue, unless it is too late for that; how the ticket stood."""
        with self._lock:
            if ticket.standing is Standing.WAITING and ticket in self._waiting:
                self._waiting.remove(ticket)
            return ticket.standing

    def _lead_elsewhere(self) -> None:
        executor = self._executor
        if executor is None:
            from concurrent.futures import ThreadPoolExecutor

            executor = self._executor = ThreadPoolExecutor(1, "moored-sqlite")
        executor.submit(self._lead)

    def _lead(self) -> None:
        """Carry out what waits, wake those who waited, and hand the lead on."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(LARGEST, len(self._waiting)))]
            for ticket in batch:
                ticket.standing = Standing.TAKEN
        try:
            if batch:
                self._carry_out(batch)
        except BaseException as error:
            for ticket in batch:
                ticket.error = ticket.error or OutcomeUnknown(
                    f"the commit broke off: {type(error).__name__}."
                )
            raise
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._leading = following is not None
                if following is not None:
                    following.standing = Standing.LEADS
            if following is not None:
                following.lead()
            for ticket in batch:
                ticket.done()


def too_busy() -> Unavailable:
    """The error of a step whose turn did not come before its deadline."""
    return Unavailable(
        "other transactions kept SQLite busy for the whole deadline; nothing was changed. Try again, or"
        " allow more time with ?deadline= (seconds).",
        outage=False,
    )


def _endless() -> OutcomeUnknown:
    return OutcomeUnknown("the transaction with this step did not end within the deadline.")


def _wake(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    def finish() -> None:
        if not done.done():
            done.set_result(None)

    try:
        loop.call_soon_threadsafe(finish)
    except RuntimeError:  # the loop was closed: nobody waits any more
        return
