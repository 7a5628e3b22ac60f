"""``moored doctor`` on real Redis servers, well and badly configured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.cli.conftest import MakeShop
from tests.cli.findings import Findings, judged
from tests.cli.shop import run, run_in
from tests.waiting import until

from moored.cli.checks import redis as checking
from moored.testing.servers import RedisServer

AS_STARTED: dict[str, str | int] = {"save": "", "appendonly": "no", "appendfsync": "everysec", "maxmemory": 0}


@pytest.fixture(scope="module")
def own() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(own: RedisServer) -> Iterator[RedisServer]:
    """A server whose configuration a test may change."""
    yield own
    own.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    for name, value in AS_STARTED.items():
        own.cli("CONFIG", "SET", name, value)


def doctor(url: str) -> Findings:
    return Findings(run("doctor", "--json", MOORED_URL=url))


def test_what_there_is_to_see(server: RedisServer) -> None:
    found = doctor(server.url)
    assert found.status == 0
    assert found.not_ok() == {"202": "warning", "208": "note"}
    assert all(f"20{number}" in found for number in range(1, 10))
    assert found.what("201").startswith(f"Redis at 127.0.0.1:{server.port} is version ")


@pytest.mark.parametrize(
    ("config", "severity", "words"),
    [
        ({}, "warning", "writes nothing to disk"),
        (
            {"save": "3600 1 300 100"},
            "warning",
            "last snapshot, which is made 1 h after 1 change, 5 min after 100 changes.",
        ),
        ({"appendonly": "yes"}, "note", "can lose the last second"),
        ({"appendonly": "yes", "appendfsync": "always"}, "ok", "loses nothing that was acknowledged"),
        ({"appendonly": "yes", "appendfsync": "no"}, "warning", "about the last half minute"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 3])
def test_what_a_crash_can_lose(
    server: RedisServer, config: dict[str, str], severity: str, words: str, protocol: int
) -> None:
    for name, value in config.items():
        server.cli("CONFIG", "SET", name, value)
    found = doctor(f"{server.url}?protocol={protocol}")
    assert found.severity("202") == severity
    assert words in found.what("202")
    assert found.severity("209") == "ok"


def test_a_disk_that_fails() -> None:
    with RedisServer() as server:
        (server.folder / "dump.rdb").mkdir()  # the snapshot cannot take its place
        server.cli("BGSAVE")
        failed = "rdb_last_bgsave_status:err"
        until(lambda: failed in server.cli("INFO", "persistence"), "the failure of the snapshot")
        found = doctor(server.url)
        (server.folder / "dump.rdb").rmdir()
    assert (found.status, found.severity("202")) == (1, "error")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_eviction(server: RedisServer, policy: str) -> None:
    server.cli("CONFIG", "SET", "maxmemory-policy", policy)
    found = doctor(server.url)
    assert (found.severity("002"), found.severity("203")) == ("error", "error")
    assert policy in found.what("203")
    allowed = doctor(f"{server.url}?evicting=allow")
    assert (allowed.severity("002"), allowed.severity("203")) == ("ok", "warning")


@pytest.mark.parametrize(("share", "severity"), [(0.5, "ok"), (0.85, "warning"), (1.1, "error")])
def test_memory(server: RedisServer, share: float, severity: str) -> None:
    server.cli("SETRANGE", "filler", 20_000_000, "x")  # beside which what connections take is nothing
    used = int(str(server.cli("INFO", "memory")).partition("used_memory:")[2].split()[0])
    server.cli("CONFIG", "SET", "maxmemory", int(used / share))
    assert doctor(server.url).severity("204") == severity


def test_replicas(server: RedisServer) -> None:
    assert doctor(f"{server.url}?wait=1").severity("205") == "error"
    with RedisServer(replica_of=server) as replica:
        until(lambda: "state=online" in server.cli("INFO", "replication"), "the replica's arrival")
        assert doctor(server.url).severity("205") == "note"
        assert doctor(f"{server.url}?wait=1").severity("205") == "ok"
        assert doctor(f"{server.url}?wait=2").severity("205") == "error"
        on_replica = doctor(replica.url)
        assert (on_replica.severity("201"), on_replica.status) == ("error", 1)


def test_what_a_user_may_not_see(server: RedisServer) -> None:
    server.cli("ACL", "SETUSER", "plain", "reset", "on", ">pw", "~*", "+@all", "-config")
    url = server.url.replace("redis://", "redis://plain:pw@")
    found = doctor(url)
    assert (found.severity("209"), found.severity("208"), found.severity("202")) == ("note", "ok", "note")
    assert found.severity("203") == "ok"  # INFO tells
    server.cli("ACL", "SETUSER", "plain", "-info")
    blind = doctor(url)
    assert "INFO" in blind.what("209")
    assert "201" not in blind
    server.cli("ACL", "DELUSER", "plain")


def test_a_wrong_password() -> None:
    with RedisServer(password="right") as server:
        found = doctor(server.url.replace("right", "wrong"))
        assert (found.severity("002"), found.status) == ("error", 1)
        assert "201" not in found
        assert doctor(server.url).severity("208") == "ok"


def test_tls_and_sockets() -> None:
    with RedisServer(tls=True) as server:
        assert doctor(server.url).what("207") == "The way to Redis is encrypted (TLS)."
    with RedisServer(unixsocket=True) as server:
        assert doctor(server.url).what("207") == "Redis is on this host."


def test_a_lent_client(shop_at: MakeShop, server: RedisServer) -> None:
    """The server that is looked at is the application's, also where no URL names it."""
    import redis
    from flask import Flask

    from moored.flask import Session
    from moored.flask.extension import mooring

    app = Flask("lent")
    client = redis.Redis(port=server.port)
    app.config |= {"SECRET_KEY": "long enough a secret", "SESSION_TYPE": "redis", "SESSION_REDIS": client}
    Session(app)
    found = Findings(run_in(app, "doctor", "--json"))
    assert f"127.0.0.1:{server.port} " in found.what("201") or f"localhost:{server.port} " in found.what(
        "201"
    )
    mooring(app).state.close()
    client.close()


