"""A shop under load changes its import and is restarted worker by worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import msgspec
from tests.servers.postgres import PostgresServer

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

    def __init__(self, port: int, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.port, self.number, self.stop = port, number, stop
        self.cookie = ""
        self.added: list[str] = []
        self.served: Counter[str] = Counter()
        self.workers: set[int] = set()
        self.wrong: list[str] = []

    def get(self, path: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {"Cookie": f"session={self.cookie}"} if self.cookie else {}
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                self.wrong.append(f"{path}: {response.status} {body!r}")
            for header in response.headers.get_all("Set-Cookie") or []:
                name, _, value = header.partition(";")[0].partition("=")
                if name == "session":
                    self.cookie = value
            version, _, worker = response.headers["X-Sessions"].rpartition(" ")
            self.served[version] += 1
            self.workers.add(int(worker))
            return body
        finally:
            connection.close()

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


class Shop:
    """The shop under gunicorn."""

    def __init__(self, folder: Path, workers: int, environment: dict[str, str]) -> None:
        self.folder, self.wanted = folder, workers
        self.deploy(BEFORE)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(128)
            self.port = listener.getsockname()[1]
            os.set_inheritable(listener.fileno(), True)
            here = Path(__file__).parent
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}"),
                    *(
                        "--workers",
                        str(workers),
                        "--timeout",
                        "0",
                        "--log-level",
                        "warning",
                        "--chdir",
                        str(here),
                    ),
                    "rolling_shop:app",
                ],
                env={**os.environ, **environment, "SHOP_FOLDER": str(folder)}
                | {"PYTHONDONTWRITEBYTECODE": "1"},
                pass_fds=[listener.fileno()],
            )

    def deploy(self, code: str) -> None:
        """Put another version there, for workers that start from now on."""
        draft = self.folder / "draft"
        draft.write_text(code)
        draft.replace(self.folder / "sessions.py")

    def workers(self) -> set[int]:
        """The workers' process ids."""
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def restart(self, worker: int) -> None:
        """Let one worker go, and wait for another in its place."""
        os.kill(worker, signal.SIGTERM)
        wait(lambda: worker not in self.workers() and len(self.workers()) == self.wanted)


def wait(true: object) -> None:
    assert callable(true)
    ends = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < ends, "what was waited for did not happen"
        time.sleep(0.02)


@contextmanager
def serving(folder: Path, workers: int, environment: dict[str, str]) -> Generator[Shop]:
    shop = Shop(folder, workers, environment)
    try:
        yield shop
    finally:
        shop.process.terminate()
        shop.process.wait(PATIENCE)


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
    with serving(folder, workers, environment) as shop:
        visitors = [Visitor(shop.port, number, stop) for number in range(1, browsers + 1)]

        def all_served(version: str, times: int) -> bool:
            wrong = [what for one in visitors for what in one.wrong]
            assert not wrong, wrong
            return all(one.served[version] >= times for one in visitors)

        for visitor in visitors:
            visitor.start()
        try:
            wait(lambda: all_served("before", 20))
            for version, code in (("after", AFTER), ("at last", AT_LAST)):
                shop.deploy(code)
                # One that has just been forked would not notice that it is to end.
                wait(lambda: shop.workers() <= set().union(*[one.workers for one in visitors]))
                for worker in shop.workers():
                    shop.restart(worker)
                    served = version  # old and new side by side from the first restart on
                    wait(lambda served=served: all_served(served, 3))
            wait(lambda: all_served("at last", 20))
        finally:
            stop.set()
            for visitor in visitors:
                visitor.join(PATIENCE)
        for visitor in visitors:
            assert not visitor.wrong, visitor.wrong
            assert len(visitor.cookie) == COOKIE_LENGTH, "its session was not carried over"
            found = msgspec.json.decode(visitor.get("/look"))
            assert found == {"cart": visitor.added, "user": visitor.number}
