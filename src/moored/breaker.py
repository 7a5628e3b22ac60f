"""The circuit breaker: stop asking an engine that does not answer.

Opens when, in a window of ten seconds with at least twenty calls, half of them failed or
were slow.  While open, one call a second is let through as a probe; the first that succeeds
closes it.  (M. Nygard, *Release It!*, chapter "Stability Patterns".)
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import ClassVar

WINDOW = 10  # seconds, kept as one bucket each
FEWEST = 20  # calls in the window below which nothing is concluded
SHARE = 0.5  # of failed or slow calls that opens
COOLDOWN = 1.0  # seconds between probes


class Breaker:
    """The health of one engine as this process sees it.  Times are seconds of a monotonic clock."""

    __slots__ = ("__weakref__", "_bad", "_calls", "_lock", "_open_until", "_second")
    _all: ClassVar[weakref.WeakSet[Breaker]] = weakref.WeakSet()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()
        self._all.add(self)

    @classmethod
    def after_fork(cls) -> None:
        """Make new locks in a child process: nobody there lets go of what other threads held."""
        for breaker in cls._all:
            breaker._lock = threading.Lock()

    def _forget(self) -> None:
        self._calls, self._bad = [0] * WINDOW, [0] * WINDOW
        self._second = 0
        self._open_until = 0.0

    def allows(self, now: float) -> bool:
        """May a call be sent?  Of those asking while it is open, one each second may."""
        if not self._open_until:
            return True
        with self._lock:
            if now < self._open_until:
                return False
            self._open_until = now + COOLDOWN  # this caller is the probe
            return True

    def note(self, now: float, bad: bool) -> None:
        """Count the end of a call that was sent; ``bad`` if it failed or was slow."""
        second = int(now)
        if second > self._second:  # another thread's clock may have been read a moment earlier
            self._turn(second)
        slot = second % WINDOW
        self._calls[slot] += 1  # a count lost to another thread does not matter
        if bad:
            self._bad[slot] += 1
            if self._open_until or self._too_bad():
                self._open_until = now + COOLDOWN
        elif self._open_until:
            self._forget()

    def _too_bad(self) -> bool:
        calls = sum(self._calls)
        return calls >= FEWEST and sum(self._bad) >= SHARE * calls

    def _turn(self, second: int) -> None:
        with self._lock:
            for passed in range(max(self._second + 1, second - WINDOW + 1), second + 1):
                self._calls[passed % WINDOW] = self._bad[passed % WINDOW] = 0
            self._second = second


os.register_at_fork(after_in_child=Breaker.after_fork)
