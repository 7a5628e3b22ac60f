"""``moored adopt``: carry over the live sessions of the library that the application used before."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click
from flask import Flask

from moored.adopt.bulk import OUTCOMES, UNREADABLE, ids, move, rows
from moored.adopt.store import Adopting
from moored.cli import screen
from moored.cli.command import Command, Exit, Failure, finding, json_option, put_json
from moored.cli.target import TARGET_KEY
from moored.cli.words import span
from moored.flask.extension import mooring
from moored.run import Program

Run = Callable[[Program[Any]], Any]

WORDS = {
    "moved": "carried over",
    "already": "had been carried over before",
    "ended": "not carried over: their users were signed out everywhere",
    "unreadable": "cannot be read",
    "gone": "ended meanwhile",
}


@click.command(cls=Command)
@click.option(
    "--app",
    "name",
    metavar="MODULE:NAME",
    help="The Flask application, as `flask --app` takes it.  [default: found as `flask` finds it]",
)
@json_option
@click.pass_context
def adopt(ctx: click.Context, name: str | None, as_json: bool) -> None:
    """Carry over the sessions that nobody has touched since the move.

    Of the application whose MOORED_ADOPT names where they are.  Sessions that are used are
    carried over by themselves; this does it for the others.  It can be interrupted and
    called again.
    """
    app = _app(ctx, name)
    store = mooring(app).interface.host.store
    if not isinstance(store, Adopting) or not rows(store):
        why = (
            "there is nothing to carry over: the application adopts no sessions (MOORED_ADOPT)"
            if not isinstance(store, Adopting)
            else "sessions in cookies are with the browsers: each is carried over when its browser comes"
        )
        raise Failure(f"{why}.", Exit.REFUSED, as_json=as_json)
    run = mooring(app).state.binding.run
    run(store.window.learn())
    if (left := store.window.seconds_left) > 0:
        raise Failure(
            f"for another {span(timedelta(seconds=left))} workers without Moored may still be serving"
            " (MOORED_ALONGSIDE), and they would no longer find what is carried over. When they have gone,"
            " set MOORED_ALONGSIDE = 0, restart, and call this again.",
            Exit.REFUSED,
            as_json=as_json,
        )
    counts = _move(store, run)
    if as_json:
        put_json({"counts": {outcome: counts[outcome] for outcome in OUTCOMES}})
    else:
        lines = [(f"{counts[outcome]:,}", WORDS[outcome]) for outcome in OUTCOMES if counts[outcome]]
        if lines:
            screen.table(lines)
        else:
            screen.say("There are no sessions of the old library.")
    if counts[UNREADABLE]:
        finding()


def _app(ctx: click.Context, name: str | None) -> Flask:
    target = ctx.meta.get(TARGET_KEY)
    if target is not None and target.app is not None:
        app: Flask = target.app
        return app
    from flask.cli import NoAppException, ScriptInfo

    sys.path.insert(0, "")
    try:
        loaded: Flask = ScriptInfo(app_import_path=name).load_app()
    except NoAppException as error:
        raise click.UsageError(
            f"{' '.join(str(error).split())} The sessions to carry over are those of a Flask application:"
            " name it with --app, or call `flask moored adopt`."
        ) from None
    return loaded


def _move(store: Adopting, run: Run) -> Counter[str]:
    with screen.Progress("sessions listed") as listing:
        total = 0
        for total, _ in enumerate(ids(store), 1):
            listing.at(total)
    if not sys.stderr.isatty():
        return move(store, run, lambda _: None)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Sessions"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        return move(store, run, lambda done: progress.update(task, completed=done))
