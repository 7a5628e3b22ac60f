"""Where a handler waits, in whatever process, until a test lets it go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 20.0  # seconds


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for it; AssertionError if it does not happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {PATIENCE:.0f} s"
        time.sleep(0.002)


class Gates:
    """Named gates, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pass_through(self, name: str) -> None:
        """In a handler: say that it is there, and wait until the gate is open."""
        (self._folder / f"{name}.arrived").touch()
        until((self._folder / f"{name}.open").exists, f"the opening of {name}")

    def wait_for(self, name: str) -> None:
        """In a test: wait until the handler is there."""
        until((self._folder / f"{name}.arrived").exists, f"an arrival at {name}")

    def open(self, name: str) -> None:
        """In a test: let it go on."""
        (self._folder / f"{name}.open").touch()
