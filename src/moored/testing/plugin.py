"""pytest fixtures: a place for state that no other test sees.

Turn them on with ``pytest_plugins = ["moored.testing.plugin"]`` in the top ``conftest.py``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from moored.testing.servers import RedisServer
from moored.url import sqlite_url as url_of_sqlite


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server for this run (with pytest-xdist: for each worker).

    Tests that stop, pause, fill or configure a server start one of their own.
    """
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """A URL on ``redis_server`` whose keys have a prefix that no other test uses."""
    return f"{redis_server.url}?prefix={secrets.token_hex(6)}:"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return url_of_sqlite(tmp_path / "moored.db")


@pytest.fixture
def memory_url() -> str:
    """The URL of state in memory: every ``State`` made from it begins empty."""
    return "memory:"
