"""What every test shares: Hypothesis settings, and no skipping under continuous integration."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import settings

from moored.engines.redis import RedisEngine

pytest_plugins = ["moored.testing.plugin", "tests.servers.fixtures"]

CI = os.environ.get("CI") == "true"

# A shell's background job ignores SIGINT, and so would every program that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Installed for programs that `tests/races` start.  In this process Flask-SocketIO would prefer it to threads,
# and once loaded it warns of every fork.
sys.modules["gevent"] = None  # type: ignore[assignment]

settings.register_profile("moored", deadline=None)
settings.register_profile("moored-ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("moored-ci" if CI else "moored")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

NO_SKIPS = "Under CI=true nothing is skipped, and this was: {}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _skipped_is_failed(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _skipped_is_failed(report)


def _skipped_is_failed(report: Report) -> Report:
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = NO_SKIPS.format(report.longrepr)
    return report


@pytest.fixture(autouse=True)
def no_engine_is_left_open() -> Iterator[None]:
    """Or Python would warn of its sockets whenever it collects them: in the midst of another test."""
    made: list[RedisEngine] = []
    init = RedisEngine.__init__

    def noted(engine: RedisEngine, *args: Any, **options: Any) -> None:
        init(engine, *args, **options)
        made.append(engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RedisEngine, "__init__", noted)
        yield
    left = [engine for engine in made if engine._stack._idle]
    for engine in left:
        engine.close()
    assert not left, "this test did not close its State on Redis, or its engine"
