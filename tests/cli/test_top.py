"""``moored top``: counts are right, samples say that they are, and it ends when told to."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from tests.cli.conftest import MakeShop
from tests.cli.shop import members, run, run_in, signed_in

from moored.cli.pulse import OfRedis, OfSqlite
from moored.flask.extension import mooring
from moored.state import State
from moored.testing.servers import RedisServer, free_port

MEMBERS = {
    *("url", "engine", "at", "counted", "complete", "looked_at", "sampled", "signed_in", "visitors", "ended"),
    *("used", "oldest", "newest", "recent", "server", "not_carried_over"),
}
OF_REDIS = {
    *("server_version", "commands_per_second", "reads_per_second", "changes_per_second"),
    *("expired_per_second", "evicted", "clients", "memory_bytes", "memory_limit_bytes"),
}
OF_SQLITE = {"commits_per_second_at_least", "file_bytes", "log_bytes"}


def populated(app: Flask) -> None:
    """Three sessions of users, one of a visitor, one that was ended; two users, one counter."""
    for name in ("ann", "ann", "bob"):
        signed_in(app, name)
    app.test_client().get("/visit")
    signed_in(app, "bob").get("/out")
    mooring(app).state.counter("visits").add()


def test_one_picture(shop: Flask, url: str) -> None:
    populated(shop)
    for done in (run("top", "--once", "--json", "--url", url), run_in(shop, "top", "--json")):
        assert done.exit_code == 0, done.output
        said = members(done)
        assert set(said) == MEMBERS
        assert said["counted"] == {"sessions": 5, "subjects": 2, "counters": 1}
        assert (said["complete"], said["sampled"], said["looked_at"]) == (True, False, 5)
        assert (said["signed_in"], said["visitors"], said["ended"]) == (3, 1, 1)
        assert said["used"] == {"minute": 4, "ten_minutes": 4, "hour": 4, "day": 4}
        assert len(said["recent"]) == 4
        seen = [each["last_seen"] for each in said["recent"]]
        assert seen == sorted(seen, reverse=True)
        assert said["oldest"] <= said["newest"] <= said["at"]
        assert set(said["server"]) == (OF_REDIS if said["engine"] == "redis" else OF_SQLITE)
    shown = run("top", "--url", url)  # no terminal: once
    assert shown.exit_code == 0
    assert "Of all sessions:" in shown.stdout
    assert "(nobody)" in shown.stdout


def test_an_empty_place(shop: Flask, url: str) -> None:
    said = members(run("top", "--json", "--url", url))
    assert said["counted"] == {"sessions": 0, "subjects": 0, "counters": 0}
    assert (said["oldest"], said["recent"]) == (None, [])
    assert run("top", "--once", "--url", url).exit_code == 0


def test_a_sample_says_that_it_is_one(shop: Flask, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    populated(shop)
    monkeypatch.setattr("moored.cli.census.SAMPLE", 3)
    said = members(run("top", "--json", "--url", url))
    assert (said["complete"], said["sampled"], said["looked_at"]) == (True, True, 3)
    assert said["counted"]["sessions"] == 5
    assert said["signed_in"] + said["visitors"] + said["ended"] == 3
    assert "Of 3 sessions drawn at random:" in run("top", "--url", url).stdout


def test_a_bound_says_that_there_are_more(
    shop_at: MakeShop, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    populated(shop_at(sqlite_url))
    monkeypatch.setattr("moored.cli.census.MOST", 2)
    monkeypatch.setattr("moored.cli.census.PAGE", 1)
    said = members(run("top", "--json", "--url", sqlite_url))
    assert not said["complete"]
    assert said["sampled"]
    assert sum(said["counted"].values()) == 2
    assert "sessions  over 1" in run("top", "--url", sqlite_url).stdout


# --- What the engines tell ---------------------------------------------------------------------------


def test_rates_of_redis(redis_url: str) -> None:
    with State(redis_url) as state:
        engine: Any = state.binding.engine
        pulse = OfRedis(engine)
        assert pulse.look()["changes_per_second"] is None  # one look tells no rate
        began = time.monotonic()
        for _ in range(50):
            state.counter("visits").add()
        found = pulse.look()
        least = 50 / (time.monotonic() - began + 1)
        assert found["changes_per_second"] > least
        assert found["memory_bytes"] > 100_000


def test_a_redis_that_may_not_be_asked() -> None:
    with RedisServer() as server:
        server.cli("ACL", "SETUSER", "default", "-info")
        with State(f"{server.url}?evicting=allow") as state:
            state.counter("visits").add()
        done = run("top", "--json", "--url", f"{server.url}?evicting=allow")
        assert done.exit_code == 0, done.output
        said = members(done)
        assert said["counted"]["counters"] == 1
        assert said["server"] == {}


def test_commits_of_sqlite(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with State(sqlite_url) as state:
        state.counter("visits").add()
        pulse = OfSqlite(path)
        assert pulse.look()["commits_per_second_at_least"] is None
        for _ in range(5):
            state.counter("visits").add()
            pulse.glance()
        pulse.glance()
        assert pulse._changes == 5
        assert pulse.look()["commits_per_second_at_least"] > 0
        assert pulse._changes == 0
        assert pulse.look()["commits_per_second_at_least"] == 0
        assert pulse.look()["log_bytes"] > 0
        pulse.close()


# --- Live ----------------------------------------------------------------------------------------------


class Terminal:
    """``moored top`` at a terminal of its own."""

    def __init__(self, folder: Path, *words: str, **env: str) -> None:
        self._ours, theirs = pty.openpty()
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        size = {"COLUMNS": "110", "LINES": "30"}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "moored", "top", "--interval", "0.5", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**clean, "TERM": "xterm-256color", **size, **env},
            start_new_session=True,
        )
        os.close(theirs)
        self.screen = ""

    def until(self, text: str, seconds: float = 20.0) -> None:
        """Read until that was drawn."""
        ends = time.monotonic() + seconds
        while text not in self.screen:
            assert time.monotonic() < ends, self.screen
            assert self._read(ends - time.monotonic()), self.screen

    def _read(self, seconds: float = 20.0) -> bool:
        ready, _, _ = select.select([self._ours], [], [], seconds)
        assert ready, self.screen
        try:
            piece = os.read(self._ours, 65_536)
        except OSError:  # Linux says so where others send nothing
            return False
        self.screen += piece.decode(errors="replace")
        return bool(piece)

    def types(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def ended(self) -> int:
        while self._read():
            pass
        os.close(self._ours)
        return self.child.wait(20)


@pytest.mark.parametrize("how", ["q", "Ctrl-C"])
def test_it_looks_again_until_it_is_told_to_end(shop: Flask, url: str, folder: Path, how: str) -> None:
    populated(shop)
    terminal = Terminal(folder, "--url", url)
    terminal.until("of all sessions")
    assert "\x1b[?1049h" in terminal.screen
    assert "ann" in terminal.screen
    signed_in(shop, "a-new-one")
    terminal.until("a-new-one")
    if how == "q":
        terminal.types("q")
    else:
        terminal.child.send_signal(signal.SIGINT)  # as its terminal does
    assert terminal.ended() == 0
    assert "\x1b[?1049l" in terminal.screen  # what was on the screen before is there again
    assert "Traceback" not in terminal.screen


def test_a_server_that_is_away_for_a_while(folder: Path) -> None:
    with RedisServer() as server:
        terminal = Terminal(folder, "--url", f"{server.url}?deadline=0.3")
        terminal.until("no sessions")
        server.kill()
        terminal.until("cannot be reached")
        assert terminal.child.poll() is None
        terminal.types("q")
        assert terminal.ended() == 0


def test_no_colour(shop: Flask, url: str, folder: Path) -> None:
    populated(shop)
    terminal = Terminal(folder, "--url", url, NO_COLOR="1")
    terminal.until("of all sessions")
    terminal.types("q")
    assert terminal.ended() == 0
    assert "\x1b[32m" not in terminal.screen


def test_names_of_strangers_do_not_steer_the_terminal(
    shop_at: MakeShop, sqlite_url: str, folder: Path
) -> None:
    signed_in(shop_at(sqlite_url), "\x1b]0;mallory\x07")
    terminal = Terminal(folder, "--url", sqlite_url)
    terminal.until("mallory")
    terminal.types("q")
    terminal.ended()
    assert "\x1b]0;" not in terminal.screen


def test_what_it_cannot_begin_with(folder: Path) -> None:
    assert run("top", "--url", f"redis://127.0.0.1:{free_port()}").exit_code == 3
    assert run("top", "--interval", "0", "--url", "memory:").exit_code == 2
