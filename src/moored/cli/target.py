"""Which state a command is about: that of a URL, or that of a Flask application."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moored.cli import env_file
from moored.cli.command import URL_KEY
from moored.cli.screen import note
from moored.state import State
from moored.url import Url, default_url
from moored.web.secret import Secret, from_variables, in_force

if TYPE_CHECKING:
    from flask import Flask

TARGET_KEY = "moored.target"  # in a context's meta: what `flask moored` is about


class Target:
    """A state, where its URL was said, and the secrets that go with it.

    ``state`` is that of ``app``, or else made of ``url`` when it is first asked for; then it
    raises ConfigurationError for a URL that cannot be.  ``variables`` are the secrets in the
    environment or in ``.env``, which count where there is no app.
    """

    def __init__(
        self,
        source: str,
        url: str | None = None,
        *,
        variables: tuple[Secret, ...] = (),
        app: Flask | None = None,
    ) -> None:
        self.source = source
        self.app = app
        self._url = url
        self._variables = variables

    @cached_property
    def state(self) -> State:
        """The state itself."""
        if self.app is None:
            return State(self._url)
        from moored.flask.extension import mooring

        return mooring(self.app).state

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that are in force, the active one first.  Raises ConfigurationError."""
        if self.app is None:
            return self._variables
        from moored.flask.secrets import app_secrets

        return in_force(app_secrets(self.app.config))

    def close(self) -> None:
        """Close the state, if it was opened here."""
        if self.app is None and "state" in self.__dict__:
            self.state.close()


def named(url: str | None) -> Target:
    """The state that ``--url``, ``MOORED_URL`` or the file ``.env`` names, in this order."""
    written = env_file.values(Path.cwd())
    secrets: tuple[Secret, ...] = ()
    if keys := from_variables(os.environ):
        secrets = keys.named_in("the environment")
    elif keys := from_variables(written):
        secrets = keys.named_in(env_file.NAME)
    if url is not None:
        return Target("--url", url, variables=secrets)
    if found := os.environ.get("MOORED_URL"):
        return Target("MOORED_URL in the environment", found, variables=secrets)
    if found := written.get("MOORED_URL"):
        return Target("MOORED_URL in .env", found, variables=secrets)
    return Target("default", default_url(), variables=secrets)


def target() -> Target:
    """What the running command is about."""
    context = click.get_current_context()
    found: Target | None = context.meta.get(TARGET_KEY)
    if found is None:
        found = context.meta[TARGET_KEY] = named(context.meta.get(URL_KEY))
        context.call_on_close(found.close)
    return found


def opened() -> State:
    """The state to work on.

    A SQLite file that is not there is not made: nothing is kept there, and that is said.
    """
    found = target()
    path = file_of(found.state.url)
    if path is None or path.exists():
        return found.state
    note(f"There is no state at {found.state.url} yet ({found.source}).")
    return click.get_current_context().with_resource(State("memory:"))


def file_of(url: Url) -> Path | None:
    """The SQLite file that a URL names, if it names one."""
    return Path(url.database[1:]).absolute() if url.scheme == "sqlite" else None
