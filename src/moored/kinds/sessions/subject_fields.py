"""The fields of a subject's record, by name.

=================  ================================================================
``@epoch``         refused by every login that read an earlier one
``@listed``        when a session was listed last
``@revoked``       when somebody else ended one last
``@ended``         when all were ended last
``@checked``       a remember-me cookie with a check was given, so that none without one is taken
``s.<selector>``   a live session (``subjects.Entry``)
``e.<selector>``   a session that is being ended, and why (``EndReason.code``)
``b.<name>``       a browser that remembers the subject (``browsers.Browser``)
=================  ================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from moored.commands import Record

INSTANTS = frozenset({"@listed", "@revoked", "@ended"})  # in milliseconds


class FieldKind(Enum):
    """What a field of which there may be many stands for; the value is how its name begins."""

    SESSION = "s."
    ENDING = "e."
    BROWSER = "b."


_KINDS = {kind.value: kind for kind in FieldKind}


def field_kind(name: str) -> FieldKind | None:
    """What a field of this name stands for; None if there is only one of its name."""
    return _KINDS.get(name[:2])


def entry_field(selector: str) -> str:
    """The field that stands for a live session."""
    return FieldKind.SESSION.value + selector


def ending_field(selector: str) -> str:
    """The field that stands for a session that is being ended."""
    return FieldKind.ENDING.value + selector


def browser_field(browser: str) -> str:
    """The field that stands for a browser."""
    return FieldKind.BROWSER.value + browser


def fields_of(record: Record, kind: FieldKind) -> Iterator[tuple[str, bytes]]:
    """What stands in the record for each of a kind, by selector or by the browser's name."""
    prefix = kind.value
    return ((name[2:], value) for name, value in record.fields.items() if name[:2] == prefix)
