"""``flask moored …``: the command line, about the application's own state."""

from __future__ import annotations

import copy

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from moored.cli.program import Program, load
from moored.cli.target import TARGET_KEY, Target
from moored.flask.extension import mooring

# Commands that are not about an application that is there.
WITHOUT_APP = ("init", "demo", "prove", "completion")


def of(app: Flask) -> Target:
    """The state of a Flask application.  Raises MisuseError if it does not use Moored."""
    return Target(mooring(app).source, app=app)


def bound(command: click.Command) -> click.Command:
    """The command, about the current app's state instead of that of ``--url``."""
    own = copy.copy(command)
    if isinstance(own, click.Group):
        own.commands = {name: bound(each) for name, each in own.commands.items()}
        return own
    own.params = [param for param in own.params if param.name != "url"]
    callback = own.callback
    assert callback is not None

    @with_appcontext
    def about_the_app(*args: object, **kwargs: object) -> object:
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        click.get_current_context().meta[TARGET_KEY] = of(app)
        return callback(*args, **kwargs)

    own.callback = about_the_app
    return own


class AppProgram(Program):
    """The program's commands, bound to the application that ``flask`` has found."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        command = load(cmd_name)
        if command is None or cmd_name in WITHOUT_APP:
            return command
        return bound(command)


@click.group("moored", cls=AppProgram, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Sessions of this app, and what Moored has to say about it."""
