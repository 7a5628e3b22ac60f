"""Simulation: programs interleaved one command at a time, with faults, by the thousand.

A *scene* is a generator function: it sets up undisturbed, yields its actors by name, is sent
how each of them ended, and checks what was promised::

    def adds_count_once(world: World) -> Story:
        counter = Counter(world.binding, "visits")
        ended = yield {name: counter.add(1) for name in "ab"}
        total = world.run(value("visits"))
        sure = sum(one.acknowledged for one in ended.values())
        assert sure <= total <= sure + sum(one.unsure for one in ended.values())

    explore(adds_count_once)        # every schedule with up to two surprises
    wander(adds_count_once, 1_000)  # random ones

A *schedule* is a list of small integers, one for each choice that was met; 0 is "no surprise":
who moved last moves again and nothing goes wrong.  What can go wrong is in ``world.py``.  An
actor may end by Moored's own errors; any other exception fails the scene, as a failed check
does.  A ``Failure`` has been shrunk and names the line that replays it.

While a scene is played, ``secrets`` and ``random.uniform`` are replaced in the whole process
by numbers that are always the same: never do this in a process that serves.
"""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from msgspec import Struct, field

from moored.testing.actors import Cancelled, Fixed, Outcome
from moored.testing.world import FAULTS, Stage, World

__all__ = [
    "FAULTS",
    "Cancelled",
    "Failure",
    "Outcome",
    "Scene",
    "Story",
    "Tally",
    "World",
    "explore",
    "narrate",
    "play",
    "wander",
]

Story = Generator[Mapping[str, Coroutine[Any, Any, Any]], dict[str, Outcome], None]
Scene = Callable[[World], Story]

SURPRISES = (3, 4, 6, 9)  # expected in a random schedule
SHRINKING = 3_000  # plays spent on making a failure short


class Tally(Struct):
    """What many plays of a scene came to.

    ``fired`` counts surprises by name, of those that were ``possible``; ``met`` the answers
    by (command, answer); ``seen`` are the schedules themselves, as hashes.  ``complete``:
    none of those asked for was left out.
    """

    schedules: int = 0
    complete: bool = True
    possible: set[str] = field(default_factory=set)
    fired: Counter[str] = field(default_factory=Counter)
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set)

    @property
    def distinct(self) -> int:
        """How many of the schedules were different ones."""
        return len(self.seen)

    def count(self, world: World) -> None:
        """Add one play."""
        self.schedules += 1
        self.possible.update(world.possible)
        self.fired.update(world.fired)
        for (command, answer), times in world.met.items():
            self.met[command.__name__, answer] += times
        self.seen.add(hash(_trimmed(world.taken)))

    def add(self, other: Tally) -> None:
        """Add what other plays of the same scene came to."""
        self.schedules += other.schedules
        self.complete = self.complete and other.complete
        self.possible |= other.possible
        self.fired += other.fired
        self.met += other.met
        self.seen |= other.seen


class Failure(AssertionError):
    """A schedule that broke a promise; ``replay`` is the line that plays it again."""

    def __init__(self, scene: Scene, schedule: Sequence[int], cause: BaseException) -> None:
        self.scene = scene
        self.schedule: tuple[int, ...] = tuple(schedule)
        self.cause = cause
        self.replay: str = " ".join([scene.__name__, *map(str, schedule)])
        super().__init__(f"{type(cause).__name__}: {cause}\n--replay '{self.replay}'")


def play(scene: Scene, schedule: Sequence[int] = ()) -> World:
    """Play one schedule, set-up and checks included; raises Failure, not shrunk."""
    with _fixed_chance() as fixed:
        return _play(scene, World(schedule, fixed=fixed))


def narrate(scene: Scene, schedule: Sequence[int]) -> list[str]:
    """Play one schedule and tell, line by line, what happened; the last line is how it ended."""
    told: list[str] = []
    with _fixed_chance() as fixed:
        try:
            _play(scene, World(schedule, fixed=fixed, told=told))
            told.append("kept its promise")
        except Failure as failure:
            told.append(f"{type(failure.cause).__name__}: {failure.cause}")
    return told


