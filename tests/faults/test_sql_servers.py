"""The databases that tests start: quick, out of reach for others, and gone with who started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer
from tests.waiting import lives, until

Server = type[PostgresServer | MariaDBServer]
SERVERS = [PostgresServer, MariaDBServer]


@pytest.mark.parametrize("kind", SERVERS)
def test_its_port_its_password_and_its_data(kind: Server) -> None:
    server = kind()
    with socket.create_server(("127.0.0.1", server.port)) as other, server:
        assert server.port != other.getsockname()[1]

        folder = server.folder
        assert (folder.stat().st_mode & 0o777) == 0o700
        if os.geteuid() == 0:
            assert folder.stat().st_uid != 0
        password, server._password = server._password, "another"
        with pytest.raises(RuntimeError, match=r"(?i)password"):
            server.sql("SELECT 1")
        server._password = password

        server.sql("CREATE TABLE t (n integer)")
        server.sql("INSERT INTO t VALUES (1)")
        for end in (server.kill, server.stop):
            end()
            server.start()
            assert server.sql("SELECT n FROM t") == [(1,)]
        server.clear()
        server.sql("CREATE TABLE t (n integer)")
        assert server.sql("SELECT n FROM t") == []
    assert not folder.exists()


@pytest.mark.parametrize("kind", SERVERS)
def test_a_failed_start_tells_why(kind: Server) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)ended with code.*nonsense"), kind("--nonsense=1"):
        pass


PARENT = """
import sys
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer
server = {kind}()
server.start()
print(server.pid, server.folder, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_ends_with_the_process_that_started_it(kind: Server) -> None:
    code = PARENT.format(kind=kind.__name__)
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent:
        pid, folder = parent.stdout.readline().split()
        assert lives(int(pid))
        parent.send_signal(signal.SIGKILL)
        parent.stdin.close()
        parent.wait(5)
        until(lambda: not lives(int(pid)) and not Path(folder).exists(), "the server's end")
