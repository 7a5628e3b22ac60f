"""A Chromium for the tests of a module, and one shop for all tests of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.browser.chromium import Visitor, chromium
from tests.demo.shop import Server, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for longer: while it is there, an event loop runs on this thread, which other tests refuse."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("shop")) as server:
        yield server


Arrive = Callable[..., Visitor]


@pytest.fixture
def arrive(browser: Browser, shop: Server) -> Iterator[Arrive]:
    """Somebody comes, with a browser of their own.  At the end, no page may have complained."""
    visitors: list[Visitor] = []

    def come(**wishes: Any) -> Visitor:
        visitors.append(Visitor(browser, f"http://127.0.0.1:{shop.port}", **wishes))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.context.close()
    assert [visitor.complaints for visitor in visitors] == [[] for _ in visitors]
