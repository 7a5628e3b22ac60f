"""Seeded bugs: every guard of the semantics removed in turn.

One file of ``seeded`` for each module of the package.  A mutant replaces ``old``, which
must occur exactly once in its module, by ``new``; ``rule`` is what was promised and the
mutant breaks; ``scenes`` are likely to notice.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """A change of one module's text that some scene must notice."""

    module: str
    name: str
    rule: str
    old: str
    new: str
    scenes: list[str]


def _read(path: Path) -> list[Mutant]:
    seeded = tomllib.loads(path.read_text())
    return [Mutant(seeded["module"], **mutant) for mutant in seeded["mutant"]]


MUTANTS = [
    mutant for path in sorted(Path(__file__).with_name("seeded").glob("*.toml")) for mutant in _read(path)
]
