"""Connections to Redis: URLs, TLS, passwords; forks, threads, event loops; servers that fail."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.sentinel import Sentinel
from tests.engines.asking import aask, ask, close_engines, engine_of, new_op
from tests.waiting import auntil, until

from moored import AsyncState, ConfigurationError, MooredError, OutcomeUnknown, State, Unavailable
from moored.commands import Add, Command, Put, Read
from moored.engines import redis_pool
from moored.engines.redis import RedisEngine
from moored.testing.faults import FaultProxy, cut_after, every, nth, rate, stall
from moored.testing.servers import RedisServer, free_port

SLACK = 0.05  # seconds by which a call may outlive its timeout
TRIES = 4
QUICK = 2.0  # seconds that something at once may take on a busy machine: far from what it takes to wait


@pytest.fixture(autouse=True)
def engines_are_closed() -> Iterator[None]:
    yield
    close_engines()


@pytest.fixture
def own() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def clients(server: RedisServer) -> list[str]:
    """The connections that a server has, but for the one that asks."""
    return [line for line in server.cli("CLIENT", "LIST").splitlines() if "cmd=client|list" not in line]


def in_time(late: list[float], calls: int) -> bool:
    """Did each of these calls, tried in turn, end in time at its best?  The machine may be busy."""
    return max(min(late[call::calls]) for call in range(calls)) < SLACK and max(late) < 2.0


def took(call: Callable[[], Any], *errors: type[BaseException]) -> float:
    began = time.monotonic()
    with pytest.raises(errors):
        call()
    return time.monotonic() - began


def succeeds(call: Callable[[], Any], *errors: type[BaseException]) -> bool:
    try:
        call()
    except errors:
        return False
    return True


# --- URLs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis:///nowhere", "no place of a Redis server"),
        ("redis://localhost/x", "no place of a Redis server. Examples: redis://localhost:6379/0"),
        ("redis://localhost/0/1", "no place of a Redis server"),
        ("redis:localhost:6379", "no place of a Redis server"),
        ("redis:6379", "no place of a Redis server"),
        ("unix://", "no place of a Redis server"),
        ("unix://run/redis.sock", "no place of a Redis server"),
        ("redis://localhost:port/0", "cannot be read"),
        ("redis://localhost?protocol=4", "'protocol' must be 2 or 3"),
        ("redis://localhost?db=one", "'db' must be"),
        ("redis://localhost?max_connections=0", "'max_connections' must be a whole number, 1 or more"),
        ("redis://localhost?wait=-1", "'wait' must be a whole number, 0 or more"),
        ("redis://localhost?evicting=yes", "'evicting' must be refuse or allow"),
        ("redis://localhost?prefx=a", "no option 'prefx'. Did you mean prefix?"),
        ("redis://localhost?ssl_cert_reqs=none", "'ssl_cert_reqs' is about TLS: write rediss:, not redis:"),
        (
            "rediss://localhost?ssl_ca_certs=/no/ca.pem",
            "must be the path of a file that exists",
        ),
        ("rediss://localhost?ssl_check_hostname=maybe", "'ssl_check_hostname' must be true or false"),
    ],
)
def test_urls_that_are_wrong(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        State(url)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("redis:", {"host": "localhost", "port": 6379, "db": 0}),
        ("redis://h", {"host": "h", "db": 0}),
        ("redis://h:1/7", {"host": "h", "port": 1, "db": 7}),
        ("redis://h/7?db=8", {"db": 8}),
        ("redis://u:p%40%2F@[::1]:1", {"host": "::1", "username": "u", "password": "p@/"}),
        ("redis://h?username=u&password=a+b", {"username": "u", "password": "a b"}),
        ("redis://h?protocol=3", {"protocol": 3}),
        ("rediss://h", {"check_hostname": True, "cert_reqs": 2}),
        ("rediss://h?ssl_cert_reqs=none", {"check_hostname": False, "cert_reqs": 0}),
        ("rediss://h?ssl_check_hostname=false", {"check_hostname": False, "cert_reqs": 2}),
        ("unix:///run/a%20b.sock?db=2", {"path": "/run/a b.sock", "db": 2}),
        ("unix:/run/r.sock", {"path": "/run/r.sock"}),
    ],
)
def test_urls_that_are_right(url: str, settings: dict[str, Any]) -> None:
    connector = engine_of(url)._connector
    driver = connector._driver(connector._class, None, {})
    assert {name: getattr(driver, name) for name in settings} == settings
    assert (driver.retry_on_error, driver.retry_on_timeout, driver.health_check_interval) == ([], False, 0)
    assert driver.retry._retries == 0
    assert getattr(driver, "driver_info", None) is getattr(driver, "lib_name", None) is None
    assert not getattr(driver, "maint_notifications_config", None)


def test_messages_never_show_the_password() -> None:
    port = free_port()
    engine = engine_of(f"redis://ann:hunter2@127.0.0.1:{port}/0?password=hunter3")
    with pytest.raises(Unavailable) as caught:
        engine.connect(1)
    told = [
        repr(error) for error in (caught.value, caught.value.__cause__, engine, State("redis://:hunter2@h"))
    ]
    assert "hunter" not in "".join([*told, str(caught.value)])
    assert f"127.0.0.1:{port} cannot be reached" in str(caught.value)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("options", [{}, {"password": "p /%"}, {"unixsocket": True}, {"tls": True}], ids=str)
def test_every_way_to_connect(options: dict[str, Any], protocol: int) -> None:
    with RedisServer(**options) as server:
        url = f"{server.url}{'&' if '?' in server.url else '?'}protocol={protocol}"
        with State(url) as state:
            assert state.counter("n").add() == 1

        async def on_a_loop() -> None:
            async with AsyncState(url) as state:
                assert await state.counter("n").add() == 2
                assert await state.counter("n").value() == 2

        asyncio.run(on_a_loop())
        until(lambda: not clients(server), "the end of all connections")


def test_databases_and_prefixes_are_apart(own: RedisServer) -> None:
    places: list[dict[str, Any]] = [{}, {"db": 3}, {"prefix": ""}, {"prefix": "a:"}]
    for number, options in enumerate(places, 1):
        with State(own.url, **options) as state:
            assert state.counter("n").add(number) == number
    assert sorted(own.cli("KEYS", "*")) == ["a:counter:n", "counter:n", "moored:counter:n"]


def test_a_database_that_is_not_there_is_a_wrong_url(own: RedisServer) -> None:
    for connect in (blocking, on_loop):
        with pytest.raises(ConfigurationError, match="refuses the connection: DB index is out of range"):
            connect(own.url, db=99)


def blocking(url: str, **options: Any) -> None:
    engine = engine_of(url, **options)
    engine.connect(5)
    engine.close()


def on_loop(url: str, **options: Any) -> None:

    async def connect() -> None:
        engine = engine_of(url, **options)
        try:
            await engine.aconnect(5)
        finally:
            await engine.aclose()

    asyncio.run(connect())


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("user", ["", ":wrong@", "ann:wrong@", "nobody:right@"])
def test_passwords_that_are_wrong(user: str, protocol: int) -> None:
    with RedisServer(password="right") as server:
        server.cli("ACL", "SETUSER", "ann", "on", ">hers", "~*", "+@all")
        url = server.url.replace(":right@", user)
        for connect in (blocking, on_loop):
            with pytest.raises(ConfigurationError, match="refuses the user name or the password") as caught:
                connect(url, protocol=protocol)
            assert "MOORED_URL" in str(caught.value)
            assert "wrong" not in str(caught.value)
        with State(server.url.replace(":right@", "ann:hers@"), protocol=protocol) as state:
            assert state.counter("n").add() == 1


def test_a_user_with_few_permissions_suffices(own: RedisServer) -> None:
    from moored.engines.redis_replies import PERMISSIONS

    own.cli("ACL", "SETUSER", "few", "on", ">few", "~moored:*", *PERMISSIONS.split())
    with State(own.url.replace("redis://", "redis://few:few@")) as state:
        assert state.counter("n").add() == 1
    engine = engine_of(own.url.replace("redis://", "redis://few:few@"), prefix="other:")
    engine.connect(5)
    with pytest.raises(Unavailable, match="does not permit the user") as caught:
        ask(engine, Add("n"))
    assert not caught.value.outage
    engine.close()


def test_certificates_are_checked() -> None:
    with RedisServer(tls=True) as server, RedisServer(tls=True) as other:
        plain = server.url.partition("?")[0]
        wrong = f"{plain}?ssl_ca_certs={other.ca_file}"
        named = server.url.replace("127.0.0.1", "0.0.0.0")  # which is not in the certificate
        for connect in (blocking, on_loop):
            for url in (plain, wrong):
                with pytest.raises(ConfigurationError, match=r"cannot be trusted \(.+\).*\?ssl_ca_certs="):
                    connect(url)
            with pytest.raises(ConfigurationError, match=r"cannot be trusted \(IP address mismatch"):
                connect(named)
            connect(f"{named}&ssl_check_hostname=false")
            connect(f"{plain}?ssl_cert_reqs=none")
            with pytest.raises(Unavailable):
                connect(plain.replace("rediss:", "redis:"))


# --- Clients that are lent -----------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"password": "p"}, {"unixsocket": True}, {"tls": True}], ids=str)
def test_a_lent_client_is_copied_and_left_alone(options: dict[str, Any]) -> None:
    with RedisServer(**options) as server:
        client = redis.Redis.from_url(
            server.url, db=2, decode_responses=True, health_check_interval=1, max_connections=7
        )
        client.set("mine", "ä")
        settings = dict(client.connection_pool.connection_kwargs)
        engine = RedisEngine.from_client(client, prefix="lent:")
        engine.connect(5)
        assert ask(engine, Add("n")) == [1]

        async def on_a_loop() -> None:
            assert await aask(engine, Add("n")) == [2]

        asyncio.run(on_a_loop())
        engine.close()
        assert client.get("mine") == "ä"
        assert client.hget("lent:n", ":n") == "2"
        assert client.connection_pool.connection_kwargs == settings
        assert engine._limit == 7
        client.close()


def test_a_lent_client_with_a_class_of_its_own(own: RedisServer) -> None:
    class Counting(redis.Connection):
        opened = 0

        def on_connect(self) -> None:
            Counting.opened += 1
            super().on_connect()  # type: ignore[no-untyped-call]

    client = redis.Redis(connection_pool=redis.ConnectionPool(Counting, host="127.0.0.1", port=own.port))
    engine = RedisEngine.from_client(client)
    assert ask(engine, Add("n")) == [1]
    assert Counting.opened == 1

    async def on_a_loop() -> None:
        with pytest.raises(ConfigurationError, match="Counting of the lent client has no counterpart"):
            await aask(engine, Add("n"))

    asyncio.run(on_a_loop())
    engine.close()


def test_a_lent_client_of_sentinel_leads_to_the_primary(tmp_path: Path) -> None:
    with RedisServer() as first, RedisServer(replica_of=first) as second:
        port = free_port()
        (tmp_path / "sentinel.conf").write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {first.port} 1\n"
            "sentinel down-after-milliseconds shop 300\n"
        )
        sentinel = subprocess.Popen(
            ["redis-server", "sentinel.conf", "--sentinel"], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        try:
            asked: Any = Sentinel([("127.0.0.1", port)])  # type: ignore[no-untyped-call]
            until(
                lambda: succeeds(lambda: asked.discover_master("shop"), redis.ConnectionError),
                "the finding of the primary",
            )
            until(lambda: asked.discover_slaves("shop"), "the finding of the replica")
            sure = RedisEngine.from_client(asked.master_for("shop"), wait=1)
            assert ask(sure, Add("n")) == [1]
            sure.close()
            engine = RedisEngine.from_client(asked.master_for("shop"))
            assert ask(engine, Read("n"))[0].fields["n"] == b"1"
            first.kill()
            op = new_op()

            def add() -> None:
                assert engine.execute((Add("n"),), (op,), 2) == [2]

            until(lambda: succeeds(add, Unavailable, OutcomeUnknown), "the failover")
            assert second.cli("HGET", "moored:n", ":n") == "2"
            engine.close()
        finally:
            sentinel.terminate()
            sentinel.wait()


# --- Processes -----------------------------------------------------------------------------------


def in_child(work: Callable[[], None], meanwhile: Callable[[], Any] = lambda: None) -> None:
    """Fork, work in the child and meanwhile in the parent, and see that both ended well."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    meanwhile()
    _, status = os.waitpid(child, 0)
    assert status == 0


