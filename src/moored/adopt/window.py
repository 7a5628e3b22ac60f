"""How long workers of the old library may still be serving.

While they are, sessions stay where they read them.  The first worker of ours that is asked for
a session writes down when that was, for all workers and hosts that share the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from moored.commands import Outside, Put, Read, Record, record_key
from moored.kinds.sessions.record import integer


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
        self.key = record_key("adoption", name)
        self.length = length
        self._is_empty, self._clock = is_empty, clock
        self._ends: float | None = None

    @property
    def is_open(self) -> bool:
        """May workers of the old library still be serving?  As far as ``learn`` was told."""
        return self.seconds_left > 0

    @property
    def seconds_left(self) -> float:
        """For how long they may."""
        return 0.0 if self._ends is None else max(0.0, self._ends - self._clock())

    async def learn(self) -> None:
        """Find out until when the window is open; one round trip in the life of a process."""
        if self._ends is not None:
            return
        record = await Read(self.key)
        while record is None:
            empty = not self.length or await Outside(self._is_empty)
            await Put(self.key, {"@alongside": b"0" if empty else b"1"}, {"@began": 0}, version=0)
            record = await Read(self.key)
        self._ends = self._clock() + self.left(record) / 1000

    def left(self, record: Record) -> int:
        """Milliseconds until it closes, by its record."""
        if record.fields.get("@alongside") != b"1":
            return 0
        return max(0, integer(record.fields, "@began") + self.length - record.at)
