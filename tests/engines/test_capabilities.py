"""What each engine offers operators: a method that is renamed would be missed by nobody else."""

from __future__ import annotations

import pytest

from moored.run import Remembering, Sweeping, Telling
from moored.state import State

OFFERED = {
    "memory:": {Sweeping, Remembering},
    "sqlite:///shop.db": {Sweeping, Remembering},
    "redis://localhost": {Remembering, Telling},
}


@pytest.mark.parametrize("url", OFFERED)
def test_what_an_engine_offers(url: str) -> None:
    engine = State(url).binding.engine  # opens nothing
    assert {kind for kind in (Sweeping, Remembering, Telling) if isinstance(engine, kind)} == OFFERED[url]
