"""The gate: where handlers, in whatever process, wait until the prover lets them go on."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

PATIENCE = 10.0  # seconds for all to arrive; a request takes milliseconds
STEP = 0.2  # seconds between two looks at whether waiting still makes sense


class NotRun(Exception):
    """A scene could not be run as it must be, so it proves nothing."""


class Gate:
    """A socket on loopback, to be used as a context.

    Who comes writes one line, which says what for, and reads how many seconds it is to wait
    before it goes on.
    """

    port: int

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._socket.settimeout(STEP)
        self.port = self._socket.getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def gather(
        self, count: int, what: str, patience: float | None = None, unless: Callable[[], bool] = lambda: False
    ) -> Waiting:
        """Wait until so many have come for that.

        Raises NotRun if they do not in ``patience`` seconds (by default PATIENCE), or when
        ``unless`` says that they will not: those who did come are sent away, and fail.
        """
        patience = PATIENCE if patience is None else patience
        deadline, found = time.monotonic() + patience, Waiting()
        try:
            while len(found) < count:
                try:
                    who, _ = self._socket.accept()
                except TimeoutError:
                    if time.monotonic() < deadline and not unless():
                        continue
                    raise NotRun(f"only {len(found)} of {count} came as far as “{what}”") from None
                who.settimeout(max(STEP, deadline - time.monotonic()))
                if _said_by(who) == what:
                    found.add(who)
                else:  # a process that was started again, for example, or one that has been killed
                    who.close()
        except BaseException:
            found.close()
            raise
        return found

    def send_away(self, until: Callable[[], bool]) -> None:
        """Send away all who still come: what they are at fails."""
        while not until():
            with suppress(TimeoutError):
                self._socket.accept()[0].close()


def _said_by(who: socket.socket) -> str:
    try:
        return who.recv(32).decode(errors="replace").strip()
    except OSError:  # reset, or silent for too long
        return ""


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
        """Let each go on, after so many seconds.  Raises NotRun if one is not there any more."""
        gone = 0
        for who, delay in zip(self._who, delays, strict=True):
            try:
                with who:
                    who.sendall(f"{delay:.6f}".encode())
            except OSError:
                gone += 1
        if gone:
            raise NotRun(f"{gone} of {len(self._who)} handlers ended at the gate")

    def close(self) -> None:
        """Send them away: what they are at fails."""
        for who in self._who:
            who.close()