def test_parent_and_child_go_on(own: RedisServer) -> None:
    engine = engine_of(own.url)
    ask(engine, Add("n"))
    (before,) = clients(own)

    def work() -> None:
        for _ in range(200):
            ask(engine, Add("n"))
            assert ask(engine, Read(f"{os.getpid()}")) == [None]

    def child() -> None:
        work()
        assert len(clients(own)) == 2
        engine.close()

    in_child(child, work)
    assert ask(engine, Add("n")) == [402]
    assert [line.split()[0] for line in clients(own)] == [before.split()[0]]


def test_a_child_of_an_event_loop_has_loops_of_its_own(own: RedisServer) -> None:
    engine = engine_of(own.url)

    async def add() -> int:
        (total,) = await aask(engine, Add("n"))
        assert isinstance(total, int)
        return total

    def child() -> None:
        assert asyncio.run(add()) == 2
        assert ask(engine, Add("n")) == [3]

    async def parent() -> None:
        assert await add() == 1
        in_child(child)
        assert await add() == 4
        assert len(clients(own)) == 1

    asyncio.run(parent())
    engine.close()


# --- Threads -------------------------------------------------------------------------------------


def together(count: int, work: Callable[[], Any]) -> list[Any]:
    """What so many threads made of it, begun at the same moment."""
    results: list[Any] = []
    barrier = threading.Barrier(count)

    def one() -> None:
        barrier.wait()
        try:
            results.append(work())
        except MooredError as error:
            results.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_threads_share_few_connections(own: RedisServer) -> None:
    engine = engine_of(own.url, max_connections=3)
    together(12, lambda: [ask(engine, Add("n"), Read("n")) for _ in range(50)])
    assert ask(engine, Read("n"))[0].fields["n"] == b"600"
    assert 1 <= len(clients(own)) <= 3
    engine.close()
    until(lambda: not clients(own), "the end of all connections")


