"""Servers that stop and die under load: nothing acknowledged is lost, and every answer comes in time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.races.clients import Browser, at_once
from tests.races.load import Load
from tests.races.server import Gunicorn, shop
from tests.waiting import until

from moored import MooredError, State
from moored.commands import Enter, Read
from moored.testing.servers import RedisServer
from moored.url import sqlite_url

DEADLINE = 0.5  # seconds for each operation; a request that changes its session has two
SLACK = 1.0  # for a machine that has much else to do
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def carts(server: Gunicorn, number: int) -> list[Browser]:
    """So many visitors; a worker process may need more than the deadline for its first answer."""
    browsers = [server.browser() for _ in range(number)]
    until(lambda: all([b.cookie or b.post("/set/visited/yes").cookies for b in browsers]), "a session")
    return browsers


def check_refusals(load: Load) -> None:
    """Those that were refused were told when to come back; nobody had to wait."""
    for answer in load.refused:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.cookies == []
        assert b"Traceback" not in answer.body
    assert max(client.slowest for client in load.clients) <= 2 * DEADLINE + SLACK


def test_redis_stopped_for_two_seconds(tmp_path: Path) -> None:
    with (
        RedisServer() as redis,
        shop(tmp_path, f"{redis.url}?deadline={DEADLINE}") as server,
        Load(carts(server, 1), 12) as load,  # most of them queue
    ):
        load.progress()
        redis.pause()
        began = time.monotonic()
        load.wait(lambda client: len(client.refused) > 1, "a refusal")
        while time.monotonic() - began < 2:
            untouched = server.browser().get("/untouched")
            assert (untouched.status, untouched.seconds < SLACK) == (200, True)
            time.sleep(0.05)
        stopped_for = time.monotonic() - began
        redis.resume()
        load.progress()
        load.stop()
        check_refusals(load)
        assert stopped_for < 5
        assert sum(client.broken for client in load.clients) == 0
        assert {len(client.refused) > 0 for client in load.clients} == {True}
        load.check()
        assert "Traceback" not in server.log()


def test_those_who_queue_for_an_engine_that_hangs_are_told_so_and_not_of_a_conflict() -> None:
    async def use() -> object:
        turn = await Enter("queue")
        assert turn is not None
        try:
            return await Read("record")
        finally:
            turn.leave()

    def attempt() -> str:
        try:
            return str(state.binding.run(use()))
        except MooredError as error:
            return type(error).__name__

    with RedisServer() as redis, State(f"{redis.url}?deadline=0.3") as state:
        assert at_once([attempt] * 8) == ["None"] * 8
        redis.pause()
        assert at_once([attempt] * 8) == ["Unavailable"] * 8


def test_redis_killed_under_load(tmp_path: Path) -> None:
    with (
        RedisServer(*DURABLE) as redis,
        shop(tmp_path, f"{redis.url}?deadline={DEADLINE}") as server,
        Load(carts(server, 4), 3) as load,
    ):
        for _ in range(3):
            load.progress()
            redis.kill()
            load.refusals(len(load.clients))
            redis.start()
        load.progress()
        load.stop()
        check_refusals(load)
        assert sum(client.broken for client in load.clients) == 0
        load.check()
        assert "Traceback" not in server.log()


def test_workers_killed_under_load(tmp_path: Path) -> None:
    with (
        shop(tmp_path, sqlite_url(tmp_path / "shop.db")) as server,
        Load(carts(server, 4), 3) as load,
    ):
        killed: set[int] = set()
        while len(killed) < 6 or not any(client.broken for client in load.clients):
            load.progress(1)
            worker = server.workers()[len(killed) % 2]
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
            until(lambda: not killed & {*server.workers()}, "its end")
        load.progress()
        load.stop()
        assert load.refused == []
        assert sum(client.broken for client in load.clients) > 0
        load.check()


def test_the_whole_server_killed_and_started_again(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "shop.db")
    with shop(tmp_path, url) as server:
        load = Load(carts(server, 4), 3)
        with load:
            load.progress(4)
            server.kill()
            load.wait(lambda client: client.broken, "a broken request")
        assert load.refused == []
    with shop(tmp_path, url) as server:
        for owner in load.owners:
            owner.port = server.port
        load.check()
        with Load([owner.twin() for owner in load.owners], 1) as more:
            more.progress()
