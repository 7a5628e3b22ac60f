"""pytest fixtures: a place for state that no other test sees.

Turn them on with ``pytest_plugins = ["moored.testing.plugin"]`` in the top ``conftest.py``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from moored.testing.mariadb_server import MariaDBServer
from moored.testing.postgres_server import PostgresServer
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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this run, as ``redis_server``.  Its zone is far from UTC."""
    with PostgresServer("-c", "timezone=Pacific/Kiritimati") as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> PostgresServer:
    """``postgres_server``, in whose database nothing is."""
    postgres_server.clear()
    return postgres_server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """A MariaDB server for this run, as ``redis_server``.  Its zone is far from UTC."""
    with MariaDBServer("--default-time-zone=-11:00") as server:
        yield server


@pytest.fixture
def mariadb(mariadb_server: MariaDBServer) -> MariaDBServer:
    """``mariadb_server``, in whose database nothing is."""
    mariadb_server.clear()
    return mariadb_server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return url_of_sqlite(tmp_path / "moored.db")


@pytest.fixture
def memory_url() -> str:
    """The URL of state in memory: every ``State`` made from it begins empty."""
    return "memory:"
