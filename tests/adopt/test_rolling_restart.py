"""A shop under load changes its import and is restarted worker by worker."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import msgspec
from tests.races.clients import Browser
from tests.races.server import Gunicorn
from tests.servers.postgres import PostgresServer
from tests.waiting import until

from moored.kinds.sessions.record import COOKIE_LENGTH
from moored.testing.servers import RedisServer

MANY, FEW = (4, 6), (2, 2)  # workers, and browsers
PATIENCE = 120.0  # seconds to wait for what is bound to happen

BEFORE = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
from flask_session import Session
VERSION, CONFIG = "before", {}
"""
AFTER = """
from moored.flask import Session
VERSION, CONFIG = "after", {"MOORED_ALONGSIDE": 3600, "MOORED_ADOPT_PICKLE": True}
"""
AT_LAST = AFTER.replace('"after"', '"at last"').replace("3600", "0")


class Visitor(threading.Thread):
    """Signs in, and then puts one thing after another into the cart, looking at each answer."""

    def __init__(self, browser: Browser, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.browser, self.number, self.stop = browser, number, stop
        self.added: list[str] = []
        self.served: Counter[str] = Counter()
        self.workers: set[int] = set()
        self.wrong: list[str] = []

    def get(self, path: str) -> bytes:
        answer = self.browser.get(path)
        if answer.status != 200:
            self.wrong.append(f"{path}: {answer.status} {answer.body!r}")
        version, _, worker = answer.headers["X-Sessions"].rpartition(" ")
        self.served[version] += 1
        self.workers.add(int(worker))
        return answer.body

    def run(self) -> None:
        try:
            self.get(f"/in/{self.number}")
            while not self.stop.is_set():
                item = f"{self.number}-{len(self.added)}"
                self.get(f"/add/{item}")
                self.added.append(item)
                found = msgspec.json.decode(self.get("/look"))
                if found != {"cart": self.added, "user": self.number}:
                    self.wrong.append(f"after {len(self.added)} there was {found}")
                    return
        except Exception as error:
            self.wrong.append(repr(error))


def deploy(folder: Path, code: str) -> None:
    """Put another version there, for workers that start from now on."""
    draft = folder / "draft"
    draft.write_text(code)
    draft.replace(folder / "sessions.py")


def restart(shop: Gunicorn, worker: int, wanted: int) -> None:
    """Let one worker go, and wait for another in its place."""
    os.kill(worker, signal.SIGTERM)
    another = "another worker in its place"
    until(lambda: worker not in shop.workers() and len(shop.workers()) == wanted, another, PATIENCE)


def test_nobody_is_signed_out_and_nothing_is_lost_in_redis(tmp_path: Path, redis_server: RedisServer) -> None:
    restart_under_load(tmp_path, MANY, SHOP_REDIS=f"redis://127.0.0.1:{redis_server.port}/5")


def test_nobody_is_signed_out_and_nothing_is_lost_in_files(tmp_path: Path) -> None:
    restart_under_load(tmp_path, MANY)


def test_nobody_is_signed_out_and_nothing_is_lost_in_postgresql(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    restart_under_load(tmp_path, FEW, SHOP_DATABASE=postgres.url.replace("://", "+psycopg://"))


def restart_under_load(folder: Path, size: tuple[int, int], **environment: str) -> None:
    workers, browsers = size
    stop = threading.Event()
    deploy(folder, BEFORE)
    environment |= {"SHOP_FOLDER": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ("--worker-class=sync", "--threads=1")
    with Gunicorn("tests.adopt.rolling_shop:app", folder, environment, *options, workers=workers) as shop:
        visitors = [Visitor(shop.browser(), number, stop) for number in range(1, browsers + 1)]

        def all_served(version: str, times: int) -> None:
            def served() -> bool:
                wrong = [what for one in visitors for what in one.wrong]
                assert not wrong, wrong
                return all(one.served[version] >= times for one in visitors)

            until(served, f"{times} requests of each served by {version!r}", PATIENCE)

        for visitor in visitors:
            visitor.start()
        try:
            all_served("before", 20)
            for version, code in (("after", AFTER), ("at last", AT_LAST)):
                deploy(folder, code)
                # One that has just been forked would not notice that it is to end.
                until(
                    lambda: {*shop.workers()} <= set().union(*[one.workers for one in visitors]),
                    "a request served by each worker",
                    PATIENCE,
                )
                for worker in shop.workers():
                    restart(shop, worker, workers)
                    all_served(version, 3)  # old and new side by side from the first restart on
            all_served("at last", 20)
        finally:
            stop.set()
            for visitor in visitors:
                visitor.join(PATIENCE)
        for visitor in visitors:
            assert not visitor.wrong, visitor.wrong
            assert len(visitor.browser.cookie) == COOKIE_LENGTH, "its session was not carried over"
            found = msgspec.json.decode(visitor.get("/look"))
            assert found == {"cart": visitor.added, "user": visitor.number}
