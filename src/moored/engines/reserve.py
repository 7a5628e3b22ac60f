"""A reserve of disk space, given up when the disk is full so that revocations still succeed."""

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
        """Take the space, if there is room for it."""
        if self._path.exists():
            return
        with suppress(OSError):
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize < 2 * SIZE:
                return
            file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(file, 0, SIZE)
            finally:
                os.close(file)

    def release(self) -> bool:
        """Give the space up; false if there was none to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
