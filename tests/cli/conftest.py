from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from tests.cli.shop import make_shop

from moored.flask.extension import mooring

MakeShop = Callable[..., Flask]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and an environment that says nothing about Moored."""
    for name in [name for name in os.environ if name.startswith(("MOORED_", "FLASK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty place, on each engine."""
    found = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(found, str)
    return found


@pytest.fixture
def shop_at() -> Iterator[MakeShop]:
    """Makes apps, and closes their state at the end."""
    made: list[Flask] = []

    def make(url: str | None, **config: Any) -> Flask:
        made.append(make_shop(url, **config))
        return made[-1]

    yield make
    for app in made:
        mooring(app).state.close()


@pytest.fixture
def shop(shop_at: MakeShop, url: str) -> Flask:
    """An app with state on each engine."""
    return shop_at(url)
