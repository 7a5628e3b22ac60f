"""Every kind on every engine, blocking and awaitable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.kinds.place import Place


@pytest.fixture(params=["memory", "sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    found = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(found, str)
    return found


@pytest.fixture(params=["blocking", "awaiting"])
def place(url: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    place = Place(url, request.param)
    yield place
    place.close()
