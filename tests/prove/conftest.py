from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.prove.broken import LOG

from moored.prove import proof
from moored.prove.proof import Proof
from moored.prove.scenes import SCENES
from moored.prove.sides import Side

ROOT = Path(__file__).parents[2]
Run = Callable[..., Proof]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and an environment in which servers find the sides of these tests."""
    for name in [name for name in os.environ if name.startswith("MOORED_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host on which no redis-server is installed."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def run() -> Run:
    """Runs scenes, by name, on sides."""

    def run(*sides: Side, scenes: tuple[str, ...] = (), seed: int = 1) -> Proof:
        some = [scene for scene in SCENES if scene.id in scenes or not scenes]
        return proof.run(sides, some, seed, lambda *_: None)

    return run
