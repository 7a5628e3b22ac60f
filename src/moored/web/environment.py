"""Names that begin with ``MOORED_`` in the environment: which are read, and which set nothing."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Final

from moored.spelling import did_you_mean
from moored.web.secret import ACCEPTED, ACTIVE, STAGED

PREFIX: Final = "MOORED_"
READ: Final = ("MOORED_URL", ACTIVE, STAGED, ACCEPTED, "MOORED_PROVE_REDIS")


def without_effect(
    values: Mapping[str, str], place: str, settings: Container[str], made: Container[str], *, active: bool
) -> Iterator[tuple[str, str]]:
    """What sets nothing, and what to do about each.

    ``settings`` are names of a host's own settings, which are not read from there, ``made`` those
    of them that it has been given; ``active``: an active secret is set.
    """
    for name in sorted(values):
        if name in settings:
            if name not in made:
                what = f"{name} in {place} is a setting of Flask applications, and not read from there."
                yield what, f"Set {name} in app.config."
        elif name.startswith(PREFIX) and name not in READ:
            hint = did_you_mean(name, READ, "{}", beginning=PREFIX)
            yield f"{name} in {place} is unknown, and sets nothing.", hint.strip() or f"Take {name} out."
    for name in (STAGED, ACCEPTED):
        if values.get(name) and not active:
            what = f"{name} in {place} is set, and {ACTIVE} is not: it counts for nothing."
            yield what, f"Set {ACTIVE}."
