"""Waiting in tests for what others do, and for nothing longer than it takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 20.0  # seconds
PAUSE = 0.002  # seconds between two looks


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for it; AssertionError that says ``what`` did not happen."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, _missed(what, seconds)
        time.sleep(PAUSE)


async def auntil(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """The same, while the others on the loop run."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, _missed(what, seconds)
        await asyncio.sleep(0)


def lives(pid: int) -> bool:
    """Does a process run?  Not so if it has ended and only waits for somebody to ask how."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _missed(what: str, seconds: float) -> str:
    return f"{what} did not happen in {seconds:g} s"
