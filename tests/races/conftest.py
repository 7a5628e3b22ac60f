from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.races.clients import Browser
from tests.races.gates import Gates
from tests.races.server import Gunicorn, shop

from moored import State
from moored.url import sqlite_url


@dataclass
class Shop:
    """The shop under a server with several workers, and its state as an operator sees it."""

    server: Gunicorn
    state: State
    engine: str

    @property
    def gates(self) -> Gates:
        return self.server.gates

    def browser(self, base: str = "") -> Browser:
        """A browser without cookies."""
        return self.server.browser(base)

    def visitor(self) -> Browser:
        """A browser whose session has an empty cart."""
        browser = self.browser()
        assert browser.post("/set/visited/yes").status == 200
        return browser

    def member(self, user: str) -> Browser:
        """A browser with somebody signed in."""
        browser = self.browser()
        assert browser.post(f"/login/{user}").status == 200
        return browser


@pytest.fixture(scope="session", params=["sqlite", "redis"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    if request.param == "sqlite":
        url = sqlite_url(folder / "shop.db")
    else:
        url = f"{request.getfixturevalue('redis_server').url}?prefix={secrets.token_hex(6)}:"
    # Half of the time the app is made before the workers are forked.
    options = ["--preload"] if request.param == "redis" else []
    with shop(folder, url, *options) as server, State(url) as state:
        yield Shop(server, state, request.param)
        assert "Traceback" not in server.log()


@pytest.fixture
def name() -> str:
    """A name that no other test uses, for users, gates and items."""
    return secrets.token_hex(4)


@pytest.fixture(name="shop")
def shop_fixture(running: Shop) -> Shop:
    return running
