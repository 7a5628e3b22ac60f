"""The everyday share: every schedule of every scene with up to two surprises, and random ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.simulation.scenes import SCENES

from moored.commands import Patch, Put, Read, Record, Written
from moored.testing.simulate import FAULTS, Failure, Scene, Story, World, explore, narrate, play, wander

ROOT = Path(__file__).parents[2]
RANDOM = 1_500  # random schedules of each scene
LEAST = 5  # times that everything which can happen in a scene does

# Answers that the commands of sessions and counters can get: those a run has not met were not tested.
ANSWERS = {
    ("Read", "Record"), ("Read", "NoneType"),
    ("Put", "Written"), ("Put", "version"), ("Put", "dead"), ("Put", "late"),
    ("Patch", "Written"), ("Patch", "match"), ("Patch", "version"), ("Patch", "missing"), ("Patch", "dead"),
    ("Patch", "held"), ("Patch", "late"),
    ("Bury", "bool"), ("Bury", "match"), ("Bury", "late"),
    ("Drop", "bool"), ("Drop", "version"), ("Drop", "late"),
    ("Add", "int"), ("Add", "bounds"), ("Add", "late"), ("Add", "unknown"),
    ("Acquire", "Grant"), ("Acquire", "held"), ("Acquire", "Record"),
    ("Take", "Taken"),
    ("Enter", "first"), ("Enter", "queued"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_keeps_its_promise(name: str) -> None:
    assert (SCENES[name].__doc__ or "").endswith("."), "a scene says what it promises"
    tally = explore(SCENES[name], 2)
    tally.add(wander(SCENES[name], RANDOM))
    assert tally.complete
    assert tally.distinct > tally.schedules - RANDOM
    never = {what for what in tally.possible if tally.fired[what] < LEAST}
    assert not never, "what can go wrong hardly ever did"


def test_every_fault_and_every_answer_is_met() -> None:
    fired: Counter[str] = Counter()
    met: set[tuple[str, str]] = set()
    for scene in SCENES.values():
        tally = explore(scene, 1)
        tally.add(wander(scene, 60))
        fired += tally.fired
        met |= tally.met.keys()
    assert min(fired[fault] for fault in (*FAULTS, "switch", "delivered", "vanished", "woken")) > 500
    events = {"restart", "eviction", "expiry", "clock forward", "clock back", "outage", "crowd"}
    assert min(fired[event] for event in events) > 10
    assert met >= ANSWERS, f"never met: {sorted(ANSWERS - met)}"


# --- The simulator itself -------------------------------------------------------------------------


async def _read() -> Record | None:
    return await Read("n")


def _count(record: Record | None) -> int:
    return int(record.fields["n"]) if record else 0


def careless(world: World) -> Story:
    """A counter that reads and then writes: the lost update."""

    async def adder() -> None:
        record = await Read("n")
        await Put("n", {"n": b"%d" % (_count(record) + 1)})

    out = yield {name: world.call(adder()) for name in "abc"}
    assert _count(world.run(_read())) >= sum(one.acknowledged for one in out.values()), "an addition was lost"


def guarded(world: World) -> Story:
    """The same with a guard, tried again until it holds."""

    async def adder() -> None:
        while True:
            record = await Read("n")
            added = {"n": b"%d" % (_count(record) + 1)}
            done = await Put("n", added, version=record.version if record else 0)
            if isinstance(done, Written):
                return

    out = yield {name: world.call(adder()) for name in "abc"}
    assert _count(world.run(_read())) >= sum(one.acknowledged for one in out.values()), "an addition was lost"


def misspelt(world: World) -> Story:
    """An actor that ends by an error that is not Moored's."""

    async def actor() -> None:
        await Read("n")
        raise NameError("a mistake")

    yield {"a": world.call(actor())}


def endless(world: World) -> Story:
    """An actor that goes on for ever."""

    async def actor() -> None:
        while True:
            await Patch("n")

    yield {"a": world.call(actor())}


def _failure(scene: Scene, plays: int = 0) -> Failure:
    with pytest.raises(Failure) as caught:
        _ = wander(scene, plays) if plays else explore(scene, 2)
    return caught.value


@pytest.mark.parametrize("plays", [0, 200])
def test_a_failure_is_shrunk_to_what_it_takes(plays: int) -> None:
    failure = _failure(careless, plays)
    assert sum(map(bool, failure.schedule)) == 1
    assert failure.replay == "careless " + " ".join(map(str, failure.schedule))
    assert failure.replay in str(failure)
    with pytest.raises(Failure, match="an addition was lost"):
        play(careless, failure.schedule)
    told = narrate(careless, failure.schedule)
    assert sum("Put" in line for line in told) == 3
    assert told[-1].startswith("AssertionError: an addition was lost")


def test_what_is_right_passes() -> None:
    assert explore(guarded, 2).complete
    wander(guarded, 500)


@pytest.mark.parametrize(("scene", "cause"), [(misspelt, "a mistake"), (endless, "no end")])
def test_other_errors_and_endless_programs_fail(scene: Scene, cause: str) -> None:
    assert cause in str(_failure(scene))


def test_a_limit_leaves_out_those_with_most_surprises() -> None:
    everything, some = explore(guarded, 2), explore(guarded, 2, limit=120)
    assert everything.complete
    assert not some.complete
    assert some.schedules == some.distinct == 120
    assert some.seen < everything.seen
    assert explore(guarded, 1).seen < some.seen


def _trace(world: World) -> Sequence[object]:
    return world.taken, world.widths, world.clock.server(), sorted(world.engine.records.items())


@pytest.mark.parametrize("schedule", [(), (1,), (0, 0, 3, 0, 1), (2, 0, 5, 7)])
def test_a_schedule_replays_exactly(schedule: tuple[int, ...]) -> None:
    for scene in SCENES.values():
        assert _trace(play(scene, schedule)) == _trace(play(scene, schedule))


def test_a_schedule_replays_exactly_in_another_process() -> None:
    def told(seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--replay", "everywhere_leaves_none 0 0 3 0 1"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert "kept its promise" in told("1")
    assert told("1") == told("2")
