"""Names that begin with ``MOORED_`` in the environment: which are read, and which set nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Final

from msgspec import Struct

from moored.spelling import did_you_mean
from moored.web.remark import Remark
from moored.web.secret import ACCEPTED, ACTIVE, STAGED

PREFIX: Final = "MOORED_"
READ: Final = ("MOORED_URL", ACTIVE, STAGED, ACCEPTED, "MOORED_PROVE_REDIS")


class Elsewhere(Struct, frozen=True):
    """A framework's settings that begin like the variables, and are not read from the environment.

    ``names`` are all of them, ``made`` those that the application has.  ``whose`` ("Flask
    applications") and ``place`` ("app.config") are how to speak of them.
    """

    names: Set[str]
    made: Set[str]
    whose: str
    place: str


def without_effect(
    values: Mapping[str, str], place: str, elsewhere: Elsewhere | None, *, active: bool
) -> Iterator[Remark]:
    """What sets nothing in this place; ``active``: an active secret is set."""
    for name in sorted(values):
        if elsewhere is not None and name in elsewhere.names:
            if name not in elsewhere.made:
                what = f"{name} in {place} is a setting of {elsewhere.whose}, and not read from there."
                yield Remark(what, f"Set {name} in {elsewhere.place}.")
        elif name.startswith(PREFIX) and name not in READ:
            hint = did_you_mean(name, READ, "{}", beginning=PREFIX).strip()
            yield Remark(f"{name} in {place} is unknown, and sets nothing.", hint or f"Take {name} out.")
    for name in (STAGED, ACCEPTED):
        if values.get(name) and not active:
            what = f"{name} in {place} is set, and {ACTIVE} is not: it counts for nothing."
            yield Remark(what, f"Set {ACTIVE}.")