def test_the_wait_for_a_connection_ends_with_the_deadline(own: RedisServer) -> None:
    engine = engine_of(own.url, max_connections=2)
    together(2, lambda: ask(engine, Read("k")))
    own.pause()
    with ThreadPoolExecutor(2) as pool:  # these have all connections, for longer than the others wait
        holding = [pool.submit(ask, engine, Read("k"), timeout=10.0) for _ in range(2)]
        until(lambda: engine._stack._opened == 2 and not engine._stack._idle, "the second connection")
        errors = together(4, lambda: ask(engine, Read("k"), timeout=0.3))
        assert not any([holder.done() for holder in holding])
        own.resume()
        assert [holder.result() for holder in holding] == [[None], [None]]
    assert {type(error) for error in errors} == {Unavailable}
    assert all("all 2 connections to Redis were in use" in str(error) for error in errors)
    assert ask(engine, Add("n")) == [1]
    engine.close()


def test_the_last_used_is_used_next(own: RedisServer) -> None:
    engine = engine_of(own.url)
    together(8, lambda: ask(engine, Add("n")))
    for _ in range(20):
        ask(engine, Read("k"))
    assert len([line for line in clients(own) if "cmd=hgetall" in line]) == 1 <= len(clients(own))
    engine.close()


# --- Event loops ---------------------------------------------------------------------------------


