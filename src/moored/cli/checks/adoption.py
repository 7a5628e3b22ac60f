"""Sessions that the application takes over from another library: how many are left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from flask import Flask

from moored.adopt.bulk import left, rows
from moored.adopt.store import Adopting
from moored.cli.checks import Finding, note
from moored.cli.words import span
from moored.flask.adoption import adopting_store, old_names, seconds_left
from moored.flask.config import Source
from moored.flask.extension import mooring


def check(app: Flask) -> Iterator[Finding]:
    """One look, where the application adopts."""
    if (store := adopting_store(app)) is not None:
        yield remaining(app, store)


def remaining(app: Flask, store: Adopting) -> Finding:
    """How many sessions the old library still has."""
    who = old_names(store)
    if (seconds := seconds_left(app, store)) > 0:
        return note(
            "MRD-D306",
            f"For another {span(timedelta(seconds=seconds))}, sessions stay with {who}, where workers"
            " without Moored find them.",
            "When none is serving any more: MOORED_ALONGSIDE = 0, and restart. Until then you can go back.",
        )
    if not rows(store):
        return note(
            "MRD-D306",
            f"Sessions are carried over from {who} when their browsers come.",
            "Take MOORED_ADOPT out when all others have expired (PERMANENT_SESSION_LIFETIME).",
        )
    count, all_seen = left(store)
    if count == 0 and all_seen:
        return note(
            "MRD-D306",
            f"No session is left with {who}.",
            _farewell(app),
        )
    return note(
        "MRD-D306",
        f"{'' if all_seen else 'At least '}{count:,} sessions are left with {who}.",
        "Each is carried over when it is used; `flask moored adopt` does it for all of them.",
    )


def _farewell(app: Flask) -> str:
    """What to do when nothing is left; the old settings may be what says where the new sessions are."""
    if mooring(app).source is not Source.FLASK_SESSION:
        return "Set MOORED_ADOPT = [], and take Flask-Session's own settings out."
    prefix = mooring(app).state.url.options["prefix"]
    return (
        "Set MOORED_ADOPT = []. Keep SESSION_TYPE, SESSION_REDIS and SESSION_KEY_PREFIX: they say where"
        f" Moored keeps sessions. Or set MOORED_URL to the same Redis, with ?prefix={prefix} in it."
    )
