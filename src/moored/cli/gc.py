"""``moored gc``: removes what has expired, where the engine does not do so by itself at once."""

from __future__ import annotations

import click

from moored.cli import screen
from moored.cli.command import Command, json_option, put_json, url_option
from moored.cli.target import opened
from moored.errors import Unavailable
from moored.run import Sweeping

PATIENCE = 2.0  # seconds to wait for others who write
TRIES = 5


@click.command(cls=Command)
@url_option
@json_option
def gc(as_json: bool) -> None:
    """Remove the records that have expired.

    Nobody sees them any more; they take space until they are removed, which SQLite's
    engine also does in passing, while it writes. Redis removes them itself.
    """
    state = opened()
    engine = state.binding.engine
    if not isinstance(engine, Sweeping):
        engine.connect(state.binding.policy.deadline)
        if as_json:
            put_json({"engine": engine.name, "removed": 0, "by": "server"})
        else:
            screen.say("Redis removes what has expired by itself: there is nothing to do.")
        return
    removed = 0
    with screen.Progress("expired records removed") as progress:
        while number := _sweep(engine):
            removed += number
            progress.at(removed)
    if as_json:
        put_json({"engine": engine.name, "removed": removed, "by": "moored"})
    else:
        screen.say(f"Removed {removed:,} expired record{'' if removed == 1 else 's'}.")


def _sweep(engine: Sweeping) -> int:
    """A batch of them.  A busy application goes first: it is asked for a turn a few times."""
    for _ in range(TRIES - 1):
        try:
            return engine.sweep(PATIENCE)
        except Unavailable:
            continue
    return engine.sweep(PATIENCE)
