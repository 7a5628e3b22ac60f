"""Server programs that tests start: each in a temporary folder of its own, on a loopback port.

A server ends with the process that started it, however that process ends: a small watcher
(``sh``) reads from a pipe whose other end only that process (and its forks) holds; at the
end of the pipe it kills the server and removes the folder.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

HOST = "127.0.0.1"

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_PORT_ATTEMPTS = 5

# Reads the pids of servers from its input, an empty line meaning "none"; acts when it ends.  What
# ends by itself may still write into the folder while that is being removed.
_WATCHER = """
p=; while read -r l; do p=$l; done; [ -z "$p" ] || kill -s "$2" "$p"
rm -rf -- "$1" || { sleep 1; exec rm -rf -- "$1"; }
"""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at this moment.

    It is taken from below the range that systems use for outgoing connections (Linux from
    32768, others from 49152; RFC 6335), so that no such connection takes it while a server
    is down, and a client that keeps trying to reach a dead server cannot connect to itself.
    Somebody else can still take it before it is used: be ready to ask for another.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)  # not `random`: tests seed that alike in every worker
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


class ServerProcess(ABC):
    """A server that a ``with`` block starts and ends.

    ``port`` is chosen unless given, and stays the same when the server is started again; 0 is
    for a server without one.  ``start`` raises RuntimeError, with the end of the server's log,
    when the server is not ready in time, and when it is not installed.
    """

    PROGRAM: ClassVar[str]
    """Its name, for messages."""
    END: ClassVar[signal.Signals] = signal.SIGTERM
    """The signal that ends it in order."""
    CRASH: ClassVar[signal.Signals] = signal.SIGKILL
    """The signal that ends it at once, with what is not on disk lost."""
    ACCOUNTS: ClassVar[tuple[str, ...]] = ()
    """For a server that refuses to run as root: the accounts that root may run it as, the best one first."""

    def __init__(self, port: int | None = None) -> None:
        self.port: int = free_port() if port is None else port
        self._attempts = _PORT_ATTEMPTS if port is None else 1
        self._folder: Path | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._account: pwd.struct_passwd | None = None

    # --- What a server is -----------------------------------------------------------------------

    @abstractmethod
    def _program(self) -> str:
        """The program, which must stay in the foreground; RuntimeError if it is not installed."""

    @abstractmethod
    def _prepare(self) -> None:
        """Put into the new folder what the first start needs."""

    @abstractmethod
    def _options(self) -> Sequence[str]:
        """The program's options."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Does this very server serve?  Another one may have taken the port before it."""

    # --- What can be done with one --------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Its temporary folder; there is one from the first start until ``close``."""
        if self._folder is None:
            raise RuntimeError(f"this {self.PROGRAM} has no folder: call start() first.")
        return self._folder

    @property
    def pid(self) -> int:
        """The process id; RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError(f"this {self.PROGRAM} is not running: call start() first.")
        return self._process.pid

    def start(self) -> None:
        """Start the server, on the data that lies in its folder, and wait until it answers."""
        if self._process is not None:
            raise RuntimeError(f"this {self.PROGRAM} is running already.")
        program = self._program()
        if self._watcher is None:
            self._set_up()
        while True:
            with self._log_file.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603 - the test chose program and options
                    [program, *self._options()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    start_new_session=True,  # Ctrl-C in the terminal is for the tests, not for the server
                    user=self._uid,
                    group=self._gid,
                    extra_groups=self._groups,
                )
            self._watch(self._process.pid)
            try:
                self._wait_until_ready()
            except BaseException as error:
                self.kill()
                taken = isinstance(error, RuntimeError) and "Address already in use" in self._log()
                self._attempts -= 1
                if not taken or self._attempts < 1:
                    raise
                self.port = free_port()
            else:
                self._attempts = 1  # the port is known to others now
                return

    def stop(self) -> None:
        """End the server in order, after five seconds with SIGKILL; nothing if it is not running."""
        self._end(self.END)

    def kill(self) -> None:
        """End the server as a crash would; nothing if it is not running."""
        self._end(self.CRASH)

    def close(self) -> None:
        """Stop the server for good and remove its folder."""
        self.stop()
        if self._watcher is not None:
            self._watcher.communicate()
            self._watcher = self._folder = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "running" if self._process else "not running"
        return f"<{type(self).__name__} {self.port or 'on a Unix socket'}, {state}>"

    # --- How ------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"moored-{self.PROGRAM}-"))
        self._watcher = subprocess.Popen(  # noqa: S603 - fixed program and script
            ["/bin/sh", "-c", _WATCHER, "sh", str(self._folder), self.CRASH.name.removeprefix("SIG")],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self.ACCOUNTS and os.geteuid() == 0:
            self._account = _first(self.ACCOUNTS)
            self._give(self._folder)
        self._prepare()

    @property
    def _uid(self) -> int | None:
        return self._account and self._account.pw_uid

    @property
    def _gid(self) -> int | None:
        return self._account and self._account.pw_gid

    @property
    def _groups(self) -> list[int] | None:
        return None if self._account is None else []

    def _run(self, *command: str) -> None:
        """Run a program to its end in the folder, as whom the server runs."""
        with self._log_file.open("wb") as log:
            done = subprocess.run(  # noqa: S603 - fixed programs
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                check=False,
                user=self._uid,
                group=self._gid,
                extra_groups=self._groups,
            )
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with code {done.returncode}:\n{self._log()}")

    def _write(self, name: str, secret: str) -> Path:
        """Put a file into the folder that only those may read as whom the server runs."""
        path = self.folder / name
        path.touch(0o600)
        path.write_text(secret)
        self._give(path)
        return path

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)  # a paused server sees nothing else
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self._process.kill()
        self._process.wait()
        self._process = None
        self._watch(None)

    def _watch(self, pid: int | None) -> None:
        assert self._watcher is not None
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(f"{pid or ''}\n".encode())
        self._watcher.stdin.flush()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None:
            try:
                if self._is_ready():
                    return
                reason = "it is not ready"
            except (OSError, RuntimeError, ValueError) as error:  # ValueError: another kind of server answers
                reason = str(error)
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self.PROGRAM} did not get ready in {_START_SECONDS:.0f} s ({reason}):\n{self._log()}"
                )
            time.sleep(0.005)
        raise RuntimeError(f"{self.PROGRAM} ended with code {self._process.returncode}:\n{self._log()}")

    @property
    def _log_file(self) -> Path:
        return self.folder / "server.log"

    def _log(self) -> str:
        return "\n".join(self._log_file.read_text("utf-8", "replace").splitlines()[-20:])


def find_program(name: str, *, packages: str, places: Sequence[str] = ()) -> str:
    """The path of a program on the PATH or in one of ``places``; RuntimeError without it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *places]))
    if found is None:
        raise RuntimeError(f"{name} was not found on the PATH. Install it: the package is {packages}.")
    return found


def _first(names: Sequence[str]) -> pwd.struct_passwd:
    for name in names:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError(f"root may not run this server, and there is no account {' or '.join(names)}.")
