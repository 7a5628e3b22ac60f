"""A reserve of disk space, given up when the disk is full so that revocations still succeed.

It is a file beside the database, which all processes see: full-sized while the space is held,
empty once it was given up.  From then until it can be filled again, what is left of the disk is
for those who end something, or others would use it up before them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE = 4 * 1024 * 1024  # bytes: thousands of tombstones, and the write-ahead log they pass through


class Reserve:
    """A file of ``SIZE`` bytes beside the database."""

    def __init__(self, database: Path) -> None:
        self._path = Path(f"{database}-reserve")

    def fill(self) -> None:
        """Take the space, if it is not taken yet and there is twice the room for it."""
        if self._size() == SIZE:
            return
        with suppress(OSError):
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize < 2 * SIZE:
                return
            file = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(file, 0, SIZE)
            except OSError:  # the room is somebody else's: there is no reserve here
                self._path.unlink()
                raise
            finally:
                os.close(file)

    def release(self) -> None:
        """Give the space up, if it is held."""
        if self._size():
            with suppress(OSError):
                os.truncate(self._path, 0)

    def spent(self) -> bool:
        """Was it given up, and is there no room yet to take it again?"""
        if self._size() != 0:
            return False
        self.fill()
        return self._size() == 0

    def _size(self) -> int | None:
        try:
            return self._path.stat().st_size
        except OSError:
            return None
