"""``flask moored …``: the command line, about the application's own state."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from moored.cli.program import Program, load
from moored.cli.target import TARGET_KEY, Secrets
from moored.flask.extension import mooring
from moored.url import sqlite_url

if TYPE_CHECKING:
    from moored.state import State

WITHOUT_APP = ("init", "demo")  # commands that are not about an application that is there


class FromApp:
    """The state of a Flask application, and its secret.  Raises MisuseError if it has no Moored."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.state: State = mooring(app).state

    @property
    def source(self) -> str:
        """Where the URL was said; the first of those that say the same."""
        parts = self.state.url.parts
        for url, source in (
            (self.app.config.get("MOORED_URL"), "MOORED_URL of the app"),
            (os.environ.get("MOORED_URL"), "MOORED_URL in the environment"),
            (sqlite_url(Path(self.app.instance_path) / "moored.db"), "default"),
        ):
            if url and urlsplit(url) == parts:
                return source
        return "the app's code"

    @property
    def secrets(self) -> Secrets:
        """``SECRET_KEY`` and the earlier ones; without it, ``MOORED_SECRET``."""
        config = self.app.config
        earlier = config.get("SECRET_KEY_FALLBACKS") or ()
        if given := tuple([secret for secret in (config["SECRET_KEY"], *earlier) if secret]):
            return Secrets(given, "SECRET_KEY of the app")
        if found := os.environ.get("MOORED_SECRET"):
            return Secrets((found,), "MOORED_SECRET in the environment")
        return Secrets((), "")


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
        click.get_current_context().meta[TARGET_KEY] = FromApp(app)
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


@click.group("moored", cls=AppProgram)
def group() -> None:
    """Sessions of this app, and what Moored has to say about it."""
