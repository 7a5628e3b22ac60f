"""File modes that count: root is not stopped by them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


@contextmanager
def unprivileged(folder: Path) -> Generator[None]:
    """Let this thread open files as somebody who is not root; they can reach ``folder``.

    Does nothing where the tests are not run by root.
    """
    if os.geteuid() != 0:
        yield
        return
    for parent in (folder, *folder.parents):
        if parent.stat().st_mode & 0o011 != 0o011:
            parent.chmod(parent.stat().st_mode | 0o011)  # to pass through, not to look into
    libc = ctypes.CDLL(None)
    libc.setfsuid(NOBODY)  # of this thread only
    try:
        yield
    finally:
        libc.setfsuid(0)
