"""The full run: ``scripts/simulate``, and the replay of one schedule."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from typing import NamedTuple

from tests.simulation.scenes import SCENES

from moored.testing.simulate import FAULTS, Failure, Tally, explore, narrate, wander

CHUNK = 5_000  # random schedules of one task
LEAST_SHARE = 0.05  # of the average that every scene gets
SEVERAL = ("switch", *FAULTS, "delivered", "vanished", "woken")


class Task(NamedTuple):
    """A part of the run: all schedules with up to ``surprises``, or so many random ones."""

    name: str
    surprises: int
    plays: int = 0
    seed: int = 0


class Done(NamedTuple):
    """What a task came to, in how many seconds of one core."""

    task: Task
    tally: Tally
    seconds: float
    failure: str = ""


def carry_out(task: Task) -> Done:
    """Do one part."""
    began, tally = time.process_time(), Tally()
    try:
        scene = SCENES[task.name]
        tally = wander(scene, task.plays, seed=task.seed) if task.plays else explore(scene, task.surprises)
    except Failure as failure:
        return Done(task, tally, time.process_time() - began, f"{task.name}: {failure}")
    return Done(task, tally, time.process_time() - began)


class Run:
    """A full run over all cores."""

    def __init__(self, schedules: int, surprises: int, seed: int, names: list[str]) -> None:
        self.schedules, self.surprises, self.seed, self.names = schedules, surprises, seed, names
        self.tallies = {name: Tally() for name in names}
        self.enumerated = dict.fromkeys(names, 0)
        self.seconds = dict.fromkeys(names, 0.0)
        self.failures: list[str] = []
        self.began = time.monotonic()

    def go(self, jobs: int) -> None:
        """Enumerate first, then fill up with random schedules: a quarter evenly, the rest by size."""
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for done in pool.imap_unordered(carry_out, [Task(name, self.surprises) for name in self.names]):
                self._note(done)
            for done in pool.imap_unordered(carry_out, self._fill()):
                self._note(done)
        self._progress("\n")

    def _fill(self) -> list[Task]:
        self.enumerated = {name: tally.schedules for name, tally in self.tallies.items()}
        total = sum(self.enumerated.values())
        left = max(0, self.schedules - total)
        tasks = []
        for name, size in self.enumerated.items():
            plays = -(-left // (4 * len(self.names))) + -(-3 * left * size // (4 * max(1, total)))
            seeds = range(self.seed, self.seed + -(-plays // CHUNK))
            tasks += [Task(name, 0, min(CHUNK, plays - CHUNK * at), seed) for at, seed in enumerate(seeds)]
        return tasks

    def _note(self, done: Done) -> None:
        if done.failure:
            self.failures.append(done.failure)
            print(f"\n{done.failure}", file=sys.stderr)
        self.tallies[done.task.name].add(done.tally)
        self.seconds[done.task.name] += done.seconds
        self._progress("")

    def _progress(self, end: str) -> None:
        count = self.played()
        seconds = time.monotonic() - self.began
        line = f"\r{count:>9,} of {max(count, self.schedules):,} schedules in {seconds:4.0f} s"
        print(line, end=end, flush=True, file=sys.stderr)

    def report(self) -> list[str]:
        """The table of what was done."""
        lines = [
            "| scene | enumerated | random | distinct | surprises fired | a second |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        fired: Counter[str] = Counter()
        met: Counter[str] = Counter()
        for name, tally in self.tallies.items():
            few, rate = self.enumerated[name], tally.schedules / max(0.001, self.seconds[name])
            lines.append(
                f"| `{name}` | {few:,} | {tally.schedules - few:,} | {tally.distinct:,} "
                f"| {tally.fired.total():,} | {rate:,.0f} |"
            )
            fired += tally.fired
            met.update({f"{command}/{answer}": times for (command, answer), times in tally.met.items()})
        summary = (
            f"{len(self.names)} scenes, {self.played():,} schedules, of which"
            f" {sum(tally.distinct for tally in self.tallies.values()):,} distinct and"
            f" {sum(self.enumerated.values()):,} are all those with up to {self.surprises} surprises;"
            f" {time.monotonic() - self.began:,.0f} seconds, {sum(self.seconds.values()):,.0f} of one core."
        )
        return [*lines, "", summary, "", f"Fired: {_counts(fired)}.", "", f"Answered: {_counts(met)}."]

    def shortcomings(self) -> list[str]:
        """What the run ought to have done and has not."""
        least = LEAST_SHARE * self.played() / len(self.names)
        found = []
        for name, tally in self.tallies.items():
            if tally.schedules < least:
                found.append(f"{name} had less than its share of the schedules")
            found += [f"{name}: {what} never fired" for what in tally.possible if not tally.fired[what]]
        fired = {what for tally in self.tallies.values() for what in tally.fired}
        return found + [f"{what} never fired" for what in SEVERAL if what not in fired]

    def played(self) -> int:
        """How many schedules so far."""
        return sum(tally.schedules for tally in self.tallies.values())


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{what} {times:,}" for what, times in counter.most_common())


def main() -> int:
    """Read the command line; 0 if every scene kept its promise."""
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument(
        "--schedules", type=int, default=1_000_000, help="how many to play (default: 1,000,000)"
    )
    parser.add_argument(
        "--surprises", type=int, default=2, help="enumerate all with up to so many (default: 2)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random schedules (default: 1)")
    parser.add_argument("--scene", action="append", choices=SCENES, help="only this one; can be repeated")
    parser.add_argument("--replay", metavar="LINE", help="tell what happens in one schedule")
    options = parser.parse_args()
    if options.replay:
        name, *schedule = options.replay.split()
        told = narrate(SCENES[name], [int(choice) for choice in schedule])
        print("\n".join(told))
        return told[-1] != "kept its promise"
    run = Run(options.schedules, options.surprises, options.seed, options.scene or list(SCENES))
    run.go(options.jobs)
    print("\n".join(run.report()))
    wrong = run.failures or run.shortcomings()
    for line in wrong:
        print(line, file=sys.stderr)
    return bool(wrong)
