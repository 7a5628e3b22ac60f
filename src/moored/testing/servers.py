"""A real Redis server for tests; ``process.py`` says when servers end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from moored.testing.process import HOST, ServerProcess, find_program, free_port
from moored.testing.resp import packed, read_reply

__all__ = ["RedisServer", "free_port"]

_SOCKET = "redis.sock"


class RedisServer(ServerProcess):
    """A real ``redis-server``, started and ended by a ``with`` block.

    ``args`` are further options of redis-server (``"--maxmemory", "2mb"``).  ``port`` is
    chosen unless given, and stays the same when the server is started again.
    ``unixsocket`` listens on a Unix socket instead of a port; ``tls`` only speaks TLS, with
    a certificate for 127.0.0.1 and localhost signed by ``ca_file``; ``password`` is that of
    the default user; ``replica_of`` makes it a replica of another (plain TCP) server, in
    step with it once started.  Nothing is persisted unless ``args`` say so.
    """

    PROGRAM: ClassVar[str] = "redis-server"

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
        super().__init__(0 if unixsocket else port)
        self._args = args
        self._unixsocket: bool = unixsocket
        self._tls: bool = tls
        self._password: str | None = password
        self._primary: RedisServer | None = replica_of

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
            return f"rediss://{user}{HOST}:{self.port}/0?ssl_ca_certs={quote(str(self.ca_file))}"
        return f"redis://{user}{HOST}:{self.port}/0"

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

    def _program(self) -> str:
        return find_program(
            "redis-server",
            packages="redis-server on Debian and Ubuntu (apt install redis-server), redis on Fedora, Alpine"
            " and Homebrew",
        )

    def _prepare(self) -> None:
        if self._tls:
            from moored.testing.certificates import write_certificates

            write_certificates(self.folder)

    def _options(self) -> list[str]:
        options = ["--bind", HOST, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
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
            options += ["--replicaof", f"{HOST} {self._primary.port}"]
            if self._primary._password:
                options += ["--masterauth", self._primary._password]
        return [*options, *self._args]

    def _is_ready(self) -> bool:
        # The pid, because another server may have taken the port before this one.
        lines = str(self.cli("INFO", timeout=0.25)).splitlines()
        if f"process_id:{self.pid}" not in lines:
            return False
        if self._primary is not None and "master_link_status:up" not in lines:
            return False
        return bool(self.cli("PING", timeout=0.25) == "PONG")  # refused while data is being loaded

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
        connection = socket.create_connection((HOST, self.port), timeout)
        if not self._tls:
            return connection
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            return context.wrap_socket(connection, server_hostname=HOST)
        except BaseException:
            connection.close()
            raise
