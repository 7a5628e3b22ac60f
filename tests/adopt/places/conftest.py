from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.adopt.databases import SERVERS, DatabaseUrl
from tests.adopt.places.peers import KINDS, Peer

from moored.testing.servers import RedisServer


@pytest.fixture
def make_peer(
    tmp_path: Path, redis_server: RedisServer, database_url: DatabaseUrl
) -> Iterator[Callable[..., Peer]]:
    """Makes applications on Flask-Session."""
    made: list[Peer] = []

    def make(kind: str, **config: object) -> Peer:
        made.append(Peer(kind, tmp_path, redis_server.port, database_url, **config))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


@pytest.fixture(params=[*KINDS, *SERVERS])
def peer(request: pytest.FixtureRequest, make_peer: Callable[..., Peer]) -> Peer:
    """An application on each store that sessions can be adopted from."""
    return make_peer(request.param)


@pytest.fixture(params=KINDS)
def local_peer(request: pytest.FixtureRequest, make_peer: Callable[..., Peer]) -> Peer:
    """As ``peer``, where a database server has nothing to do with it."""
    return make_peer(request.param)
