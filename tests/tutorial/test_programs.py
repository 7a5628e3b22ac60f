"""The programs of well-known tutorials, on Moored with one line changed, and with many clients at once."""

from __future__ import annotations

import difflib
import shutil
import subprocess
import sys
from functools import partial
from http.client import HTTPMessage
from pathlib import Path

from tests.races.clients import Answer, Browser, at_once
from tests.races.server import Gunicorn

from moored import State
from moored.testing.servers import RedisServer

TUTORIAL = Path(__file__).parents[2] / "tutorial"


def changes(name: str) -> list[str]:
    """What was changed in a program to put Moored into it."""
    before, after = ((TUTORIAL / folder / name).read_text().splitlines() for folder in ("before", "."))
    lines = difflib.unified_diff(before, after, n=0, lineterm="")
    return [line for line in lines if line[:2] not in ("--", "++", "@@")]


def program(name: str, folder: Path) -> Path:
    """A copy of the program, in a folder that it may write to."""
    return Path(shutil.copy(TUTORIAL / name, folder))


def add_many(browser: Browser, clients: int, number: int) -> list[str]:
    """Clients of one session add so many items each to its cart, at once; the items."""

    def add(client: int) -> None:
        mine = browser.twin()
        for n in range(number):
            assert post_json(mine, "/cart/add", f'{{"item": "{client}.{n}"}}').status == 200

    at_once([partial(add, client) for client in range(clients)])
    return [f"{client}.{n}" for client in range(clients) for n in range(number)]


def post_json(browser: Browser, path: str, body: str) -> Answer:
    return browser.request("POST", path, {"Content-Type": "application/json"}, body)


def test_flask_cart_needs_only_its_import_changed() -> None:
    assert changes("flask_cart.py") == [
        "-from flask_session import Session",
        "+from moored.flask import Session",
    ]


def test_flask_cart_loses_nothing(tmp_path: Path) -> None:
    program("flask_cart.py", tmp_path)
    with (
        RedisServer() as redis,
        Gunicorn("flask_cart:app", tmp_path, {"REDIS_PORT": str(redis.port)}) as server,
    ):
        browser = server.browser()
        assert browser.get("/cart").json == {"cart": []}
        assert browser.cookie == ""
        answer = post_json(browser, "/cart/add", '{"item": "book"}')
        assert answer.json == {"cart": ["book"]}
        assert_not_permanent(answer.headers)
        refused = post_json(browser, "/cart/add", "{}")
        assert (refused.status, refused.body) == (400, b'{"error":"No item provided"}\n')
        expected = ["book", *add_many(browser, 8, 10)]
        found = browser.get("/cart").json["cart"]
        assert sorted(found) == sorted(expected)
        assert found[0] == "book"
        assert server.browser().get("/cart").json == {"cart": []}
        assert all(key.startswith("session:") for key in redis.cli("KEYS", "*"))
        assert "Traceback" not in server.log()


def assert_not_permanent(headers: HTTPMessage) -> None:
    (cookie,) = headers.get_all("Set-Cookie") or []
    assert "Max-Age" not in cookie
    assert "Expires" not in cookie


def test_flask_cookie_needs_one_line_more() -> None:
    assert changes("flask_cookie.py") == ["+from moored.flask import Moored; Moored(app)"]


def test_flask_cookie_with_many_clients(tmp_path: Path) -> None:
    program("flask_cookie.py", tmp_path)
    with Gunicorn("flask_cookie:app", tmp_path, {}) as server:

        def visit() -> list[str]:
            browser = server.browser()
            pages = ["/get_session", "/set_session", "/get_session", "/set_session", "/get_session"]
            return [browser.get(page).body.decode() for page in pages]

        found = at_once([visit] * 16)
        assert found == [["User ID: None", "Session set", "User ID: 42", "Session set", "User ID: 42"]] * 16
        browser = server.browser()
        browser.get("/set_session")
        pages = at_once([partial(browser.twin().get, "/get_session") for _ in range(16)])
        assert {page.body for page in pages} == {b"User ID: 42"}
        answer = browser.get("/set_cookie")
        assert answer.cookies == ["username=ann; Path=/"]
        assert browser.get("/get_cookie", Cookie="username=ann").body == b"Welcome ann"
        assert "Traceback" not in server.log()
    with State(f"sqlite:///{tmp_path}/instance/moored.db") as state:
        assert len(state.sessions.of("42")) == 17


def test_shared_counter(tmp_path: Path) -> None:
    path = program("shared_counter.py", tmp_path)
    ran = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    lines = ran.stdout.splitlines()
    assert sorted(lines[:4]) == [f"Worker {n} done" for n in range(4)]
    assert lines[4:] == ["Final counter: 400"]
    with State(f"sqlite:///{tmp_path}/counter.db") as state:
        assert state.counter("visits").value() == 400
