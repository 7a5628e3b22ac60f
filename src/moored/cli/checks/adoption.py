"""Sessions that the application takes over from another library: how many are left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from flask import Flask

from moored.adopt.bulk import left, rows
from moored.adopt.store import Adopting
from moored.cli.checks import Finding, note
from moored.cli.words import span
from moored.commands import Read, Record
from moored.flask.config import Source
from moored.flask.extension import mooring
from moored.flask.interface import MooredSessionInterface


def check(app: Flask) -> Iterator[Finding]:
    """One look, where the application adopts."""
    if (store := adopting(app)) is not None:
        yield remaining(app, store)


def adopting(app: Flask) -> Adopting | None:
    """What takes sessions over for the application, if anything does."""
    interface = app.session_interface
    store = interface.host.store if isinstance(interface, MooredSessionInterface) else None
    return store if isinstance(store, Adopting) else None


def elsewhere(app: Flask) -> str:
    """Where sessions stay while workers without Moored may serve, or "" if that is over."""
    store = adopting(app)
    return names(store) if store is not None and _seconds_left(app, store) > 0 else ""


def names(store: Adopting) -> str:
    """From whom they are taken over."""
    return " and ".join(old.name for old in store.olds)


def _seconds_left(app: Flask, store: Adopting) -> float:
    """For how long; all of it before a worker has begun, for looking begins nothing."""
    record = mooring(app).state.binding.run(_read(store.window.key))
    left = store.window.length if record is None else store.window.left(record)
    return left / 1000


async def _read(key: str) -> Record | None:
    return await Read(key)


def remaining(app: Flask, store: Adopting) -> Finding:
    """How many sessions the old library still has."""
    who = names(store)
    if (seconds := _seconds_left(app, store)) > 0:
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
