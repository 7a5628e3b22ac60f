"""The same promises where greenlets take the place of threads: gunicorn's gevent workers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.races import test_lost_updates
from tests.races.conftest import Shop
from tests.races.server import shop

from moored import State


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture(name="shop")
def shop_of_greenlets(url: str, tmp_path: Path) -> Iterator[Shop]:
    with shop(tmp_path, url, "--worker-class=gevent") as server, State(url) as state:
        yield Shop(server, state, url.partition(":")[0])
        assert "Traceback" not in server.log()


def test_nothing_is_lost(shop: Shop) -> None:
    test_lost_updates.added(shop, 32, 5)
    test_lost_updates.test_a_slow_request_loses_nothing_that_others_did_meanwhile(shop, "pause")
    assert "Using worker: gevent" in shop.server.log_file.read_text()


def test_a_greenlet_that_is_interrupted_leaves_the_others_their_own_answers(redis_url: str) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("interrupted_greenlets.py"), redis_url],
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    counters = json.loads(done.stdout)
    assert len(counters) == 12
    for counter in counters:
        assert counter["own"]
        assert counter["added"] <= counter["value"] <= counter["added"] + counter["interrupted"]