# --- What no server here can be made to be ------------------------------------------------------

FAR = checking.Server(
    "Redis at redis.example.com:6379",
    {"redis_version": "7.0.15", "role": "master"},
    {},
    ahead=0.0,
    wait=0,
    evicting=False,
    local=False,
    tls=False,
    password=False,
)


def test_a_server_far_away() -> None:
    assert judged(checking.encryption(FAR)) == ("207", "warning")
    assert judged(checking.encryption(replace(FAR, tls=True))) == ("207", "ok")
    assert judged(checking.password(FAR)) == ("208", "warning")
    assert judged(checking.password(replace(FAR, password=True))) == ("208", "ok")


@pytest.mark.parametrize(
    ("info", "severity"),
    [
        ({"redis_version": "6.2.0"}, "ok"),
        ({"redis_version": "6.0.16"}, "warning"),
        ({"redis_version": "5"}, "warning"),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, "ok"),
        ({"redis_version": "7.0.0", "redis_mode": "cluster"}, "error"),
        ({"redis_version": "7.0.0", "role": "slave"}, "error"),
    ],
)
def test_versions_and_roles(info: dict[str, str], severity: str) -> None:
    assert judged(checking.role(replace(FAR, info=info))) == ("201", severity)


@pytest.mark.parametrize(
    ("ahead", "severity", "words"),
    [(0.5, "ok", "agree"), (-1.9, "ok", "agree"), (3, "note", "3 s ahead"), (-90, "warning", "90 s behind")],
)
def test_clocks(ahead: float, severity: str, words: str) -> None:
    found = checking.clock(ahead)
    assert judged(found) == ("206", severity)
    assert words in found.what


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("redis", False)],
)
def test_hosts(host: str, local: bool) -> None:
    assert checking._loopback(host) is local
