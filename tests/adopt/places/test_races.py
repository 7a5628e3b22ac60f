"""Compare and set, by threads and by processes at once: exactly one wins, nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable

from tests.adopt.databases import DATABASES
from tests.adopt.places.peers import Peer

from moored.adopt.place import Place
from moored.errors import Unavailable

DAY = 24 * 60 * 60 * 1000
THREADS, ROUNDS = 4, 20
PROCESSES, EACH = 4, 25


def at_once(work: Callable[[int], object]) -> list[object]:
    """What each thread's call answers; they begin together."""
    barrier = threading.Barrier(THREADS)
    answers: list[object] = [None] * THREADS

    def run(number: int) -> None:
        barrier.wait(20)
        answers[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_of_threads_exactly_one_replaces_a_row(peer: Peer) -> None:
    place = peer.place
    row = peer.store(n=0)
    for _ in range(ROUNDS):
        before = place.read(row)
        assert before is not None
        done = at_once(lambda number, raw=before.raw: place.replace(row, raw, {"winner": number}, DAY))  # type: ignore[misc]
        winners = [number for number, made in enumerate(done) if made is not None]
        assert len(winners) == 1
        after = place.read(row)
        assert after is not None
        assert after.values == {"winner": winners[0]}
        place.replace(row, after.raw, {"n": 0}, DAY)


def test_of_threads_exactly_one_makes_a_row(peer: Peer) -> None:
    place = peer.place
    for _ in range(ROUNDS):
        row = place.new_id()
        done = at_once(lambda number, row=row: place.replace(row, None, {"winner": number}, DAY))  # type: ignore[misc]
        winners = [number for number, made in enumerate(done) if made is not None]
        assert len(winners) == 1
        after = place.read(row)
        assert after is not None
        assert after.values == {"winner": winners[0]}


def test_of_threads_exactly_one_marks_or_removes_a_row(peer: Peer) -> None:
    place = peer.place
    for _ in range(ROUNDS):
        row = place.new_id()
        made = place.replace(row, None, {"n": 1}, DAY)
        assert made is not None
        assert made.raw is not None

        def end(number: int, row: str = row, raw: bytes = made.raw) -> bool:
            if number % 2:
                return place.mark(row, raw, DAY)
            return place.replace(row, raw, None, 1) is not None

        assert at_once(end).count(True) == 1


def test_processes_lose_no_change(peer: Peer) -> None:
    """Four processes add to one number, each by comparing and setting."""
    row = peer.store(n=0)
    children = [fork(peer, row) for _ in range(PROCESSES)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * PROCESSES
    found = peer.place.read(row)
    assert found is not None
    assert found.values["n"] == PROCESSES * EACH
    assert peer.visit()["n"] == PROCESSES * EACH


def fork(peer: Peer, row: str) -> int:
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(60)  # ends a child that hangs
    code = 1
    try:
        if peer.kind in DATABASES:
            peer.engine.dispose(close=False)  # as SQLAlchemy asks of those who fork
        for _ in range(EACH):
            add(peer.place, row)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def add(place: Place, row: str) -> None:
    while True:
        try:
            found = place.read(row)
            assert found is not None
            values = found.values | {"n": found.values["n"] + 1}
            if place.replace(row, found.raw, values, DAY) is not None:
                return
        except Unavailable:  # SQLite may be locked for longer than it waits
            continue
