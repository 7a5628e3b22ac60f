"""``python -m tests.simulation.hunt SCENE ...``: look for a schedule in which a promise is broken.

The scenes named are tried first, then all, with more and more surprises.  Prints the scene, how
many surprises it took, and the failure; or nothing, if every scene kept its promise.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.simulation.scenes import SCENES

from moored.testing.simulate import Failure, explore, wander

LIMIT = 6_000  # schedules of a scene: a bug can make them very many


def hunt(first: list[str]) -> Failure | None:
    """The first failure that is found, if any."""
    for name, surprises, limit, plays in _plan(first):
        try:
            explore(SCENES[name], surprises, limit=limit)
            if plays:
                wander(SCENES[name], plays)
        except Failure as failure:
            return failure
    return None


def _plan(first: list[str]) -> Iterator[tuple[str, int, int | None, int]]:
    for surprises in (0, 1, 2):
        for name in first:
            yield name, surprises, LIMIT, 500 if surprises == 2 else 0
    for surprises, limit in ((1, LIMIT), (2, 1_500)):
        for name in SCENES:
            yield name, surprises, limit, 300 if surprises == 2 else 0


def main() -> None:
    """Print what was found."""
    failure = hunt(sys.argv[1:])
    if failure is not None:
        surprises = sum(map(bool, failure.schedule))
        print(failure.scene.__name__, surprises, type(failure.cause).__name__, str(failure), sep="\n")


if __name__ == "__main__":
    main()
