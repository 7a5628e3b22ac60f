"""Every seeded bug is noticed: its text is replaced in a copy of the package, and the scenes are played."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.scenes import SCENES

import moored

ROOT = Path(__file__).parents[2]
PACKAGE = Path(moored.__file__).parent
MOST_SURPRISES = 6
SECONDS = 240.0


def test_there_are_enough_and_each_is_another() -> None:
    assert len(MUTANTS) >= 56
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {name for mutant in MUTANTS for name in mutant.scenes} <= SCENES.keys()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "moored", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "moored" / mutant.module
    source = module.read_text()
    assert source.count(mutant.old) == 1, "the text that it replaces must occur exactly once"
    module.write_text(source.replace(mutant.old, mutant.new))
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.hunt", *mutant.scenes],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout, f"survived: {mutant.rule}"
    _scene, surprises, cause, *_ = done.stdout.splitlines()
    assert cause in ("AssertionError", "NoEndError"), (
        f"a broken program rather than a broken promise: {done.stdout}"
    )
    assert int(surprises) <= MOST_SURPRISES
