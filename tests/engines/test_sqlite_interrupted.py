"""The SQLite engine when a step is wrong, a signal handler raises, or the engine is closed meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.engines.asking import new_op

from moored import EncodingError, State
from moored.commands import Command, Patch, Put, Read
from moored.engines.commits import Ticket
from moored.engines.sqlite import SqliteEngine
from moored.url import sqlite_url as url_of


def run(code: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, url_of(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        Put("\ud800", {"a": b"1"}),
        Put("bad", {"\ud800": b"1"}),
        Patch("\udfff", {"a": b"1"}),
        Put(b"bad" * 10, {"a": object()}),  # type: ignore[arg-type, dict-item]
        Put(2**70, {"a": b"1"}),  # type: ignore[arg-type]
        Put((), {"a": b"1"}),  # type: ignore[arg-type]
    ],
)
def test_a_step_that_cannot_be_stored_fails_alone(tmp_path: Path, wrong: Command[Any]) -> None:
    engine = SqliteEngine(tmp_path / "shop.db")
    steps: list[Command[Any]] = [Put("one", {"a": b"1"}), wrong, Put("two", {"a": b"2"})]
    batch = [Ticket((command,), (new_op(),), 5.0) for command in steps]
    engine._writer.carry_out(batch)
    with pytest.raises((EncodingError, TypeError)):
        batch[1].result()
    for ticket in (batch[0], batch[2]):
        assert ticket.result()[0].version > 0
    assert all(engine.execute((Read("one"), Read("two")), (new_op(), new_op()), 5.0))
    engine.close()


@pytest.mark.parametrize("step", [Read("\ud800"), Read(2**70), Read(())])  # type: ignore[arg-type]
def test_a_question_that_cannot_be_asked_is_misuse(tmp_path: Path, step: Command[Any]) -> None:
    engine = SqliteEngine(tmp_path / "shop.db")
    with pytest.raises(EncodingError):
        engine.execute((step,), (new_op(),), 5.0)
    engine.close()


CLOSING = """
import sys, threading, time
from moored import State
state, stop, added = State(sys.argv[1], deadline=20), threading.Event(), [0] * 4
def add(me):
    while not stop.is_set():
        state.counter("n").add()
        added[me] += 1
        state.counter("n").value()
threads = [threading.Thread(target=add, args=(me,)) for me in range(4)]
for thread in threads: thread.start()
ends = time.monotonic() + 1
while time.monotonic() < ends: state.close()
stop.set()
for thread in threads: thread.join()
assert state.counter("n").value() == sum(added) > 0, (state.counter("n").value(), added)
"""


def test_closed_again_and_again_while_threads_work(tmp_path: Path) -> None:
    run(CLOSING, tmp_path / "shop.db")


def test_what_is_in_use_is_closed_when_it_comes_back(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "shop.db")
    batch = [Ticket((Put("k", {"a": b"1"}),), (new_op(),), 5.0)]
    transaction = engine._writer._transaction

    def closed_meanwhile(batch: list[Ticket]) -> None:
        transaction(batch)
        engine.close()
        assert engine._connections.writer is not None

    engine._writer._transaction = closed_meanwhile  # type: ignore[method-assign]
    engine._writer.carry_out(batch)
    assert engine._connections.writer is None
    assert not engine._connections._under_way


INTERRUPTED = """
import signal, sys, threading, time
from moored import MooredError, State
class Limit(Exception): pass
def raises(*_): raise Limit
state = State(sys.argv[1], deadline=5)
state.counter("n").add()
acknowledged, interrupted, told = 1, 0, []
stop = threading.Event()
def add():  # in the same process: must go on whatever becomes of the main thread's steps
    mine = 0
    while not stop.is_set():
        try:
            state.counter("n").add()
            mine += 1
        except MooredError as error:
            told.append(error)
    added.append(mine)
added = []
threads = [threading.Thread(target=add) for _ in range(int(THREADS))]
for thread in threads: thread.start()
signal.signal(signal.SIGALRM, raises)
ends = time.monotonic() + 3
kept = []
while time.monotonic() < ends:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + (interrupted % 97) * 0.00005)  # once
        while True:
            state.counter("n").add()
            acknowledged += 1
            state.counter("n").value()
    except Limit as error:
        interrupted += 1
        kept = [*kept[-20:], error]  # with its traceback, and all that its frames hold
stop.set()
for thread in threads: thread.join()
assert interrupted > 100, interrupted
started = time.monotonic()
for _ in range(5):
    state.counter("n").add()
    acknowledged += 1
assert time.monotonic() - started < 2
value = state.counter("n").value()
acknowledged += sum(added)
assert acknowledged <= value <= acknowledged + interrupted + len(told), (acknowledged, value, told)
import subprocess
code = "import sys; from moored import State; State(sys.argv[1], deadline=2).counter('n').add()"
assert subprocess.run([sys.executable, "-c", code, sys.argv[1]]).returncode == 0
assert state.counter("n").value() == value + 1
import os
started = time.monotonic()
if not (child := os.fork()):
    os._exit(0)
os.waitpid(child, 0)
assert time.monotonic() - started < 2, "a step is still taken to be under way"
assert len(told) < 10, (len(told), told[:3])
print(acknowledged, value, interrupted, len(told))
"""


@pytest.mark.parametrize("threads", [0, 2])
def test_a_signal_handler_that_raises_wedges_nothing(tmp_path: Path, threads: int) -> None:
    run(INTERRUPTED.replace("THREADS", str(threads)), tmp_path / "shop.db")


def test_a_lead_that_was_dropped_is_taken_up(tmp_path: Path) -> None:
    """Also by one who came before it was dropped, and by one who comes afterwards."""
    state = State(url_of(tmp_path / "shop.db"), deadline=5)
    commits = state.binding.engine._commits  # type: ignore[attr-defined]
    gone = Ticket((), (), 5.0)
    with gone.present:
        assert commits._line_up(gone)
        waits = threading.Thread(target=state.counter("n").add)
        waits.start()
        while len(commits._waiting) < 2:
            pass
    waits.join(4)
    assert state.counter("n").value() == 1
    gone = Ticket((), (), 5.0)
    with gone.present:
        assert commits._line_up(gone)
    assert state.counter("n").add() == 2
    assert commits._leader is None
