"""Counters: an integer that every process adds to."""

from __future__ import annotations

from moored.commands import Add, Read, Refused, record_key
from moored.errors import CorruptRecord, GoneError, MisuseError, OutOfBounds
from moored.model import LIMIT
from moored.operation import Handle, Mode, operation


class Counter(Handle[Mode]):
    """An integer that every thread, task, process and host adds to.

    Every acknowledged addition is counted once: also where its answer was lost and it was
    sent again.  Totals stay within ±2**53.
    """

    __slots__ = ()

    @operation
    async def add(self, by: int = 1, *, min: int | None = None, max: int | None = None) -> int:
        """Add ``by`` and return the new value, in one step on the engine.

        Raises OutOfBounds, changing nothing, if that would leave ``min..max`` (or ±2**53);
        Unavailable if it was not carried out; OutcomeUnknown if nobody can tell; MisuseError
        for what is no whole number.
        """
        return await add(self._name, by, min, max)

    @operation
    async def value(self) -> int:
        """The value now; 0 if nothing was ever added."""
        return await value(self._name)


async def add(name: str, by: int = 1, low: int | None = None, high: int | None = None) -> int:
    """Add to the counter of that name."""
    if type(by) is not int or abs(by) > LIMIT:
        raise MisuseError(f"a counter adds whole numbers within ±2**53, not {by!r}.")
    for bound in (low, high):
        if bound is not None and type(bound) is not int:
            raise MisuseError(f"the bounds of a counter are whole numbers, not {bound!r}.")
    total = await Add(record_key("counter", name), by, low, high)
    if isinstance(total, Refused):
        if total.reason == "dead":
            raise GoneError(f"the counter {name!r} was removed.")
        bounds = f"{'' if low is None else low}..{'' if high is None else high}"
        raise OutOfBounds(
            f"adding {by} to the counter {name!r} would leave {bounds if bounds != '..' else '±2**53'};"
            " it was not changed."
        )
    return total


async def value(name: str) -> int:
    """The value of the counter of that name."""
    record = await Read(record_key("counter", name))
    if record is None or record.dead:
        return 0
    try:
        return int(record.fields["n"])
    except (KeyError, ValueError):
        raise CorruptRecord(
            f"the record of the counter {name!r} holds no number: it is damaged, or something other than"
            " Moored wrote it. Restore it from a backup, or remove it with the engine's own tools."
        ) from None
