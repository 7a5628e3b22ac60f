"""Plain data: what sessions are made of, within bounds."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from moored.adopt.place import UnreadableRow
from moored.codec import DEEPEST, MOST

_LEAVES: Final = frozenset(
    {type(None), bool, int, float, str, bytes, Decimal, UUID, datetime, date, time, timedelta}
)
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset})


def check(value: object) -> None:
    """Refuse what is no plain data, is nested deeper or has more members than Moored can store.

    Members of shared containers count each time, so what contains itself is refused, and so is
    what is small only because it shares.  Takes time and memory for ``MOST`` members at most.
    Raises UnreadableRow.
    """
    level: list[Any] = [value]
    left = MOST
    for _ in range(DEEPEST + 1):
        members: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in _LEAVES:
                continue
            if kind is not dict and kind not in _CONTAINERS:
                if isinstance(item, str):  # Markup
                    continue
                raise UnreadableRow("it holds a value that is no plain data.")
            left -= len(item)
            if left < 0:
                raise UnreadableRow(f"it has more than {MOST:,} members.")
            members += item
            if kind is dict:
                members += item.values()
        if not members:
            return
        level = members
    raise UnreadableRow(f"it is nested deeper than {DEEPEST} levels.")
