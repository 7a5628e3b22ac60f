"""Four workers, a hundred additions each, on every engine: 400, also where answers get lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.faults.add_many import main
from tests.faults.lossy import Lossy

from moored import OutcomeUnknown, State
from moored.testing.faults import FaultProxy, chance, cut_after, cut_before, late
from moored.testing.servers import RedisServer

ROOT = Path(__file__).parents[2]


def race(url: str, *more: str) -> tuple[int, int]:
    """Four processes add a hundred each; how often they were sure, and unsure."""
    command = [sys.executable, "-m", "tests.faults.add_many", url, "100", *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        for worker in workers:
            assert worker.stdin
            worker.stdin.close()
        said = [worker.stdout.read() for worker in workers if worker.stdout]
        assert [worker.wait(60) for worker in workers] == [0, 0, 0, 0]
    counts = [[int(word) for word in line.split()] for line in said]
    return sum(sure for sure, _ in counts), sum(unsure for _, unsure in counts)


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_four_processes(engine: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{engine}_url")
    assert race(url) == (400, 0)
    with State(url) as state:
        assert state.counter("visits").value() == 400


def test_four_processes_on_sqlite_with_lost_and_late_steps(sqlite_url: str) -> None:
    sure, unsure = race(sqlite_url, "lossy")
    with State(sqlite_url) as state:
        assert sure <= state.counter("visits").value() <= sure + unsure
    assert (sure >= 380, unsure <= 10) == (True, True), (sure, unsure)


def test_four_processes_on_redis_with_lost_and_late_steps(redis_server: RedisServer, redis_url: str) -> None:
    with FaultProxy(redis_server.port) as proxy:
        faults = {cut_before(): 0.05, cut_after(): 0.1, late(2): 0.1}
        proxy.plan(chance(random.Random(1), faults), only=b"EVALSHA")
        sure, unsure = race(proxy.url_for(redis_url))
        fired = dict(proxy.fired)
    with State(redis_url) as state:
        assert sure <= state.counter("visits").value() <= sure + unsure
    assert (sure >= 380, unsure <= 10) == (True, True), (sure, unsure)
    assert min(fired[name] for name in ("cut_before", "cut_after", "late")) >= 5, fired


@pytest.mark.parametrize("lossy", [False, True])
def test_four_threads_in_memory(lossy: bool) -> None:
    with State("memory:", deadline=10) as state:
        state.binding.policy._budget = float("inf")
        if lossy:
            state.binding.engine = Lossy(state.binding.engine)  # type: ignore[assignment]
        totals: list[int] = []
        told: list[str] = []

        def add() -> None:
            for _ in range(100):
                try:
                    totals.append(state.counter("visits").add(1))
                except OutcomeUnknown as error:  # three answers in a row were lost
                    told.append(error.resolve())

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(totals)) == len(totals), "every addition has its own number"
        assert len(totals) + len(told) == 400
        assert "unknown" not in told
        assert state.counter("visits").value() == len(totals) + told.count("done")
        if lossy:
            assert state.binding.engine.lost > 20  # type: ignore[attr-defined]
            assert state.binding.engine.delayed > 20  # type: ignore[attr-defined]


def test_the_race_is_one() -> None:
    """The same program without operation ids counts too often: these tests can fail."""
    with State("memory:", deadline=10) as state:
        state.binding.policy._budget = float("inf")
        ids = iter(range(10**9))
        send = state.binding.engine.execute

        def forgetful(step, ops, timeout):  # type: ignore[no-untyped-def]
            return send(step, tuple(type(op)(f"x{next(ids)}", op.since, op.until) for op in ops), timeout)

        state.binding.engine.execute = forgetful  # type: ignore[method-assign]
        state.binding.engine = Lossy(state.binding.engine)  # type: ignore[assignment]
        for _ in range(100):
            state.counter("visits").add(1)
        assert state.counter("visits").value() > 100


def test_main_is_what_the_processes_run(sqlite_url: str) -> None:
    assert main(sqlite_url, 5, lossy=False) == (5, 0)
