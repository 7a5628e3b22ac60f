"""A process of the counter's race: ``URL TIMES [lossy]``; prints how often it was sure and unsure."""

from __future__ import annotations

import sys
import time

from tests.faults.lossy import Lossy

from moored import OutcomeUnknown, State
from moored.errors import BreakerOpen

REST = 0.2  # seconds to wait, and to wait again, where faults came so thick that nothing is sent for a while


def main(url: str, times: int, lossy: bool) -> tuple[int, int]:
    """Add one at a time; how many additions are known to have been made, and how many may have been."""
    with State(url) as state:
        state.binding.policy._budget = float("inf")
        if lossy:
            state.binding.engine = Lossy(state.binding.engine)  # type: ignore[assignment]
        sure = unsure = 0
        left = times
        while left:
            left -= 1
            try:
                state.counter("visits").add(1)
                sure += 1
            except BreakerOpen:  # nothing was sent: as its message says, try again
                left += 1
                time.sleep(REST)
            except OutcomeUnknown as error:
                told = error.resolve()
                sure += told == "done"
                unsure += told == "unknown"
        return sure, unsure


if __name__ == "__main__":
    sys.stdin.read(1)  # all begin at once
    print(*main(sys.argv[1], int(sys.argv[2]), len(sys.argv) > 3))
