"""Sessions that another library still has: how many, as far as that can be told from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from moored.cli.census import Census
from moored.errors import MooredError

if TYPE_CHECKING:
    from flask import Flask


class LeftOver(Struct, frozen=True):
    """``source`` is who has them, "" if only an application could tell.

    ``sessions`` is None where they cannot be counted: in cookies, or without the application;
    ``complete`` is false where there may be more.
    """

    source: str = ""
    sessions: int | None = None
    complete: bool = False


def left_over(app: Flask | None, census: Census) -> LeftOver | None:
    """What was not carried over yet; None if there is nothing to be carried over."""
    if app is None:
        return LeftOver() if census.adopting else None
    from moored.adopt.bulk import left, rows
    from moored.flask.adoption import adopting_store, old_names

    if (store := adopting_store(app)) is None:
        return None
    listed = rows(store)
    if not listed:
        return LeftOver(old_names(store))
    try:
        count, all_seen = left(store)
    except MooredError:  # the old library's store is away, and ours is not
        return LeftOver(old_names(store))
    complete = all_seen and len(listed) == len(store.olds)
    return LeftOver(old_names(store), count, complete) if count or not complete else None