def test_loops_come_and_go(own: RedisServer) -> None:
    engine = engine_of(own.url)

    async def add_ten() -> list[list[Any]]:
        return [*await asyncio.gather(*[aask(engine, Add("n")) for _ in range(10)])]

    for number in range(1, 4):
        assert max(asyncio.run(add_ten())) == [10 * number]
        until(lambda: not clients(own), "the end of all connections")  # a loop's connections end with it
    results = together(4, lambda: asyncio.run(add_ten()))
    assert max(total for result in results for (total,) in result) == 70
    until(lambda: not clients(own), "the end of all connections")
    gc.collect()  # what was not closed would be heard of now
    assert not engine._stacks
    engine.close()


def test_a_loop_that_was_only_closed_is_forgotten(own: RedisServer) -> None:
    engine = engine_of(own.url)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(aask(engine, Add("n")))
    loop.run_until_complete(engine._stacks[loop].close())
    loop.close()
    asyncio.run(aask(engine, Add("n")))
    assert loop not in engine._stacks
    engine.close()


def test_tasks_share_few_connections(own: RedisServer) -> None:
    async def run() -> None:
        engine = engine_of(own.url, max_connections=2)
        await asyncio.gather(*[aask(engine, Add("n")) for _ in range(100)])
        assert len(clients(own)) == 2
        own.pause()
        # Those who have the connections have them for longer than the others wait.
        waiting = [aask(engine, Read("k"), timeout=seconds) for seconds in (1.5, 1.5, 0.3, 0.3)]
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        own.resume()
        assert {type(error) for error in errors} == {Unavailable}
        assert ["all 2 connections" in str(error) for error in errors] == [False, False, True, True]
        assert await aask(engine, Add("n")) == [101]
        await engine.aclose()

    asyncio.run(run())
    until(lambda: not clients(own), "the end of all connections")


