"""Changes that are decided where they are made: for what merging cannot promise.

An application that checks and then acts on what it read can be overtaken between the two.
These decide on the field as it is at the moment of the write.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from msgspec.structs import replace

from moored.codec import encode
from moored.errors import ConflictError, GoneError, MisuseError, OutOfBounds
from moored.kinds.sessions.record import Change, Fields, Session, apply_change, check_size
from moored.kinds.sessions.saving import Edit, Superseded, decoded, write
from moored.kinds.sessions.settings import SessionSettings
from moored.merge import MISSING, Missing


async def take(session: Session, name: str, settings: SessionSettings) -> tuple[Session, Any]:
    """Remove a field and return its value; exactly one caller gets it, the others MISSING."""
    found: Any = MISSING

    def edit(fields: Fields) -> Change:
        nonlocal found
        found = decoded(fields.get("." + name))  # before the step: what cannot be read stays
        return {name: None}

    try:
        await write(session, edit, settings)
    except Superseded:
        return session, MISSING
    return replace(session, fields=apply_change(session.fields, {name: None})), found


async def add(
    session: Session,
    name: str,
    by: int | float,
    low: int | float | None,
    high: int | float | None,
    settings: SessionSettings,
) -> tuple[Session, Any]:
    """Add to a number, within bounds whoever asks at once.  Raises OutOfBounds, GoneError."""
    if not _is_finite(by):
        raise MisuseError("what is added to a number in a session is a finite number.")
    total: Any = None

    def edit(fields: Fields) -> Change:
        nonlocal total
        number = decoded(fields.get("." + name))
        if number is MISSING:
            number = 0
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise ConflictError(
                f"the session's {name!r} is a {type(number).__name__}, not a number to add to."
            )
        total = number + by
        if (low is not None and not total >= low) or (high is not None and not total <= high):
            raise OutOfBounds(
                f"adding {by} to the session's {name!r} would leave its bounds; it was not changed."
            )
        return {name: encode(total, path=name)}

    return await _write_alive(session, edit, settings), total


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


async def append(
    session: Session, name: str, item: Any, unique: bool, settings: SessionSettings
) -> tuple[Session, Any]:
    """Append to a list, once if ``unique``; the list afterwards.  Raises GoneError."""
    items: list[Any] = []

    def edit(fields: Fields) -> Change:
        nonlocal items
        there = decoded(fields.get("." + name))
        if not isinstance(there, (list, Missing)):
            raise ConflictError(
                f"the session's {name!r} is a {type(there).__name__}, not a list to append to."
            )
        items = [] if isinstance(there, Missing) else there
        if not (unique and item in items):
            items = [*items, item]
        return {name: encode(items, path=name, depth=settings.depth)}

    return await _write_alive(session, edit, settings), items


async def _write_alive(session: Session, edit: Edit, settings: SessionSettings) -> Session:
    """Write, and answer the session with what was written.  Raises GoneError, TooLargeError."""
    change: Change = {}

    def bounded(fields: Fields) -> Change:
        nonlocal change
        change = edit(fields)
        check_size(apply_change(fields, change), settings, fields)
        return change

    try:
        await write(session, bounded, settings)
    except Superseded:
        raise GoneError(
            "this session was ended, or somebody signed in to it, while the request was running."
        ) from None
    return replace(session, fields=apply_change(session.fields, change))
