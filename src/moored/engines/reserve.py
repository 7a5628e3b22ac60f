"""A reserve of disk space, given up when the disk is full so that revocations still succeed.

It is a file beside the database, which all processes see: full-sized while the space is held,
empty once it was given up.  From then until it can be filled again, what is left of the disk is
for those who end something, or others would use it up before them.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

SIZE = 4 * 1024 * 1024  # bytes: thousands of tombstones, and the write-ahead log they pass through
# What was put in its place, a link to another file for one, is not written to.
FLAGS = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
            file = os.open(self._path, os.O_CREAT | FLAGS, 0o600)
            try:
                if not _ours(os.fstat(file)):
                    return
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
                file = os.open(self._path, FLAGS)
                try:
                    if _ours(os.fstat(file)):
                        os.ftruncate(file, 0)
                finally:
                    os.close(file)

    def spent(self) -> bool:
        """Was it given up, and is there no room yet to take it again?"""
        if self._size() != 0:
            return False
        self.fill()
        return self._size() == 0

    def _size(self) -> int | None:
        """Of the reserve in bytes; None if there is none, or something else in its place."""
        try:
            found = self._path.lstat()
        except OSError:
            return None
        return found.st_size if _ours(found) else None


def _ours(found: os.stat_result) -> bool:
    """A plain file of this user's, that is nowhere else by another name?"""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
