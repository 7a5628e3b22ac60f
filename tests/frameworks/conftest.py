from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.frameworks.rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """An app whose state is in memory."""
    rig = Rig()
    yield rig
    rig.mooring.state.close()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def each(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An app on each engine."""
    rig = Rig(request.getfixturevalue(f"{request.param}_url"))
    yield rig
    rig.mooring.state.close()


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    """Makes apps, and closes their state at the end."""
    made: list[Rig] = []

    def make(url: str = "memory:", **config: Any) -> Rig:
        made.append(Rig(url, **config))
        return made[-1]

    yield make
    for rig in made:
        rig.mooring.state.close()
