"""Carrying over the sessions that nobody has touched since the move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from moored.adopt.carry import carried, carry_over
from moored.adopt.old import OldRows
from moored.adopt.place import UnreadableRow
from moored.adopt.session import old_proof
from moored.adopt.store import Adopting
from moored.kinds.sessions.record import Session
from moored.run import Program

AT_ONCE = 8  # sessions under way at the same time
LOOKS = 1_000  # sessions that are read to see how many are left

MOVED, ALREADY, ENDED, UNREADABLE, GONE = "moved", "already", "ended", "unreadable", "gone"
OUTCOMES = (MOVED, ALREADY, ENDED, UNREADABLE, GONE)


def rows(store: Adopting) -> list[OldRows]:
    """The stores of the old library whose rows can be listed; cookies cannot."""
    return [old for old in store.olds if isinstance(old, OldRows)]


def ids(store: Adopting) -> Iterator[tuple[OldRows, str]]:
    """All rows that look like the old library's, carried over or not."""
    for old in rows(store):
        for row in old.place.ids():
            yield old, row


def move(store: Adopting, run: Callable[[Program[Any]], Any], done: Callable[[int], object]) -> Counter[str]:
    """Carry over what is left, and count what became of each row, by ``OUTCOMES``.

    ``run`` carries a program out; ``done`` is told how many rows have been looked at.  It can
    be interrupted at any moment and called again.  Raises Unavailable.
    """
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        under_way: set[Future[str]] = set()
        try:
            for old, row in ids(store):
                under_way.add(pool.submit(_run, run, store, old, row))
                if len(under_way) >= AT_ONCE:
                    finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    counts.update([one.result() for one in finished])
                    done(counts.total())
            counts.update([one.result() for one in under_way])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return counts


def _run(run: Callable[[Program[Any]], Any], store: Adopting, old: OldRows, row: str) -> str:
    outcome: str = run(_move(store, old, row))
    return outcome


async def _move(store: Adopting, old: OldRows, row: str) -> str:
    proof = old_proof(old.name, row, "", store.server.ring())
    try:
        found = await old.look(proof)
    except UnreadableRow:
        return UNREADABLE
    if found is None:
        return GONE
    if found.moved:
        return ALREADY
    over = await carried(old, proof, store.settings) or await carry_over(old, proof, store.settings)
    if over is None:
        return GONE
    return MOVED if isinstance(over[0], Session) else ENDED


def left(store: Adopting) -> tuple[int, bool]:
    """How many rows were not carried over yet, and whether that is all or only so many were looked at."""
    count = 0
    for looked, (old, row) in enumerate(ids(store)):
        if looked == LOOKS:
            return count, False
        try:
            found = old.place.read(row)
        except UnreadableRow:
            continue
        count += found is not None and not found.moved
    return count, True
