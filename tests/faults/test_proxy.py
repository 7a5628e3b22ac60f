"""Each fault of ``FaultProxy``, proven against a real Redis server with a bare socket as client."""

from __future__ import annotations

import gc
import logging
import os
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any, Self
from uuid import uuid4

import pytest
from tests.waiting import until

from moored.errors import MisuseError
from moored.testing.faults import (
    Fault,
    FaultProxy,
    Planner,
    chance,
    cut_after,
    cut_before,
    delay,
    every,
    late,
    nth,
    rate,
    stall,
    truncate,
)
from moored.testing.resp import Framing, packed, read_reply
from moored.testing.servers import RedisServer

MEGABYTE = 1_000_000


class Client:
    """A connection that never retries."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5.0)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.replies = self.socket.makefile("rb")

    def send(self, *words: str | bytes | int) -> None:
        self.socket.sendall(packed(*words))

    def ask(self, *words: str | bytes | int) -> Any:
        self.send(*words)
        return read_reply(self.replies)

    def rest(self) -> bytes:
        """All that still comes until the other side ends the connection; TimeoutError if it does not."""
        return self.replies.read()

    def close(self) -> None:
        self.replies.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Client]:
    with Client(proxy.port) as client:
        yield client


@pytest.fixture
def key() -> str:
    return uuid4().hex


# --- Nothing is harmed without a fault -------------------------------------------------------


def test_url(proxy: FaultProxy) -> None:
    there = f"127.0.0.1:{proxy.port}"
    assert proxy.url_for("redis://u:p%40@example:1/3?wait=1") == f"redis://u:p%40@{there}/3?wait=1"
    assert proxy.url_for("rediss://localhost") == f"rediss://{there}"


def test_pipeline_is_one_request_with_as_many_replies(proxy: FaultProxy, client: Client, key: str) -> None:
    client.socket.sendall(packed("INCR", key) * 500)
    assert [read_reply(client.replies) for _ in range(500)] == [*range(1, 501)]
    assert proxy.requests == proxy.delivered == 1
    proxy.plan(nth(1, cut_after()))
    client.socket.sendall(packed("INCR", key) * 500)
    assert client.rest() == b""
    with Client(proxy.port) as other:
        assert other.ask("GET", key) == "1000"


def test_five_megabytes_are_one_request(proxy: FaultProxy, client: Client, key: str) -> None:
    value = os.urandom(5 * MEGABYTE // 2).hex()
    assert client.ask("SET", key, value) == "OK"
    assert client.ask("GET", key) == value
    assert proxy.requests == 2
    proxy.plan(every(1, cut_after(), cut_before()))
    client.send("SET", key, value[::-1])
    assert client.rest() == b""
    with Client(proxy.port) as other, suppress(OSError):
        other.send("SET", key, "lost" * MEGABYTE)
        assert other.rest() == b""
    proxy.plan(None)
    with Client(proxy.port) as other:
        assert other.ask("GET", key) == value[::-1]
    assert proxy.fired == {"cut_after": 1, "cut_before": 1}


def test_a_pipeline_of_many_packets_is_one_request(proxy: FaultProxy, client: Client, key: str) -> None:
    proxy.plan(nth(1, cut_after()))
    client.socket.sendall(packed("APPEND", key, "x" * MEGABYTE) * 3 + packed("INCR", key + "n"))
    assert client.rest() == b""
    assert (proxy.requests, proxy.delivered) == (1, 1)
    with Client(proxy.port) as other:
        assert other.ask("STRLEN", key) == 3 * MEGABYTE
        assert other.ask("GET", key + "n") == "1"


def test_request_in_small_pieces(proxy: FaultProxy, client: Client, key: str) -> None:
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in packed("SET", key, "*1\r\n$4\r\n"):
        client.socket.sendall(bytes([byte]))
    assert read_reply(client.replies) == "OK"
    assert client.ask("GET", key) == "*1\r\n$4\r\n"
    assert proxy.requests == 2


def test_what_the_server_says_unasked_passes(
    proxy: FaultProxy, client: Client, server: RedisServer, key: str
) -> None:
    assert client.ask("SUBSCRIBE", key) == ["subscribe", key, 1]
    server.cli("PUBLISH", key, "news")
    assert read_reply(client.replies) == ["message", key, "news"]


@pytest.mark.parametrize(
    "values",
    [
        [b"+OK\r\n", b":1\r\n", b"-ERR no\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"$0\r\n\r\n"],
        [packed("SET", "k", "\r\n*3\r\n"), b"PING\r\n", packed("GET", "k")],
        [b"*2\r\n*1\r\n:1\r\n*2\r\n$2\r\nab\r\n_\r\n", b"%1\r\n+k\r\n~2\r\n#t\r\n,1.5\r\n", b"(12\r\n"],
        [b">2\r\n+invalidate\r\n*0\r\n+OK\r\n", b"|1\r\n+ttl\r\n:5\r\n*2\r\n|1\r\n+a\r\n:1\r\n:2\r\n:3\r\n"],
        [b"=7\r\ntxt:abc\r\n", b"!5\r\nERR x\r\n", b"\r\nPING\r\n"],
    ],
    ids=["RESP2 replies", "commands", "aggregates", "pushes and attributes", "long strings"],
)
def test_framing_finds_the_ends(values: list[bytes]) -> None:
    data = b"".join(values)
    ends = [sum(map(len, values[: n + 1])) for n in range(len(values))]
    assert Framing().feed(data) == ends
    for size in (1, 2, 3, 7):
        framing = Framing()
        found = []
        for at in range(0, len(data), size):
            found += [at + end for end in framing.feed(data[at : at + size])]
        assert found == ends
        assert framing.complete


# --- Cut --------------------------------------------------------------------------------------


def test_cut_before(proxy: FaultProxy, client: Client, server: RedisServer, key: str) -> None:
    proxy.plan(nth(2, cut_before()))
    assert client.ask("INCR", key) == 1
    client.send("INCR", key)
    assert client.rest() == b""
    assert proxy.fired == {"cut_before": 1}
    with Client(proxy.port) as other:
        assert other.ask("INCR", key) == 2
    assert (proxy.requests, proxy.delivered) == (3, 2)


def test_cut_after(proxy: FaultProxy, client: Client, server: RedisServer, key: str) -> None:
    proxy.plan(nth(1, cut_after()))
    client.send("INCR", key)
    assert client.rest() == b""
    assert server.cli("GET", key) == "1"
    assert proxy.fired == {"cut_after": 1}
    assert (proxy.requests, proxy.delivered) == (1, 1)


SLOW = """local t = redis.call('TIME'); local stop = t[1] * 1e6 + t[2] + 50000
repeat t = redis.call('TIME') until t[1] * 1e6 + t[2] > stop
return redis.call('INCR', KEYS[1])"""


def test_cut_after_waits_for_the_server(proxy: FaultProxy, client: Client, key: str) -> None:
    """Once the client can see the cut, the request has been executed, however long that took."""
    proxy.plan(nth(1, cut_after()))
    with Client(proxy.port) as other:
        assert proxy.fired == {}
        start = time.monotonic()
        client.send("EVAL", SLOW, 1, key)
        assert client.rest() == b""
        assert time.monotonic() - start > 0.04
        assert other.ask("GET", key) == "1"


def test_cut_after_waits_for_all_answers(
    proxy: FaultProxy, client: Client, server: RedisServer, key: str
) -> None:
    proxy.plan(nth(1, cut_after()))
    client.socket.sendall(packed("PING") + packed("BLPOP", key, 0))
    until(lambda: "cmd=blpop" in server.cli("CLIENT", "LIST"), "the BLPOP")
    client.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.socket.recv(1)
    client.socket.settimeout(5)
    server.cli("RPUSH", key, 1)
    assert client.socket.recv(1) == b""
    assert server.cli("LLEN", key) == 0


def test_cut_after_loses_no_earlier_answer(proxy: FaultProxy, client: Client, key: str) -> None:
    proxy.plan(nth(2, cut_after()))
    client.send("EVAL", SLOW, 1, key)
    until(lambda: proxy.delivered == 1, "the first answer")
    client.send("INCR", key)
    assert client.rest() == b":1\r\n"
    with Client(proxy.port) as other:
        assert other.ask("GET", key) == "2"


def test_a_client_sees_that_the_server_died() -> None:
    with RedisServer() as server, FaultProxy(server.port) as proxy, Client(proxy.port) as client:
        assert client.ask("PING") == "PONG"
        server.kill()
        assert client.rest() == b""
        with Client(proxy.port) as other:
            assert other.rest() == b""
        server.start()
        with Client(proxy.port) as other:
            assert other.ask("PING") == "PONG"


def test_cut_after_with_a_dead_server_has_not_fired(key: str) -> None:
    with RedisServer() as server, FaultProxy(server.port) as proxy, Client(proxy.port) as client:
        proxy.plan(nth(2, cut_after()))
        assert client.ask("PING") == "PONG"
        server.pause()
        client.send("INCR", key)
        until(lambda: proxy.delivered == 2, "the second answer")
        server.kill()
        assert client.rest() == b""
        assert proxy.fired == {}
        server.start()
        with Client(proxy.port) as other:
            assert other.ask("INCR", key) == 1


def test_cut_is_seen_though_a_fork_has_inherited_the_connection(proxy: FaultProxy, client: Client) -> None:
    assert client.ask("PING") == "PONG"
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork() with threads: the child only waits
        child = os.fork()
    if child == 0:
        os.close(writes)
        os.read(reads, 1)
        os._exit(0)
    try:
        proxy.plan(nth(1, cut_before()))
        client.send("PING")
        assert client.rest() == b""
    finally:
        os.close(writes)
        os.close(reads)
        os.waitpid(child, 0)


def test_truncate(proxy: FaultProxy, client: Client, server: RedisServer, key: str) -> None:
    proxy.plan(nth(2, truncate(7)))
    assert client.ask("SET", key, "x" * 300_000) == "OK"
    client.send("GETDEL", key)
    assert client.rest() == b"$300000"
    assert server.cli("EXISTS", key) == 0
    assert proxy.fired == {"truncate": 1}


def test_truncate_loses_nothing_before_the_cut(proxy: FaultProxy, client: Client, key: str) -> None:
    assert client.ask("SETRANGE", key, 12 * MEGABYTE - 1, "x") == 12 * MEGABYTE
    proxy.plan(nth(1, truncate(11 * MEGABYTE)))
    client.send("GET", key)
    until(lambda: proxy.fired["truncate"], "the fault")
    assert len(client.rest()) == 11 * MEGABYTE


# --- Late -------------------------------------------------------------------------------------


@pytest.mark.parametrize("further", [1, 3])
def test_late_comes_after_the_retry(
    proxy: FaultProxy, client: Client, server: RedisServer, key: str, further: int
) -> None:
    proxy.plan(nth(1, late(further)))
    client.send("APPEND", key, "first")
    assert client.rest() == b""
    assert (proxy.fired, proxy.delivered, proxy.waiting) == ({"late": 1}, 0, 1)
    assert server.cli("GET", key) is None
    with Client(proxy.port) as other:
        for n in range(1, further + 1):
            assert proxy.waiting == 1
            assert other.ask("APPEND", key, "again") == 5 * n
        # No waiting: the copy was executed before the last answer came.
        assert server.cli("GET", key) == "again" * further + "first"
    assert (proxy.delivered, proxy.waiting) == (1 + further, 0)


def test_late_is_delivered_on_demand_on_its_own_connection(
    proxy: FaultProxy, client: Client, server: RedisServer, key: str
) -> None:
    proxy.plan(every(1, late()), only=b"INCRBY")
    assert client.ask("SELECT", 1) == "OK"
    client.send("INCRBY", key, 5)
    assert client.rest() == b""
    with Client(proxy.port) as other:
        assert [other.ask("SELECT", 1), other.ask("GET", key)] == ["OK", None]
        assert proxy.deliver() == 1
        assert other.ask("GET", key) == "5"
    assert proxy.deliver() == 0
    assert server.cli("GET", key) is None  # database 0


def test_late_counts_only_what_the_plan_concerns(
    proxy: FaultProxy, client: Client, server: RedisServer, key: str
) -> None:
    proxy.plan(nth(1, late(1)), only=(b"incr", b"append"))
    client.send("INCR", key)
    assert client.rest() == b""
    with Client(proxy.port) as other:
        assert [other.ask("PING"), other.ask("GET", key)] == ["PONG", None]
        assert other.ask("INCR", key) == 1
        assert other.ask("GET", key) == "2"


def test_late_copy_for_a_server_that_lost_the_connection(key: str) -> None:
    with RedisServer() as server, FaultProxy(server.port) as proxy, Client(proxy.port) as client:
        proxy.plan(nth(1, late()))
        client.send("INCR", key)
        assert client.rest() == b""
        server.restart(keep_data=False)
        assert (proxy.deliver(), proxy.delivered, proxy.waiting) == (0, 0, 0)
        assert server.cli("GET", key) is None


# --- Delay, stall, rate ---------------------------------------------------------------------


@pytest.mark.parametrize("way", ["request", "reply", "both"])
def test_delay(proxy: FaultProxy, client: Client, way: Any) -> None:
    proxy.plan(nth(1, delay(0.05, way)))
    sent = time.time()
    seconds, microseconds = client.ask("TIME")
    executed, received = int(seconds) + int(microseconds) / 1e6, time.time()
    assert executed - sent > 0.045 or way == "reply"
    assert received - executed > 0.045 or way == "request"
    assert client.ask("PING") == "PONG"
    assert proxy.fired == {"delay": 1}


@pytest.mark.parametrize("way", ["request", "reply", "both"])
def test_stall_ends_at_resume(
    proxy: FaultProxy, client: Client, server: RedisServer, key: str, way: Any
) -> None:
    proxy.plan(nth(1, stall(way)))
    client.send("INCR", key)
    until(lambda: proxy.fired["stall"], "the fault")
    assert server.cli("GET", key) == ("1" if way == "reply" else None)
    client.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.socket.recv(1)
    with Client(proxy.port) as other:
        assert other.ask("PING") == "PONG"  # connections hang one by one
    client.socket.settimeout(5)
    proxy.resume()
    assert client.socket.recv(100) == b":1\r\n"
    client.send("INCR", key)
    assert client.socket.recv(100) == b":2\r\n"


def test_stalled_answer_outlives_the_server(key: str) -> None:
    with RedisServer() as server, FaultProxy(server.port) as proxy, Client(proxy.port) as client:
        proxy.plan(nth(1, stall("reply")))
        client.send("INCR", key)
        until(lambda: proxy.fired["stall"], "the fault")
        server.kill()
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(5)
        proxy.resume()
        assert client.socket.recv(100) == b":1\r\n"
        assert client.socket.recv(100) == b""


def test_stalled_request_is_executed_though_the_client_gave_up(
    proxy: FaultProxy, client: Client, server: RedisServer, key: str
) -> None:
    proxy.plan(nth(1, stall("request")))
    client.send("INCR", key)
    until(lambda: proxy.fired["stall"], "the fault")
    client.close()
    assert server.cli("GET", key) is None
    proxy.resume()
    until(lambda: server.cli("GET", key) == "1", "the change")


def test_rate(proxy: FaultProxy, client: Client, key: str) -> None:
    value = "x" * 10_000
    proxy.plan(every(1, rate(100_000)))
    for words, answer in ((("SET", key, value), "OK"), (("GET", key), value)):
        start = time.monotonic()
        assert client.ask(*words) == answer
        assert time.monotonic() - start > 0.09
    assert proxy.fired == {"rate": 2}


# --- Plans --------------------------------------------------------------------------------------


def plan_of(planner: Planner, requests: int) -> list[str]:
    faults = [planner(number, b"") for number in range(1, requests + 1)]
    return ["" if fault is None else fault.kind for fault in faults]


def test_planners() -> None:
    assert plan_of(nth(2, cut_after()), 4) == ["", "cut_after", "", ""]
    assert plan_of(every(2, cut_after(), late(1)), 6) == ["", "cut_after", "", "late", "", "cut_after"]
    odds: dict[Fault, float] = {cut_before(): 0.1, cut_after(): 0.2}
    drawn = plan_of(chance(Random(7), odds), 10_000)
    assert drawn == plan_of(chance(Random(7), odds), 10_000)
    assert 900 < drawn.count("cut_before") < 1100
    assert 1850 < drawn.count("cut_after") < 2150
    assert plan_of(chance(Random(7), {cut_before(): 1.0}), 100) == ["cut_before"] * 100


MISUSES: dict[str, Callable[[], object]] = {
    "late": lambda: late(0),
    "rate": lambda: rate(0),
    "nth": lambda: nth(0, cut_after()),
    "every none": lambda: every(0, cut_after()),
    "every, no fault": lambda: every(1),
    "chance, no fault": lambda: chance(Random(1), {}),
    "chance above 1": lambda: chance(Random(1), {cut_after(): 0.6, cut_before(): 0.6}),
    "chance below 0": lambda: chance(Random(1), {cut_after(): -0.1}),
    "only, stream": lambda: FaultProxy(1, framing="stream").plan(None, only=b"GET"),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_plans_that_cannot_be_meant(misuse: str) -> None:
    with pytest.raises(MisuseError):
        MISUSES[misuse]()


def test_only_concerns_named_commands_anywhere_in_a_request(
    proxy: FaultProxy, client: Client, key: str
) -> None:
    proxy.plan(every(1, cut_after()), only=b"INCR")
    assert [client.ask("ECHO", "INCR"), client.ask("SET", key, "*1\r\n$4\r\nINCR\r\n")] == ["INCR", "OK"]
    client.socket.sendall(b"PING\r\n")
    assert read_reply(client.replies) == "PONG"
    assert (proxy.requests, proxy.delivered) == (0, 0)
    client.socket.sendall(packed("SET", key, 5) + packed("incr", key))
    assert client.rest() == b""
    assert (proxy.requests, proxy.delivered) == (1, 1)
    with Client(proxy.port) as other:
        assert other.ask("GET", key) == "6"


def test_a_new_plan_counts_anew(proxy: FaultProxy, client: Client) -> None:
    for _ in range(3):
        proxy.plan(nth(2, truncate(0)))
        with Client(proxy.port) as other:
            assert other.ask("PING") == "PONG"
            other.send("PING")
            assert other.rest() == b""
        assert proxy.requests == 2
    assert proxy.fired == {"truncate": 3}


def test_what_a_planner_raises_is_raised_at_the_end(server: RedisServer) -> None:
    def planner(number: int, request: bytes) -> Fault | None:
        raise LookupError(f"{number} {request!r}")

    with ExitStack() as ended:
        proxy = ended.enter_context(FaultProxy(server.port))
        proxy.plan(planner)
        with Client(proxy.port) as client:
            client.socket.sendall(b"PING\r\n")
            assert client.rest() == b""
        with pytest.raises(LookupError, match="1 b'PING"):
            ended.close()


def test_stream_framing_carries_tls(tmp_path: Path, key: str) -> None:
    with RedisServer(tls=True) as server, FaultProxy(server.port, framing="stream") as proxy:
        context = ssl.create_default_context(cafile=str(server.ca_file))
        with Client(proxy.port, context) as client:
            assert client.ask("INCR", key) == 1
            proxy.plan(nth(1, cut_after()))
            client.send("INCR", key)
            with suppress(ssl.SSLEOFError):
                assert client.rest() == b""
            assert server.cli("GET", key) == "2"
        assert proxy.fired == {"cut_after": 1}


def test_every_request_is_accounted_for(proxy: FaultProxy, server: RedisServer, key: str) -> None:
    """What the server counted is what was delivered, whatever befell eight clients at once."""
    odds: dict[Fault, float] = dict.fromkeys(
        (cut_before(), cut_after(), late(1), late(4), truncate(1), delay(0.001)), 0.08
    )
    proxy.plan(chance(Random(3), odds))
    acknowledged = []

    def work() -> None:
        client = Client(proxy.port)
        for _ in range(100):
            try:
                acknowledged.append(client.ask("INCR", key))
            except OSError:
                client.close()
                client = Client(proxy.port)
        client.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waiting = proxy.waiting
    assert proxy.deliver() == waiting
    total = int(server.cli("GET", key))
    assert proxy.requests == 800
    assert total == proxy.delivered == 800 - proxy.fired["cut_before"]
    assert len(set(acknowledged)) == len(acknowledged)
    assert total == len(acknowledged) + sum(proxy.fired[kind] for kind in ("cut_after", "late", "truncate"))
    assert all(proxy.fired[fault.kind] > 20 for fault in odds)


# --- The end ---------------------------------------------------------------------------------


def test_nothing_is_left_behind(server: RedisServer, caplog: pytest.LogCaptureFixture, key: str) -> None:
    gc.collect()

    def held() -> tuple[int, int]:
        return threading.active_count(), len([*Path("/dev/fd").iterdir()])

    before = held()
    clients = []
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG, "asyncio"):
        warnings.simplefilter("always")
        with FaultProxy(server.port) as proxy:
            port = proxy.port
            faults = (late(), stall("request"), stall("reply"), delay(60), rate(0.1))
            proxy.plan(every(1, *faults))
            for n in range(1, len(faults) + 1):
                clients.append(Client(port))
                clients[-1].send("INCR", key)
                until(lambda n=n: proxy.fired.total() == n, "the fault")  # type: ignore[misc]
            clients.append(Client(port))
            proxy.plan(None)
            assert clients[-1].ask("PING") == "PONG"
        for client in clients:
            with suppress(OSError):
                client.rest()
            client.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)
        gc.collect()
    assert held() == before
    assert [str(warning.message) for warning in caught] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
