"""Calls with arguments of the wrong type, from code that no type checker looks at."""

from __future__ import annotations

from pathlib import Path

from tests.docs.bad_input import Ground, Row, row

from moored import State
from moored.flask import Moored

# What is in the table's second column, too.
CALLS = {
    "call-counter-name": "state.counter(5)",
    "call-counter-by": 'state.counter("visits").add("1")',
    "call-counter-bound": 'state.counter("stock").add(-1, min=0.5)',
    "call-subject": "state.sessions.of(None)",
    "call-observer": 'state.observe("log")',
    "call-url": 'State(Path("shop.db"))',
    "call-no-app": 'Moored("sqlite:///shop.db")',
}


def _tried(call: str) -> Row:
    def attempt(ground: Ground) -> str:
        with State("memory:") as state:
            names = {"state": state, "State": State, "Path": Path, "Moored": Moored}
            return ground.refusal(lambda: eval(call, names))

    return attempt


for _id, _call in CALLS.items():
    row(_id)(_tried(_call))
