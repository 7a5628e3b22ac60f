"""Run by ``test_gevent.py`` in a process of its own: greenlets count, and are often interrupted.

Prints for each counter how often it was surely added to, how often that was interrupted, what
it holds at last, and whether every answer was its own.
"""

# ruff: noqa: E402 - gevent asks to be first
from gevent import monkey

monkey.patch_all()

import json
import random
import sys

import gevent

from moored import State

GREENLETS = 12
ENOUGH = 10  # calls of each that were interrupted, and of each that were not
LONGEST = 0.004  # seconds that a call is given at first
ADJUST = 1.25  # times as many after one that was interrupted, and that much less after one that was not


def count(state: State, number: int) -> dict[str, int | bool]:
    counter = state.counter(f"n{number}")
    added = interrupted = last = unsure = 0
    own, longest = True, LONGEST
    while min(added, interrupted) < ENOUGH:
        try:
            with gevent.Timeout(random.uniform(0, longest)):
                total = counter.add()
        except gevent.Timeout:
            interrupted += 1
            unsure += 1
            longest *= ADJUST
            continue
        own = own and last < total <= last + 1 + unsure
        last, unsure = total, 0
        added += 1
        longest /= ADJUST
    return {"added": added, "interrupted": interrupted, "value": counter.value(), "own": own}


with State(sys.argv[1]) as state:
    counting = [gevent.spawn(count, state, number) for number in range(GREENLETS)]
    gevent.joinall(counting, raise_error=True)
    print(json.dumps([each.value for each in counting]))
