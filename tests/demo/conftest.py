"""One shop on each engine for all tests of a process, and one with four workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.demo.shop import Server, serving

from moored.testing.servers import RedisServer


@pytest.fixture(scope="session")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("shop")) as server:
        yield server


@pytest.fixture(scope="session")
def on_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with RedisServer() as redis, serving(tmp_path_factory.mktemp("shop"), redis.url) as server:
        yield server


@pytest.fixture(params=["on_sqlite", "on_redis"])
def shop(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(params=["sqlite", "redis"])
def busy_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Newly opened, with four workers."""
    with ExitStack() as stack:
        url = stack.enter_context(RedisServer()).url if request.param == "redis" else None
        yield stack.enter_context(serving(tmp_path, url, workers=4))