def test_a_cancelled_wait_wakes_the_next(own: RedisServer) -> None:
    async def run() -> None:
        engine = engine_of(own.url, max_connections=1)
        stack = await engine._new_stack(asyncio.get_running_loop())
        held = await stack.take(time.monotonic() + 5)
        first, second = (asyncio.create_task(stack.take(time.monotonic() + 5)) for _ in range(2))
        await asyncio.sleep(0)
        stack.give_back(held)  # which wakes the first
        first.cancel()
        assert await asyncio.wait_for(second, 5) is held
        stack.give_back(held)
        await engine.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("protocol", [2, 3])
def test_nobody_gets_the_answer_of_a_cancelled_call(own: RedisServer, protocol: int) -> None:
    async def run() -> None:
        with FaultProxy(own.port) as proxy:
            engine = engine_of(proxy.url_for(own.url), protocol=protocol)
            await aask(engine, Put("a", {"who": b"a"}), Put("b", {"who": b"b"}))
            for _ in range(20):
                proxy.plan(nth(1, stall("reply")))
                task = asyncio.create_task(aask(engine, Read("a")))
                await asyncio.to_thread(until, lambda: proxy.fired["stall"], "the fault")
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                proxy.resume()
                proxy.fired.clear()
                proxy.plan(None)
                (record,) = await aask(engine, Read("b"))
                assert record.fields == {"who": b"b"}
            await engine.aclose()

    asyncio.run(run())