def explore(scene: Scene, surprises: int = 2, *, limit: int | None = None, seed: int = 1) -> Tally:
    """Play every schedule with at most that many surprises, those with fewer first.

    Of more than ``limit`` of them, those with most surprises are drawn by ``seed``.
    """
    tally, stages = Tally(), list[Stage]()
    level: list[tuple[int, ...]] = [()]
    with _fixed_chance() as fixed:
        for left in range(surprises, -1, -1):
            if limit is not None and tally.schedules + len(level) > limit:
                chosen = _seeded(seed).sample(range(len(level)), max(0, limit - tally.schedules))
                level = [level[index] for index in sorted(chosen)]
                tally.complete = False
            following: list[tuple[int, ...]] = []
            for prefix in level:
                world = _shrunk(scene, World(prefix, fixed=fixed, stages=stages), fixed)
                tally.count(world)
                if left:
                    following.extend(_with_one_more(prefix, world.widths))
            level = following
    return tally


def wander(scene: Scene, plays: int, *, seed: int = 1) -> Tally:
    """Play random schedules, of three surprises or so and of more."""
    tally, stages, chance = Tally(), list[Stage](), _seeded(seed)
    with _fixed_chance() as fixed:
        choices = len(_shrunk(scene, World(fixed=fixed, stages=stages), fixed).widths)
        for _ in range(plays):
            odds = min(0.7, chance.choice(SURPRISES) / choices)
            world = World(chance=chance, odds=odds, fixed=fixed, stages=stages)
            tally.count(_shrunk(scene, world, fixed))
    return tally


def _play(scene: Scene, world: World) -> World:
    story = scene(world)
    try:
        outcomes = world.play(next(story))
        world.always = None
        try:
            story.send(outcomes)
        except StopIteration:
            return world
        raise TypeError(f"the scene {scene.__name__} must yield once")
    except Exception as error:
        world.close()
        raise Failure(scene, _trimmed(world.taken), error) from error


def _with_one_more(prefix: tuple[int, ...], widths: list[int]) -> Iterator[tuple[int, ...]]:
    """The schedules that are as ``prefix``, then surprise once more."""
    for position in range(len(prefix), len(widths)):
        quiet = prefix + (0,) * (position - len(prefix))
        for choice in range(1, widths[position]):
            yield (*quiet, choice)


# --- Shrinking --------------------------------------------------------------------------------


def _shrunk(scene: Scene, world: World, fixed: Fixed) -> World:
    """Play; a failure is raised again with a schedule as simple as can be found."""
    try:
        return _play(scene, world)
    except Failure as failure:
        found, left = failure, SHRINKING
    while left > 0:
        simpler: Failure | None = None
        for schedule in _simpler(found.schedule):
            left -= 1
            try:
                _play(scene, World(schedule, fixed=fixed))
            except Failure as failure:
                if _weight(failure.schedule) < _weight(found.schedule):
                    simpler = failure
                    break
            if left <= 0:
                break
        if simpler is None:
            break
        found = simpler
    raise found


def _weight(schedule: Sequence[int]) -> tuple[int, int, int]:
    return sum(map(bool, schedule)), len(schedule), sum(schedule)


def _simpler(schedule: Sequence[int]) -> Iterator[list[int]]:
    """Without one surprise; without one choice; with a smaller choice."""
    surprises = [position for position, choice in enumerate(schedule) if choice]
    for position in surprises:
        yield [*schedule[:position], 0, *schedule[position + 1 :]]
    for position in range(len(schedule)):
        yield [*schedule[:position], *schedule[position + 1 :]]
    for position in surprises:
        for choice in range(1, schedule[position]):
            yield [*schedule[:position], choice, *schedule[position + 1 :]]


def _trimmed(taken: Sequence[int]) -> tuple[int, ...]:
    end = len(taken)
    while end and not taken[end - 1]:
        end -= 1
    return tuple(taken[:end])


# --- Chance -----------------------------------------------------------------------------------


def _seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - it chooses what to play, and guards nothing


@contextmanager
def _fixed_chance() -> Generator[Fixed]:
    """What is random elsewhere is the same in every play."""
    fixed = Fixed()
    replaced = (
        (secrets, "token_bytes", fixed.token_bytes),
        (secrets, "token_hex", fixed.token_hex),
        (random, "uniform", fixed.uniform),
    )
    kept = [(module, name, cast("object", getattr(module, name))) for module, name, _ in replaced]
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        yield fixed
    finally:
        for module, name, original in kept:
            setattr(module, name, original)
