"""Starting and ending a server, so that no process of it is left, however the prover ends."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

import moored
from moored.prove.gate import Gate, NotRun
from moored.prove.sides import Place, Side
from moored.prove.worker import WORKERS, Task

START = 30.0  # seconds for all processes to start
STOP = 5.0  # seconds for them to end by themselves

# Ends the server's process group ($1) and its folder ($2) when the prover is gone without a word.
# `kill -s KILL --` is how POSIX writes it: of `kill -KILL -- -1` dash makes an error.  Who is killed
# may still end what it was doing, such as making a file in a folder that is being removed.
_WATCHER = 'read line || { kill -s KILL -- "-$1"; rm -rf -- "$2" || { sleep 1; rm -rf -- "$2"; }; }'


class Server:
    """The shop under gunicorn, with its sessions kept as ``side`` says; to be used as a context.

    ``folder`` is for the server's own files.  Entering raises NotRun if it does not start.
    """

    def __init__(self, side: Side, place: Place, gate: Gate, folder: Path) -> None:
        self.port: int = 0
        self._side, self._place, self._gate, self._folder = side, place, gate, folder

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            self.port = listener.getsockname()[1]
            task = Task(
                install=self._side.where,
                place=self._place,
                listener=listener.fileno(),
                gate=self._gate.port,
                secret=secrets.token_hex(32),
                program=moored.__file__,
            )
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "moored.prove.worker"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env=_environment(),
                    pass_fds=[listener.fileno()],
                    start_new_session=True,  # a process group of its own; Ctrl-C is for the prover
                )
        self._watcher = subprocess.Popen(  # noqa: S603 - fixed program and script
            ["/bin/sh", "-c", _WATCHER, "sh", str(self._process.pid), str(self._folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert self._process.stdin is not None
            with self._process.stdin as words:
                words.write(msgspec.json.encode(task))
            self._gate.gather(
                WORKERS, "started", START, unless=lambda: self._process.poll() is not None
            ).let_go([0.0] * WORKERS)
        except BaseException as error:
            self._end(0.0)  # a worker that is starting does not hear
            if isinstance(error, (NotRun, OSError)):
                raise NotRun(f"the server did not start: {self._last_words() or error}") from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self, patience: float = STOP) -> None:
        self._process.terminate()  # it ends its workers, and waits for them
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:  # not waited for: its number is still that of its group
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._watcher.communicate(b"\n")

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if "Error" in line), "")


def _environment() -> dict[str, str]:
    """This process's environment, without what would make one side different from another."""
    ours = ("MOORED_", "FLASK_", "GUNICORN_", "WEB_CONCURRENCY")
    found = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if paths := found.get("PYTHONPATH"):  # as it is meant here; the server's working folder is another
        found["PYTHONPATH"] = os.pathsep.join([*map(os.path.abspath, paths.split(os.pathsep))])
    return found
