"""Engines that are away, hang, are full or do not want us."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from flask import session
from tests.docs.bad_input import Ground, row
from tests.docs.site import Site, told

from moored import State
from moored.testing.servers import RedisServer, free_port

PATIENCE = 10.0  # seconds


def _back(site: Site) -> str:
    """Wait until the site serves again, without a restart."""
    ends = time.monotonic() + PATIENCE
    while (answer := site.client.get("/add")).status_code != 200:
        assert answer.status_code == 503
        assert time.monotonic() < ends, "it does not come back"
        time.sleep(0.05)
    return "; 200 once it is back, without a restart"


def _away(site: Site, ground: Ground) -> str:
    """What is served while the engine is away: pages that leave the session alone, and what the rest get."""
    assert site.client.get("/plain").status_code == 200
    ground.logged()
    began = time.monotonic()
    answer = site.client.get("/")
    assert time.monotonic() - began < 2.0, "it does not wait longer than its deadline"
    assert b"6379" not in answer.data
    assert b"Redis" not in answer.data
    return told(answer, log=ground.logged())


@row("engine-down-at-start")
def _(ground: Ground) -> str:
    port = free_port()
    ground.call(f"127.0.0.1:{port}", "localhost:6379")
    site = Site(ground, f"redis://127.0.0.1:{port}/0?deadline=0.5")
    site.client.set_cookie("session", _genuine(ground))
    away = _away(site, ground)
    server = RedisServer(port=port)
    ground.closing(server.close)
    server.start()
    return away + _back(site)


def _genuine(ground: Ground) -> str:
    """A cookie that another process of the same site has given out."""
    other = Site(ground)
    other.client.get("/add")
    return other.cookie


@row("engine-down-first-visit")
def _(ground: Ground) -> str:
    port = free_port()
    site = Site(ground, f"redis://127.0.0.1:{port}/0?deadline=0.5")
    assert site.client.get("/").json == {}, "nothing to ask the engine for"
    return told(site.client.get("/add"))


@row("engine-dies")
def _(ground: Ground) -> str:
    server = ground.own_redis()
    site = Site(ground, server.url + "?deadline=0.5")
    site.client.get("/add")
    server.kill()
    away = _away(site, ground)
    server.start()
    return away + _back(site)


@row("engine-hangs")
def _(ground: Ground) -> str:
    server = ground.own_redis()
    site = Site(ground, server.url + "?deadline=0.5")
    site.client.get("/add")
    server.pause()
    away = _away(site, ground)
    server.resume()
    back = _back(site)
    cart = site.client.get("/").json
    assert cart is not None
    assert len(cart["cart"]) == 2
    return away + back


@row("engine-hangs-while-saving")
def _(ground: Ground) -> str:
    server = ground.own_redis()
    site = Site(ground, server.url + "?deadline=0.5")
    site.client.get("/add")

    def slow() -> str:
        session["cart"].append("pen")
        server.pause()
        return "slow"

    ground.logged()
    answer = told(site.visit(slow), log=ground.logged())
    server.resume()
    return answer + _back(site)


@row("engine-down-anonymous")
def _(ground: Ground) -> str:
    server = ground.own_redis()
    site = Site(ground, server.url + "?deadline=0.5", MOORED_ON_OUTAGE="anonymous")
    site.client.get("/add")
    kept = site.cookie
    server.kill()
    answer = told(site.client.get("/"), log=ground.logged())
    assert site.cookie == kept
    return answer


@row("sign-out-while-down")
def _(ground: Ground) -> str:
    server = ground.own_redis("--appendonly", "yes", "--appendfsync", "always")
    site = Site(ground, server.url + "?deadline=0.5")
    site.client.get("/in")
    kept = site.cookie

    def leave() -> str:
        session.clear()
        server.kill()
        return "left"

    answer = told(site.visit(leave))
    assert site.cookie == kept, "the cookie stays, so that it can be tried again"
    server.start()
    ends = time.monotonic() + PATIENCE
    while (again := site.client.get("/")).status_code == 503:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert again.json == {}, "this process refuses the session meanwhile"
    return answer + "; the cookie stays, for another try; until then this process does not serve the session"


def _refused(prepare: Callable[[RedisServer], object], *args: str) -> Callable[[Ground], str]:
    """A server that reads but does not write."""

    def attempt(ground: Ground) -> str:
        server = ground.own_redis(*args)
        site = Site(ground, server.url)
        site.client.get("/in")
        prepare(server)
        assert site.client.get("/").json == {"user_id": "ann"}
        ground.logged()
        answer = told(site.client.get("/add"), log=ground.logged())
        if not args:
            return answer
        assert site.client.get("/out").status_code == 200
        assert site.state.sessions.of("ann") == []
        return answer + "; reads and sign-outs go on"

    return attempt


def _fill(server: RedisServer) -> None:
    server.cli("CONFIG", "SET", "maxmemory", "1")


row("redis-out-of-memory")(_refused(_fill, "--maxmemory-policy", "noeviction"))
row("redis-read-only")(_refused(lambda server: server.cli("REPLICAOF", "127.0.0.1", "1")))


@row("redis-evicts")
def _(ground: Ground) -> str:
    server = ground.own_redis("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    with State(server.url) as state:
        return ground.refusal(state.counter("visits").add)


@row("redis-password")
def _(ground: Ground) -> str:
    server = ground.own_redis(password="right")
    with State(server.url.replace("right", "wrong")) as state:
        return ground.refusal(state.counter("visits").add)


@row("not-redis")
def _(ground: Ground) -> str:
    listener = socket.create_server(("127.0.0.1", 0))
    ground.closing(listener.close)
    ground.call(f"127.0.0.1:{listener.getsockname()[1]}", "localhost:6379")

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    threading.Thread(target=answer, daemon=True).start()
    with State(f"redis://127.0.0.1:{listener.getsockname()[1]}", deadline=0.5) as state:
        return ground.refusal(state.counter("visits").value)
