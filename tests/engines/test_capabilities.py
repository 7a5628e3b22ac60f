"""What each engine offers operators: a method that is renamed would be missed by nobody else."""

from __future__ import annotations

import pytest

from moored.run import Remembering, Sweeping, Telling
from moored.state import State

PROTOCOLS: tuple[type, ...] = (Remembering, Sweeping, Telling)


@pytest.mark.parametrize(
    ("url", "offered"),
    [
        ("memory:", [Remembering, Sweeping]),
        ("sqlite:///shop.db", [Remembering, Sweeping]),
        ("redis://localhost", [Remembering, Telling]),
    ],
)
def test_what_an_engine_offers(url: str, offered: list[type]) -> None:
    engine = State(url).binding.engine  # opens nothing
    assert [kind for kind in PROTOCOLS if isinstance(engine, kind)] == offered
