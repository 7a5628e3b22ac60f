"""The servers that tests start: they hang, crash and end as asked, and leave nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.waiting import lives, until

from moored.testing.servers import RedisServer, free_port


@pytest.mark.parametrize("options", [{}, {"unixsocket": True}, {"tls": True}, {"password": "a/b c@:"}])
def test_the_url_leads_to_it(options: dict[str, bool | str]) -> None:
    import redis

    with RedisServer(**options) as server:  # type: ignore[arg-type]
        client = redis.Redis.from_url(server.url)
        assert client.info("server")["process_id"] == server.pid
        client.close()
        assert server.cli("SET", "k", "ä") == "OK"
        assert server.cli("GET", "k") == "ä"
        with pytest.raises(RuntimeError, match="WRONGTYPE"):
            server.cli("HGETALL", "k")


def test_data_is_kept_or_lost() -> None:
    with RedisServer() as server:
        url = server.url
        server.cli("SET", "k", 1)
        server.restart(keep_data=True)
        assert server.cli("GET", "k") == "1"
        server.kill()
        server.start()
        assert server.cli("GET", "k") is None
        server.cli("SET", "k", 1)
        server.restart(keep_data=False)
        assert server.cli("GET", "k") is None
        assert server.url == url
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        server.cli("SET", "k", 1)
        server.kill()
        server.start()
        assert server.cli("GET", "k") == "1"
        server.restart(keep_data=False)
        assert server.cli("GET", "k") is None


def test_a_paused_server_hangs_until_it_is_resumed_and_can_be_stopped() -> None:
    with RedisServer() as server:
        for _ in range(20):
            server.pause()
            assert "\nState:\tT" in Path(f"/proc/{server.pid}/status").read_text()
            server.resume()
        for _ in range(2):
            server.pause()
            with pytest.raises(TimeoutError):
                server.cli("PING", timeout=0.05)
            server.resume()
            assert server.cli("PING") == "PONG"
        server.pause()
        folder, start = server.folder, time.monotonic()
    assert time.monotonic() - start < 3
    assert not folder.exists()


def test_a_replica_follows() -> None:
    with RedisServer(password="p") as primary:
        primary.cli("SET", "k", 1)
        with RedisServer(replica_of=primary) as replica:
            assert replica.cli("GET", "k") == "1"
            assert primary.cli("INCR", "k") == 2
            assert primary.cli("WAIT", 1, 2000) == 1
            assert replica.cli("GET", "k") == "2"
            primary.kill()
            assert replica.cli("REPLICAOF", "NO", "ONE") == "OK"
            assert replica.cli("INCR", "k") == 3
    with pytest.raises(ValueError, match="plain TCP"):
        RedisServer(replica_of=RedisServer(unixsocket=True))


def test_a_failed_start_tells_why() -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)ended with code 1.*Bad directive"),
        RedisServer("--nonsense", "1"),
    ):
        pass
    with (
        RedisServer() as first,
        pytest.raises(RuntimeError, match="Address already in use"),
        RedisServer(port=first.port),
    ):
        pass


def test_a_port_that_was_taken_meanwhile_is_replaced() -> None:
    server = RedisServer()
    with socket.create_server(("127.0.0.1", server.port)) as other, server:
        assert server.port != other.getsockname()[1]
        assert server.cli("PING") == "PONG"


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt install redis-server"):
        RedisServer().start()


def test_free_ports_are_free_and_not_for_outgoing_connections() -> None:
    ports = {free_port() for _ in range(20)}
    assert len(ports) > 15
    assert all(10_000 <= port < 32_768 for port in ports)


PARENT = """
import sys, time
from moored.testing.servers import RedisServer
server = RedisServer()
server.start()
server.pause()
print(server.pid, server.folder, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_server_ends_with_the_process_that_started_it(end: signal.Signals | None) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent:
        pid, folder = parent.stdout.readline().split()
        assert lives(int(pid))
        assert Path(folder).is_dir()
        if end is not None:
            parent.send_signal(end)
        parent.stdin.close()
        parent.wait(5)
        until(lambda: not lives(int(pid)) and not Path(folder).exists(), "the server's end")
