"""Where a handler waits, in whatever process, until a test lets it go on."""

from __future__ import annotations

from pathlib import Path

from tests.waiting import until


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
