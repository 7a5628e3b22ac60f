"""The database servers that old sessions are adopted from, as pytest fixtures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer


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
