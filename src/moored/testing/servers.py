"""Real servers for tests, each in a temporary folder of its own.

A server ends with the process that started it, however that process ends: a small watcher
(``sh``) reads from a pipe whose other end only that process (and its forks) holds; at the
end of the pipe it kills the server and removes the folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from moored.testing.resp import packed, read_reply

_HOST = "127.0.0.1"
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_PORT_ATTEMPTS = 5
_SOCKET = "redis.sock"

# Reads the pids of servers from its input, an empty line meaning "none"; acts when it ends.
_WATCHER = 'p=; while read -r l; do p=$l; done; [ -z "$p" ] || kill -KILL "$p"; exec rm -rf -- "$1"'


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
                probe.bind((_HOST, port))
            except OSError:
                continue
            return port


class RedisServer:
    """A real ``redis-server``, started and ended by a ``with`` block.

    ``args`` are further options of redis-server (``"--maxmemory", "2mb"``).  ``port`` is
    chosen unless given, and stays the same when the server is started again.
    ``unixsocket`` listens on a Unix socket instead of a port; ``tls`` only speaks TLS, with
    a certificate for 127.0.0.1 and localhost signed by ``ca_file``; ``password`` is that of
    the default user; ``replica_of`` makes it a replica of another (plain TCP) server, in
    step with it once started.  Nothing is persisted unless ``args`` say so.

    ``start`` raises RuntimeError, with the end of the server's log, when the server is not
    ready in time, and when redis-server is not installed.
    """

    def __init__(
        self,
        *args: str,
        port: int | None = None,
        unixsocket: bool = False,
        tls: bool = False,
        password: str | None = None,
        replica_of: RedisServer | None = None,
    ) -> None:
        if replica_of is not None and (replica_of._unixsocket or replica_of._tls):
            raise ValueError("a replica can only follow a server that listens on plain TCP.")
        self.port: int = 0 if unixsocket else port or free_port()
        self._attempts = 1 if port or unixsocket else _PORT_ATTEMPTS
        self._args = args
        self._unixsocket: bool = unixsocket
        self._tls: bool = tls
        self._password: str | None = password
        self._primary: RedisServer | None = replica_of
        self._folder: Path | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Its temporary folder; there is one from the first start until ``close``."""
        if self._folder is None:
            raise RuntimeError("this redis-server has no folder: call start() first.")
        return self._folder

    @property
    def ca_file(self) -> Path | None:
        """With ``tls``: the certificate authority that clients must trust."""
        return self.folder / "ca.pem" if self._tls else None

    @property
    def url(self) -> str:
        """The URL of database 0, with the password and, for TLS, the option ``ssl_ca_certs``."""
        user = f":{quote(self._password, safe='')}@" if self._password else ""
        if self._unixsocket:
            return f"unix://{user}{quote(str(self.folder / _SOCKET))}"
        if self._tls:
            return f"rediss://{user}{_HOST}:{self.port}/0?ssl_ca_certs={quote(str(self.ca_file))}"
        return f"redis://{user}{_HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id; RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError("this redis-server is not running: call start() first.")
        return self._process.pid

    def start(self) -> None:
        """Start the server, on the data that lies in its folder, and wait until it answers."""
        if self._process is not None:
            raise RuntimeError("this redis-server is running already.")
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError(
                "redis-server was not found on the PATH. Install it: the package is redis-server on Debian"
                " and Ubuntu (apt install redis-server), redis on Fedora, Alpine and Homebrew."
            )
        if self._watcher is None:
            self._set_up()
        while True:
            with (self.folder / "redis.log").open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603 - the test chose program and options
                    [program, *self._options()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    start_new_session=True,  # Ctrl-C in the terminal is for the tests, not for the server
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
        """End the server with SIGTERM, after five seconds with SIGKILL; nothing if it is not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.send_signal(signal.SIGCONT)  # a paused server does not see the SIGTERM
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would; nothing if it is not running."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        self._watch(None)

    def pause(self) -> None:
        """Hang the server (SIGSTOP); when this returns, it has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, keep_data: bool) -> None:
        """End the server and start it again on the same port, with its data or empty.

        Without ``keep_data`` it ends as in a crash, and whatever it persisted is deleted.
        """
        if keep_data:
            self.cli("SAVE")
            self.stop()
            self.start()
            if self.cli("CONFIG", "GET", "save") == ["save", ""]:
                (self.folder / "dump.rdb").unlink()  # or a later crash would bring back this old state
            return
        self.kill()
        (self.folder / "dump.rdb").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        self.start()

    def cli(self, *words: str | bytes | int, timeout: float = 5.0) -> Any:
        """Run one command on a connection of its own and return the answer, text decoded.

        For setting up and looking on; ``timeout`` is in seconds.  Raises RuntimeError with the
        server's message if it refuses, OSError if it cannot be reached or does not answer.
        """
        with self._connect(timeout) as connection, connection.makefile("rb") as replies:
            if self._password:
                connection.sendall(packed("AUTH", self._password))
                read_reply(replies)
            connection.sendall(packed(*words))
            return read_reply(replies)

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
        return f"<RedisServer {'on a Unix socket' if self._unixsocket else self.port}, {state}>"

    def _set_up(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="moored-redis-"))
        self._watcher = subprocess.Popen(  # noqa: S603 - fixed program and script
            ["/bin/sh", "-c", _WATCHER, "sh", str(self._folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._tls:
            from moored.testing.certificates import write_certificates

            write_certificates(self._folder)

    def _options(self) -> list[str]:
        options = ["--bind", _HOST, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        options += ["--port", "0" if self._tls else str(self.port)]
        if self._unixsocket:
            options += ["--unixsocket", str(self.folder / _SOCKET)]
        if self._tls:
            options += ["--tls-port", str(self.port), "--tls-ca-cert-file", str(self.ca_file)]
            options += ["--tls-cert-file", str(self.folder / "server.pem"), "--tls-auth-clients", "no"]
            options += ["--tls-key-file", str(self.folder / "server.key")]
        if self._password:
            options += ["--requirepass", self._password]
        if self._primary is not None:
            options += ["--replicaof", f"{_HOST} {self._primary.port}"]
            if self._primary._password:
                options += ["--masterauth", self._primary._password]
        return [*options, *self._args]

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
            except (OSError, RuntimeError, ValueError) as error:  # ValueError: not Redis that has the port
                reason = str(error)
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"redis-server did not get ready in {_START_SECONDS:.0f} s ({reason}):\n{self._log()}"
                )
            time.sleep(0.005)
        raise RuntimeError(f"redis-server ended with code {self._process.returncode}:\n{self._log()}")

    def _is_ready(self) -> bool:
        # The pid, because another server may have taken the port before this one.
        lines = str(self.cli("INFO", timeout=0.25)).splitlines()
        if f"process_id:{self.pid}" not in lines:
            return False
        if self._primary is not None and "master_link_status:up" not in lines:
            return False
        return bool(self.cli("PING", timeout=0.25) == "PONG")  # refused while data is being loaded

    def _log(self) -> str:
        return "\n".join((self.folder / "redis.log").read_text("utf-8", "replace").splitlines()[-20:])

    def _connect(self, timeout: float) -> socket.socket:
        if self._unixsocket:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(timeout)
                connection.connect(str(self.folder / _SOCKET))
            except BaseException:
                connection.close()
                raise
            return connection
        connection = socket.create_connection((_HOST, self.port), timeout)
        if not self._tls:
            return connection
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            return context.wrap_socket(connection, server_hostname=_HOST)
        except BaseException:
            connection.close()
            raise
