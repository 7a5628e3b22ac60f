"""An engine whose answers get lost: for engines that have no network to cut."""

from __future__ import annotations

import threading
from typing import Any

from moored.commands import Op, Step
from moored.errors import OutcomeUnknown


class Lossy:
    """Passes every call on; of every ten steps the answer of one is lost, another is carried out late.

    A late step is carried out after the next one, whoever sends that: usually its own repeat.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._count = 0
        self._late: list[tuple[Step, tuple[Op, ...]]] = []
        self.lost = self.delayed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def execute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        with self._lock:
            self._count += 1
            number, late = self._count % 10, self._late
            if number == 7:
                self._late = [(step, ops)]
                self.delayed += 1
            else:
                self._late = []
        if number == 7:
            raise OutcomeUnknown("it will be carried out later")
        answers: list[Any] = self._engine.execute(step, ops, timeout)
        for old_step, old_ops in late:
            self._engine.execute(old_step, old_ops, timeout)
        if number == 3:
            self.lost += 1
            raise OutcomeUnknown("the answer was lost")
        return answers
