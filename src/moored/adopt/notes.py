"""What the old library does not know of a session, kept in its row as one more value.

Old workers keep it as they keep all that they do not know.  It carries a check of ours, because
there are applications that let their visitors name what is put into a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from moored.seal import KeyRing

NAME: Final = "_moored_notes"
PURPOSE: Final = "notes of an adopted session"
CHECK_BYTES: Final = 16


class Notes(Struct, frozen=True):
    """``owner`` is who signed in to the session last, at a worker of ours, and ``since`` when.

    In milliseconds by the engine's clock, or a little earlier; 0 if it is not known.
    """

    since: int = 0
    owner: str | None = None


UNKNOWN: Final = Notes()


def notes_in(values: Mapping[Any, Any], ring: KeyRing) -> Notes:
    """The notes in a row; ``UNKNOWN`` if there are none of ours."""
    found = values.get(NAME)
    if not isinstance(found, dict):
        return UNKNOWN
    since, owner, check = found.get("since"), found.get("owner"), found.get("check")
    if type(since) is not int or type(owner) is not str or type(check) is not str:
        return UNKNOWN
    try:
        good = len(check) == 2 * CHECK_BYTES and ring.checks(
            PURPOSE, _body(since, owner), bytes.fromhex(check)
        )
    except ValueError:  # text that is no Unicode, a number that is too long, a check that is none
        return UNKNOWN
    return Notes(since, owner) if good else UNKNOWN


def with_notes(values: Mapping[Any, Any], notes: Notes, ring: KeyRing) -> dict[Any, Any]:
    """The values with these notes in place of any others."""
    after = {name: value for name, value in values.items() if name != NAME}
    if notes.owner is not None:
        check = ring.check(PURPOSE, _body(notes.since, notes.owner), CHECK_BYTES)
        after[NAME] = {"since": notes.since, "owner": notes.owner, "check": check.hex()}
    return after


def _body(since: int, owner: str) -> bytes:
    return b"%d " % since + owner.encode()
