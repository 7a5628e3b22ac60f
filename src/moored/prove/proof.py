"""Running it all: every side in turn, every scene on it, and what came of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from moored.prove.gate import Gate, NotRun
from moored.prove.scenes import Scene, Stage
from moored.prove.server import Server
from moored.prove.sides import Place, Side


class Result(Struct, frozen=True):
    """What came of a scene on a side; ``seconds`` it took, in how many ``processes``.

    ``failed`` changes were answered with an error; ``error`` says why the scene proves nothing.
    """

    scene: str
    side: str
    expected: int = 0
    kept: int = 0
    failed: int = 0
    processes: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def lost(self) -> int:
        """Changes that were acknowledged and are not there."""
        return self.expected - self.kept - self.failed

    @property
    def whole(self) -> bool:
        """Was it run, and nothing lost or refused?"""
        return not self.error and self.kept == self.expected

    def said(self, scene: Scene) -> str:
        """In a few words."""
        if self.error:
            return "not run"
        failed = f", {self.failed} failed" if self.failed else ""
        if self.lost:
            return f"{scene.lost} {self.lost} of {self.expected}{failed}"
        if failed:
            return f"{scene.kept} {self.kept} of {self.expected}{failed}"
        return f"{scene.kept} all {self.kept}"


class Proof(Struct, frozen=True):
    """What was run, and what came of it."""

    seed: int
    sides: tuple[Side, ...]
    scenes: tuple[Scene, ...]
    results: dict[tuple[str, str], Result]  # by scene and side
    seconds: float

    def of(self, scene: Scene, side: Side) -> Result:
        """What came of that scene on that side."""
        return self.results[scene.id, side.id]

    @property
    def lost(self) -> bool:
        """Did a side of ours lose anything?"""
        return any([self.of(scene, side).lost for scene in self.scenes for side in self.sides if side.ours])

    @property
    def not_run(self) -> bool:
        """Could a scene not be run, or did a side of ours answer with an error?"""
        return any(
            [
                result.error or (side.ours and result.failed)
                for side in self.sides
                for result in [self.of(scene, side) for scene in self.scenes]
            ]
        )


Watch = Callable[[str, str, Result | None], None]  # scene and side; None: it begins


def run(
    sides: Sequence[Side],
    scenes: Sequence[Scene],
    seed: int,
    watch: Watch,
    *,
    redis: str = "",
    prefix: str = "",
) -> Proof:
    """Run all scenes on all sides, one side after the other, in an order that the seed chooses."""
    began = time.monotonic()
    order = list(sides)
    Random(seed).shuffle(order)  # noqa: S311 - so that nobody is always first; it guards nothing
    results: dict[tuple[str, str], Result] = {}
    for side in order:
        for result in _run_side(side, scenes, seed, watch, redis, prefix):
            results[result.scene, result.side] = result
    return Proof(seed, tuple(sides), tuple(scenes), results, time.monotonic() - began)


def _run_side(
    side: Side, scenes: Sequence[Scene], seed: int, watch: Watch, redis: str, prefix: str
) -> list[Result]:
    found: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="moored-prove-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        state = folder / "state"
        state.mkdir()
        place = Place(str(state), redis, f"{prefix}{side.id}:")
        watch(scenes[0].id, side.id, None)
        try:
            with Gate() as gate, Server(side, place, gate, folder) as server:
                for scene in scenes:
                    watch(scene.id, side.id, None)
                    found.append(_play(scene, side, server, gate, seed))
                    watch(scene.id, side.id, found[-1])
        except NotRun as error:  # none of them
            found = [Result(scene.id, side.id, error=str(error)) for scene in scenes]
            for result in found:
                watch(result.scene, result.side, result)
    return found


def _play(scene: Scene, side: Side, server: Server, gate: Gate, seed: int) -> Result:
    began, result = time.monotonic(), Result(scene.id, side.id)
    stage = Stage(server.port, gate, Random(f"{seed} {scene.id}"))  # noqa: S311 - alike on every side
    try:
        count = scene.play(stage)
        result = replace(result, expected=count.expected, kept=count.kept, failed=count.failed)
    except NotRun as error:
        result = replace(result, error=str(error))
    return replace(result, processes=len(stage.visits.processes), seconds=round(time.monotonic() - began, 3))
