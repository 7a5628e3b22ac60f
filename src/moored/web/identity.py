"""Who is signed in, where the application says it by a field: ``session["user_id"] = 42``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from moored.kinds.sessions.subjects import subject_text

FRESHNESS = "_fresh"  # Flask-Login: true once the password was given in this session


class Verdict(Struct, frozen=True):
    """What the changed fields of a request come to: ``login``, ``forget``, or neither."""

    login: str | None = None
    forget: bool = False


NEITHER = Verdict()


def judge(
    before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, ...], subject: str | None
) -> Verdict:
    """What a change of identity fields means.

    ``before`` and ``after`` hold those identity fields (and ``_fresh``) that are there;
    ``subject`` is who was signed in.
    """
    was = {name: subject_text(before[name]) for name in names if name in before}
    now = {name: subject_text(after[name]) for name in names if name in after}
    if subject is not None and subject in now.values():
        # One field still says so: another one's value, such as a nickname, is no sign-in.
        fresh = after.get(FRESHNESS) is True and before.get(FRESHNESS) is not True
        return Verdict(login=subject) if fresh else NEITHER
    for name in names:
        who = now.get(name)
        if who is not None and who != was.get(name):
            return Verdict(login=who)
    return Verdict(forget=True) if subject is not None and subject in was.values() else NEITHER
