"""gunicorn with several worker processes and threads, on a free port, in a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.races.clients import Browser
from tests.races.gates import Gates
from tests.waiting import until

ROOT = Path(__file__).parents[2]
WORKERS, THREADS = 4, 8


class Gunicorn:
    """Serves ``app`` (``module:name``) within a ``with`` block; ``environment`` is added to this process's.

    The listening socket is made here and handed over, so that the port is known and cannot
    be taken by others.  It ends with this process, however that ends.
    """

    def __init__(
        self,
        app: str,
        folder: Path,
        environment: dict[str, str],
        *options: str,
        cwd: Path | None = None,
        workers: int = WORKERS,
    ) -> None:
        self.folder, self.gates = folder, Gates(folder)
        self._app, self._options, self._cwd, self._workers = app, options, cwd or folder, workers
        path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        self._environment = {**os.environ, "PYTHONPATH": path, "SHOP_GATES": str(folder), **environment}

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            self.port: int = listener.getsockname()[1]
            with self.log_file.open("wb") as log:
                command = [sys.executable, "-m", "gunicorn", self._app, f"--bind=fd://{listener.fileno()}"]
                command += [f"--workers={self._workers}", f"--threads={THREADS}", "--worker-class=gthread"]
                self._process = subprocess.Popen(
                    [*command, "--no-control-socket", "--timeout=60", *self._options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._cwd,
                    env=self._environment,
                    pass_fds=[listener.fileno()],
                    start_new_session=True,
                )
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", 'read line || kill -s KILL -- "-$1"', "sh", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(self._is_ready, "the start of gunicorn")
        except BaseException as error:
            self.__exit__(None, None, None)
            raise AssertionError(self.log()) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._watcher.communicate(b"\n")

    def kill(self) -> None:
        """End the server and all its workers with SIGKILL."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.log()
        return len(self.workers()) == self._workers and self._answers()

    def _answers(self) -> bool:
        try:
            return self.browser().get("/untouched").status in (200, 404)
        except OSError:
            return False

    @property
    def log_file(self) -> Path:
        return self.folder / "gunicorn.log"

    def log(self) -> str:
        """The end of what it has logged."""
        return self.log_file.read_text("utf-8", "replace")[-4000:]

    def workers(self) -> list[int]:
        """The pids of its worker processes."""
        pid = self._process.pid
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def browser(self, base: str = "") -> Browser:
        """A browser without cookies."""
        return Browser(self.port, base)


def shop(folder: Path, url: str, *options: str) -> Gunicorn:
    """The shop of ``shop.py`` with its state at ``url``."""
    return Gunicorn("tests.races.shop:wsgi()", folder, {"MOORED_URL": url}, *options)
