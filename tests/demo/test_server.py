"""Starting and ending the demo's server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.demo.shop import Browser, Server, serving

from moored.demo import serve
from moored.errors import ConfigurationError
from moored.testing.servers import free_port
from moored.url import sqlite_url


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("number", "everybody"),
    [(signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGHUP, True)],
)
def test_ends_cleanly(tmp_path: Path, number: int, everybody: bool, times: int) -> None:
    """As by `kill`, by Ctrl-C in a terminal and by its end, which all workers get too; also twice."""
    server = Server(tmp_path)
    wait_for_workers(server, 2)
    for _ in range(times - 1):
        (os.killpg if everybody else os.kill)(server.process.pid, number)
    status, said = server.end(number, everybody=everybody)
    assert (status, said) == (0, "")
    with pytest.raises(ConnectionRefusedError):
        Browser(server).page()


def wait_for_workers(server: Server, count: int) -> None:
    """Until so many have made a page: gunicorn loses a signal to a worker that is still starting."""
    seen: set[str] = set()
    ends = time.monotonic() + 30
    with ThreadPoolExecutor(8) as pool:
        while len(seen) < count:
            assert time.monotonic() < ends, seen
            pages = pool.map(lambda _: Browser(server).page(), range(16))
            seen.update(name for page in pages for name in re.findall(r"Worker (\d+) made this page", page))


def test_takes_the_next_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server(tmp_path, port=port)
        assert server.port > port
        assert any(f"Port     {port} is taken" in line for line in server.said)
        assert server.end()[0] == 0


def test_what_is_kept_outlives_the_server(tmp_path: Path) -> None:
    """Cart, sign-in and the secret behind them, in files that only the user can read."""
    with serving(tmp_path) as server:
        before = Browser(server)
        before.sign_up("Ada")
        bought = before.order("mug")
        before.add("compass")
    folder = tmp_path / "moored" / "demo"
    assert folder.stat().st_mode & 0o077 == 0
    assert {path.name for path in folder.iterdir()} >= {"books.db", "shop.db", "shop.db-secret"}
    assert (folder / "books.db").stat().st_mode & 0o077 == 0
    with serving(tmp_path) as again:
        after = Browser(again)
        after.jar = {after.name: before.cookie}
        assert (after.subject(), after.cart()) == ("ada", {"compass": 1})
        assert (bought in after.page("/account"), after.stock()["mug"]) == (True, 59)
        Browser(again).sign_in("Ada")


@pytest.mark.parametrize(("given", "rest"), [(False, ""), (True, " and the state")])
def test_says_how_to_begin_anew(tmp_path: Path, given: bool, rest: str) -> None:
    server = Server(tmp_path, sqlite_url(tmp_path / "mine.db") if given else None)
    kept = tmp_path / "moored" / "demo"
    assert f"  Kept     for the next run; to begin anew, remove the folder {kept}{rest}" in server.said
    assert server.end()[0] == 0


def test_does_not_open_where_the_engine_is_away(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "moored", "demo", "--url", f"redis://localhost:{free_port()}", "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "[MRD-001]" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_refuses_memory_in_several_processes() -> None:
    with pytest.raises(ConfigurationError, match="the demo has 2"):
        serve("memory:", 0, 2)


def test_refuses_urls_it_does_not_know() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean sqlite:"):
        serve("sqlit:///shop.db", 0, 2)
