"""The gate: where handlers, in whatever process, wait until the prover lets them go on."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 10.0  # seconds for all to arrive; a request takes milliseconds
STEP = 0.2  # seconds between two looks at whether waiting still makes sense


class NotRun(Exception):
    """A scene could not be run as it must be, so it proves nothing."""


class Gate:
    """A Unix socket in ``folder``, to be used as a context.

    Who comes writes one line, which says what for, and reads how many seconds it is to wait
    before it goes on.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate"
        self._socket = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        self._socket.bind(str(self.path))
        self._socket.listen(64)
        self._socket.settimeout(STEP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def gather(
        self, count: int, what: str, patience: float = PATIENCE, unless: Callable[[], bool] = lambda: False
    ) -> Waiting:
        """Wait until so many have come for that.

        Raises NotRun if they do not in ``patience`` seconds, or when ``unless`` says that they
        will not: those who did come are sent away, and fail.
        """
        deadline, found = time.monotonic() + patience, Waiting()
        try:
            while len(found) < count:
                try:
                    who, _ = self._socket.accept()
                except TimeoutError:
                    if time.monotonic() < deadline and not unless():
                        continue
                    raise NotRun(f"only {len(found)} of {count} came as far as “{what}”") from None
                who.settimeout(patience)
                if who.recv(32).decode().strip() == what:
                    found.add(who)
                else:  # a process that was started again, for example
                    who.close()
        except BaseException:
            found.close()
            raise
        return found


class Waiting:
    """Those who wait at the gate; as a context: who still waits at its end is sent away."""

    def __init__(self) -> None:
        self._who: list[socket.socket] = []

    def __len__(self) -> int:
        return len(self._who)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, who: socket.socket) -> None:
        """One more."""
        self._who.append(who)

    def let_go(self, delays: Sequence[float]) -> None:
        """Let each go on, after so many seconds."""
        for who, delay in zip(self._who, delays, strict=True):
            with who:
                who.sendall(f"{delay:.6f}".encode())

    def close(self) -> None:
        """Send them away: what they are at fails."""
        for who in self._who:
            who.close()
