"""How everything here is measured: all contenders in each round, medians of the rounds.

A round runs every contender once, in an order of its own, so that whatever else the machine
does meets all of them alike.  A contender answers its figure for the round: a mean over the
calls of that round, so that what happens only now and then (a checkpoint, a collection of
garbage) is paid for by those who cause it.
"""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Mapping
from time import perf_counter_ns

from msgspec import Struct

Contender = Callable[[], float]


class Figure(Struct, frozen=True):
    """The median of the rounds, the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> Figure:
        return cls(statistics.median(values), min(values), max(values))

    def minus(self, other: Figure) -> Figure:
        """The same, less the median of another."""
        return Figure(self.median - other.median, self.least - other.median, self.greatest - other.median)


def interleaved(contenders: Mapping[str, Contender], rounds: int) -> dict[str, Figure]:
    """Each contender's figure; an uncounted round comes first, to warm up."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    dice = random.Random(1)
    for contender in contenders.values():
        contender()
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        dice.shuffle(order)
        for name in order:
            found[name].append(contenders[name]())
    gc.unfreeze()
    return {name: Figure.of(values) for name, values in found.items()}


def micros_each(call: Callable[[], object], times: int) -> Contender:
    """A contender whose figure is the microseconds of one call."""

    def contender() -> float:
        started = perf_counter_ns()
        for _ in range(times):
            call()
        return (perf_counter_ns() - started) / 1000 / times

    return contender


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]
