"""Who is signed in, where the application says it by a field: ``session["user_id"] = 42``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

FRESHNESS = "_fresh"  # Flask-Login: true once the password was given in this session


class Verdict(Struct, frozen=True):
    """What the changed fields of a request come to: ``login``, ``forget``, or neither."""

    login: str | None = None
    forget: bool = False


NEITHER = Verdict()


def subject_text(value: object) -> str | None:
    """The canonical text of a user id, or None if this cannot be one."""
    if isinstance(value, str) and value:
        return str(value)
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    return None


def judge(
    before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, ...], subject: str | None
) -> Verdict:
    """What a change of identity fields means.

    ``before`` and ``after`` hold those identity fields (and ``_fresh``) that are there;
    ``subject`` is who was signed in.
    """
    was = {name: subject_text(before[name]) for name in names if name in before}
    now = {name: subject_text(after[name]) for name in names if name in after}
    for name in names:
        who = now.get(name)
        if who is not None and who != was.get(name) and who != subject:
            return Verdict(login=who)
    if subject is None:
        return NEITHER
    if subject in was.values() and subject not in now.values():
        return Verdict(forget=True)
    if subject in now.values() and after.get(FRESHNESS) is True and before.get(FRESHNESS) is not True:
        return Verdict(login=subject)
    return NEITHER
