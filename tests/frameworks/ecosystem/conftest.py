from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from tests.races.gates import Gates

from moored.flask.extension import mooring


@pytest.fixture
def close() -> Iterator[Callable[[Flask], Flask]]:
    """Sees to it that the state of an app is closed at the end."""
    apps: list[Flask] = []

    def later(app: Flask) -> Flask:
        apps.append(app)
        return app

    yield later
    for app in apps:
        mooring(app).state.close()


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


@pytest.fixture(params=["sqlite", "redis"])
def shared_url(request: pytest.FixtureRequest) -> str:
    """The URL of an engine that several processes can share."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
