from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from tests.adopt.databases import KINDS, DatabaseUrl
from tests.adopt.shops import Pair, after, before
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer

from moored.flask.extension import mooring
from moored.testing.servers import RedisServer


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseUrl:
    """The URL, for SQLAlchemy, of the test's own database of one of the kinds in ``DATABASES``."""

    def url(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path}/old.db"
        if kind == "postgresql":
            server: PostgresServer | MariaDBServer = request.getfixturevalue("postgres")
            return server.url.replace("://", "+psycopg://", 1)
        server = request.getfixturevalue("mariadb")
        return server.url.replace("://", "+pymysql://", 1)

    return url


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Where the old sessions are."""
    return str(request.param)


@pytest.fixture
def pair(kind: str, tmp_path: Path, redis_server: RedisServer, database_url: DatabaseUrl) -> Iterator[Pair]:
    """Makes the shop as it was and as it is, which share what the old library shares."""
    made: list[Flask] = []
    clients: list[redis.Redis] = []
    prefix = secrets.token_hex(6) + ":"

    def config() -> dict[str, Any]:
        common: dict[str, Any] = {
            "instance_path": str(tmp_path),
            "MOORED_URL": f"{redis_server.url}?prefix=m{prefix}",
        }
        match kind:
            case "redis" | "signed":
                clients.append(client := redis.Redis(port=redis_server.port))
                return {
                    "instance_path": str(tmp_path),
                    "SESSION_TYPE": "redis",
                    "SESSION_REDIS": client,
                    "SESSION_KEY_PREFIX": prefix,
                    "SESSION_USE_SIGNER": kind == "signed",
                }
            case "sqlite" | "postgresql" | "mariadb":
                return {
                    **common,
                    "SESSION_TYPE": "sqlalchemy",
                    "SESSION_SQLALCHEMY": SQLAlchemy(),
                    "SQLALCHEMY_DATABASE_URI": database_url(kind),
                }
            case "files":
                folder = str(tmp_path / "files")
                more = {"SESSION_FILE_DIR": folder, "MOORED_ADOPT_PICKLE": True}
                return {**common, "SESSION_TYPE": "filesystem", **more}
        return {**common, "MOORED_ADOPT": ["flask-cookie"]}

    def make(which: Any, **settings: Any) -> Flask:
        app: Flask = which(**{**config(), **settings})
        made.append(app)
        return app

    def pairing(**settings: Any) -> tuple[Flask, Flask]:
        return make(before), make(after, **settings)

    yield pairing
    for app in made:
        if "moored" in app.extensions:
            mooring(app).state.close()
        if "sqlalchemy" in app.extensions:
            with app.app_context():
                app.extensions["sqlalchemy"].engine.dispose()
    for client in clients:
        client.close()