# --- Servers that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", [Read("k"), Add("n")])
def test_a_dead_server_is_noticed_at_once(command: Command[Any]) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    engine = engine_of(url)
    assert took(lambda: engine.connect(5), Unavailable) < QUICK
    assert took(lambda: ask(engine, command), Unavailable) < QUICK
    assert took(lambda: asyncio.run(aask(engine, command)), Unavailable) < QUICK


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # redis-py 5.0 leaves it open
def test_a_socket_that_is_not_there_is_noticed_at_once() -> None:
    assert took(lambda: engine_of("unix:///no/such.sock").connect(5), Unavailable) < QUICK


def test_a_server_that_was_restarted_costs_one_call(own: RedisServer) -> None:
    engine = engine_of(own.url)
    together(8, lambda: ask(engine, Add("n")))
    own.restart(keep_data=True)
    with pytest.raises(OutcomeUnknown):
        ask(engine, Add("n"))
    assert ask(engine, Add("n")) == [9]
    assert len(clients(own)) == 1, "the other idle connections were of the dead server too"


def test_a_connection_that_was_closed_while_idle_costs_nothing(
    own: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_pool, "FRESH", 0.0)
    engine = engine_of(own.url)
    together(4, lambda: ask(engine, Add("n")))
    own.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert ask(engine, Add("n")) == [5]

    async def on_a_loop() -> None:
        await asyncio.gather(*[aask(engine, Add("n")) for _ in range(4)])
        own.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        idle = engine._stacks[asyncio.get_running_loop()]._idle
        await auntil(lambda: all(connection.is_stale() for connection in idle), "the news of the cut")
        assert await aask(engine, Add("n")) == [10]

    asyncio.run(on_a_loop())
    engine.close()


@pytest.mark.parametrize("timeout", [0.05, 0.3])
def test_a_hung_server_is_given_up_in_time(own: RedisServer, timeout: float) -> None:
    own.cli("ACL", "SETUSER", "ann", "on", ">hers", "~*", "+@all")
    engine = engine_of(own.url)
    late = []
    for _ in range(TRIES):
        ask(engine, Read("k"))
        own.pause()
        fresh = engine_of(own.url.replace("redis://", "redis://ann:hers@"))
        for call, error in (
            (lambda: ask(engine, Add("n"), timeout=timeout), OutcomeUnknown),
            (lambda: ask(engine, Read("n"), timeout=timeout), Unavailable),
            (lambda fresh=fresh: fresh.connect(timeout), Unavailable),
            (lambda fresh=fresh: ask(fresh, Add("n"), timeout=timeout), Unavailable),
        ):
            late.append(took(call, error) - timeout)
        own.resume()
    assert in_time(late, 4)


@pytest.mark.parametrize("timeout", [0.05, 0.3])
def test_a_hung_server_is_given_up_in_time_on_a_loop(own: RedisServer, timeout: float) -> None:
    own.cli("ACL", "SETUSER", "ann", "on", ">hers", "~*", "+@all")
    late = []

    async def run() -> None:
        engine, fresh = engine_of(own.url), engine_of(own.url.replace("redis://", "redis://ann:hers@"))
        await aask(engine, Read("k"))
        own.pause()
        for call, error in (
            (aask(engine, Add("n"), timeout=timeout), OutcomeUnknown),
            (aask(engine, Read("n"), timeout=timeout), Unavailable),
            (fresh.aconnect(timeout), Unavailable),
            (aask(fresh, Add("n"), timeout=timeout), Unavailable),
        ):
            began = time.monotonic()
            with pytest.raises(error):
                await call
            late.append(time.monotonic() - began - timeout)
        own.resume()
        await aask(engine, Read("k"))

    for _ in range(TRIES):
        asyncio.run(run())
    assert in_time(late, 4)


