"""Changes that are decided where they are made: for what merging cannot promise.

An application that checks and then acts on what it read can be overtaken between the two.
These decide on the field as it is at the moment of the write.  What is decided is a function
of the field's value alone: ``taken``, ``adding``, ``appending``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from msgspec.structs import replace

from moored.codec import encode
from moored.errors import ConflictError, GoneError, MisuseError, OutOfBounds
from moored.kinds.sessions.record import Change, Fields, Session, apply_change, check_size
from moored.kinds.sessions.saving import Edit, Superseded, decoded, write
from moored.kinds.sessions.settings import SessionSettings
from moored.merge import MISSING, Missing

Decide = Callable[[Any], tuple[Any, Any]]
"""Of a field's value (or MISSING) its new value (or MISSING) and what the caller is answered."""


def taken(there: Any) -> tuple[Any, Any]:
    """Remove the field and answer its value."""
    return MISSING, there


def adding(name: str, by: int | float, low: int | float | None, high: int | float | None) -> Decide:
    """Add to a number within bounds and answer the total; it raises OutOfBounds and ConflictError.

    Raises MisuseError for what is no finite number.
    """
    if not _is_finite(by):
        raise MisuseError("what is added to a number in a session is a finite number.")

    def decide(there: Any) -> tuple[Any, Any]:
        number = 0 if there is MISSING else there
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise ConflictError(
                f"the session's {name!r} is a {type(number).__name__}, not a number to add to."
            )
        total = number + by
        if (low is not None and not total >= low) or (high is not None and not total <= high):
            raise OutOfBounds(
                f"adding {by} to the session's {name!r} would leave its bounds; it was not changed."
            )
        return total, total

    return decide


def appending(name: str, item: Any, unique: bool) -> Decide:
    """Append to a list (once, if ``unique``) and answer it; it raises ConflictError."""

    def decide(there: Any) -> tuple[Any, Any]:
        if not isinstance(there, (list, Missing)):
            raise ConflictError(
                f"the session's {name!r} is a {type(there).__name__}, not a list to append to."
            )
        items: list[Any] = [] if isinstance(there, Missing) else there
        if not (unique and item in items):
            items = [*items, item]
        return items, items

    return decide


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


async def take(session: Session, name: str, settings: SessionSettings) -> tuple[Session, Any]:
    """Remove a field and return its value; exactly one caller gets it, the others MISSING."""
    edit = _Edit(name, taken, settings.depth)
    try:
        await write(session, edit, settings)
    except Superseded:
        return session, MISSING
    return replace(session, fields=apply_change(session.fields, {name: None})), edit.answer


async def decide(session: Session, name: str, what: Decide, settings: SessionSettings) -> tuple[Session, Any]:
    """Change a field as ``what`` decides; the session with it, and the answer.

    Raises what ``what`` raises, GoneError, TooLargeError.
    """
    edit = _Edit(name, what, settings.depth)
    return await _write_alive(session, edit, settings), edit.answer


class _Edit:
    """A decision as an edit of encoded fields."""

    answer: Any = MISSING

    def __init__(self, name: str, what: Decide, depth: int) -> None:
        self.name, self.what, self.depth = name, what, depth

    def __call__(self, fields: Fields) -> Change:
        name = self.name
        there = decoded(fields.get("." + name))  # before the step: what cannot be read stays
        value, self.answer = self.what(there)
        return {name: None if value is MISSING else encode(value, path=name, depth=self.depth)}


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
