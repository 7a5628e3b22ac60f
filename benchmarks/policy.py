"""What the policy (operation ids, deadline, retry, breaker) adds to a command."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from benchmarks.ground import Ground
from benchmarks.measure import interleaved, micros_each
from benchmarks.report import Result, Table, Target
from moored.commands import Add, Op, Send, Step
from moored.engines.memory import MemoryEngine
from moored.operation import Binding, Blocking
from moored.run import run as run_program

TITLE = "Policy: microseconds of a command on an engine that does nothing"
ROUNDS, TIMES, MANY = 40, 500, 20


class NothingEngine(MemoryEngine):
    """Answers at once."""

    name: ClassVar[str] = "nothing"

    def execute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        return [1]


async def by_policy(times: int) -> None:
    for _ in range(times):
        await Add("counter:n")


async def by_itself(times: int) -> None:
    now = time.time_ns() // 1000
    for _ in range(times):
        await Send((Add("counter:n"),), (Op("0123456789abcdef", now, now),), 2.0)


def run(ground: Ground) -> Result:
    binding = Binding(NothingEngine(), Blocking)
    found = interleaved(
        {
            "without": micros_each(lambda: run_program(by_itself(1), binding.engine, binding.queues), TIMES),
            "with": micros_each(lambda: binding.run(by_policy(1)), TIMES),
            "many without": micros_each(
                lambda: run_program(by_itself(MANY), binding.engine, binding.queues), TIMES // MANY
            ),
            "many with": micros_each(lambda: binding.run(by_policy(MANY)), TIMES // MANY),
        },
        ROUNDS,
    )
    alone = found["with"].median - found["without"].median
    further = (found["many with"].median - found["many without"].median) / MANY
    table = Table(
        TITLE,
        ["", "µs"],
        [
            ["an operation of one command, without the policy", found["without"]],
            ["the same with the policy", found["with"]],
            ["added to such an operation", alone],
            [f"added to each command of an operation of {MANY}", further],
        ],
    )
    return Result(
        [table],
        [
            Target(
                "policy, a command",
                alone,
                at_most=10,
                unit="µs",
                limited_by="three coroutines deep, an id, the clock",
            )
        ],
    )