def test_an_answer_that_stops_half_way_is_given_up_in_time() -> None:
    """A timer that began anew with each piece would give up a whole timeout after the last one."""
    timeout = 3.0
    sent: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"+PONG\r\n")
                peer.recv(1000)
                time.sleep(max(0.0, began + timeout / 2 - time.monotonic()))
                sent.append(time.monotonic())
                peer.sendall(b"*2\r\n")
                peer.recv(1000)

        thread = threading.Thread(target=serve)
        engine = engine_of(f"redis://127.0.0.1:{server.getsockname()[1]}")
        began = time.monotonic()
        thread.start()
        with pytest.raises(Unavailable):
            ask(engine, Read("k"), timeout=timeout)
        gave_up = time.monotonic()
        assert sent, "it gave up before there was half an answer"
        assert gave_up - sent[0] < timeout
        thread.join()


def test_after_a_time_out_the_idle_ones_are_not_trusted(own: RedisServer) -> None:
    engine = engine_of(own.url)
    together(4, lambda: ask(engine, Add("n")))
    own.pause()
    took(lambda: ask(engine, Read("n"), timeout=0.1), Unavailable)
    own.resume()
    until(lambda: not clients(own), "the end of all connections")

    async def on_a_loop() -> None:
        await asyncio.gather(*[aask(engine, Add("n")) for _ in range(4)])
        assert len(clients(own)) == 4
        own.pause()
        with pytest.raises(Unavailable):
            await aask(engine, Read("n"), timeout=0.1)
        own.resume()
        await asyncio.to_thread(until, lambda: not clients(own), "the end of all connections")

    asyncio.run(on_a_loop())


def test_an_answer_that_drips_is_given_up_in_time(own: RedisServer) -> None:
    with FaultProxy(own.port) as proxy:
        engine = engine_of(proxy.url_for(own.url))
        ask(engine, Put("k", {"a": b"x" * 100_000}))
        proxy.plan(nth(1, rate(10_000)), only=b"HGETALL")  # so the answer takes ten seconds
        assert took(lambda: ask(engine, Read("k"), timeout=0.3), Unavailable) < 0.3 + QUICK

        async def on_a_loop() -> float:
            await aask(engine, Read("k"))
            proxy.plan(nth(1, rate(10_000)), only=b"HGETALL")
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await aask(engine, Read("k"), timeout=0.3)
            return time.monotonic() - began

        proxy.plan(None)
        assert asyncio.run(on_a_loop()) < 0.3 + QUICK
        assert proxy.fired["rate"] == 2
        engine.close()


def test_a_server_without_a_free_connection_has_changed_nothing() -> None:
    with RedisServer("--maxclients", "1") as server:
        engine = engine_of(server.url)
        holder = redis.Redis.from_url(server.url)
        assert holder.set("k", 1)
        for connect in (blocking, on_loop):
            with pytest.raises(Unavailable, match=r"has no connection left|closed the connection|reset"):
                connect(server.url)
        holder.connection_pool.disconnect()
        until(lambda: succeeds(lambda: ask(engine, Add("n")), Unavailable), "an answer")
        assert ask(engine, Read("n"))[0].fields["n"] == b"1"
        engine.close()


def test_lost_answers_are_counted_once(own: RedisServer) -> None:
    """Every fifth answer is lost; the same operation is sent again until it is answered."""
    with FaultProxy(own.port) as proxy:
        engine = engine_of(proxy.url_for(own.url))
        proxy.plan(every(5, cut_after()), only=b"EVALSHA")

        def add() -> None:
            for _ in range(25):
                op = new_op()
                while True:
                    try:
                        engine.execute((Add("n"),), (op,), 5)
                        break
                    except OutcomeUnknown:
                        continue

        together(4, add)
        assert proxy.fired["cut_after"] > 20
        proxy.plan(None)
        assert ask(engine, Read("n"))[0].fields["n"] == b"100"
        engine.close()


def test_what_was_closed_opens_again(own: RedisServer) -> None:
    engine = engine_of(own.url)
    for number in range(1, 4):
        assert ask(engine, Add("n")) == [number]
        engine.close()
        until(lambda: not clients(own), "the end of all connections")
