"""How long workers of the old library may still be serving.

While they are, sessions stay where they read them.  The first worker of ours that is asked for
a session writes down when that was, for all workers and hosts that share the engine; and the
first one that goes on after the window has closed, that it has.  Without that our workers were
taken back before, so that those who come now are the first ones again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from moored.commands import Outside, Patch, Put, Read, Record, record_key
from moored.kinds.sessions.record import integer

_WAS_CLOSED = "@closed"


class Window:
    """The time from the first touch of a session by any of our workers.

    ``name`` tells one application's adoption from another's; ``length`` is in milliseconds;
    ``is_empty`` is asked once, and where nothing was there to adopt there is no window.
    ``clock`` answers monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        length: int,
        is_empty: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key: str = record_key("adoption", name)
        self.length = length
        self._is_empty, self._clock = is_empty, clock
        self._ends: float | None = None
        self._closed = False  # and a worker of ours has gone on since

    @property
    def is_open(self) -> bool:
        """May workers of the old library still be serving?  As far as ``learn`` was told."""
        return self.seconds_left > 0

    @property
    def seconds_left(self) -> float:
        """For how long they may."""
        return 0.0 if self._ends is None else max(0.0, self._ends - self._clock())

    async def learn(self) -> None:
        """Find out until when the window is open; a round trip when a process begins, and when it closes."""
        if self._closed or self.is_open:
            return
        if self._ends is None:
            record = await Read(self.key)
            while record is None or self._is_another_beginning(record):
                empty = not self.length or await Outside(self._is_empty)
                began, version = (
                    {"@alongside": b"0" if empty else b"1"},
                    0 if record is None else record.version,
                )
                await Put(self.key, began, {"@began": 0}, version=version)
                record = await Read(self.key)
            left = self.left(record)
            if left:
                self._ends = self._clock() + left / 1000
                return
        await Patch(self.key, {_WAS_CLOSED: b"1"})
        self._closed = True

    def left(self, record: Record) -> int:
        """Milliseconds until it closes, by its record."""
        if record.fields.get("@alongside") != b"1" or _WAS_CLOSED in record.fields:
            return 0
        return max(0, integer(record.fields, "@began") + self.length - record.at)

    def _is_another_beginning(self, record: Record) -> bool:
        """Has it passed without any of our workers?  This one has not seen it open."""
        return (
            self.length > 0
            and record.fields.get("@alongside") == b"1"
            and _WAS_CLOSED not in record.fields
            and not self.left(record)
        )
