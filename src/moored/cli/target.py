"""Which state a command is about: that of a URL, or that of a Flask application."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click
from msgspec import Struct

from moored.cli import env_file
from moored.cli.command import URL_KEY
from moored.cli.screen import note
from moored.state import State
from moored.url import Url, default_url

if TYPE_CHECKING:
    from flask import Flask

TARGET_KEY = "moored.target"  # in a context's meta: what `flask moored` is about


class Secrets(Struct, frozen=True):
    """The secrets that are in force, the active one first, and where they were set.

    No secret is part of its text.
    """

    values: tuple[str | bytes, ...]
    source: str

    def __repr__(self) -> str:
        return f"<Secrets: {len(self.values)} from {self.source}>"


class Target(Protocol):
    """Whose state it is."""

    @property
    def app(self) -> Flask | None:
        """The Flask application, if it is one's."""

    @property
    def source(self) -> str:
        """Where the URL was said."""

    @property
    def state(self) -> State:
        """The state itself.  Raises ConfigurationError."""

    @property
    def secrets(self) -> Secrets:
        """The secrets that are in force."""


class FromUrl:
    """The state that ``--url``, ``MOORED_URL`` or the file ``.env`` names, in this order."""

    app = None

    def __init__(self, url: str | None) -> None:
        written = env_file.values(Path.cwd())
        if url is not None:
            self.url, self.source = url, "--url"
        elif found := os.environ.get("MOORED_URL"):
            self.url, self.source = found, "MOORED_URL in the environment"
        elif found := written.get("MOORED_URL"):
            self.url, self.source = found, "MOORED_URL in .env"
        else:
            self.url, self.source = default_url(), "default"
        self._written = written

    @cached_property
    def state(self) -> State:
        """The state of the URL."""
        return State(self.url)

    @property
    def secrets(self) -> Secrets:
        """``MOORED_SECRET``, in the environment or in ``.env``."""
        if found := os.environ.get("MOORED_SECRET"):
            return Secrets((found,), "MOORED_SECRET in the environment")
        if found := self._written.get("MOORED_SECRET"):
            return Secrets((found,), "MOORED_SECRET in .env")
        return Secrets((), "")


def target() -> Target:
    """What the running command is about."""
    context = click.get_current_context()
    found: Target | None = context.meta.get(TARGET_KEY)
    if found is None:
        found = context.meta[TARGET_KEY] = FromUrl(context.meta.get(URL_KEY))
    return found


def opened() -> State:
    """The state to work on; closed with the command, if it was opened for it.

    A SQLite file that is not there is not made: nothing is kept there, and that is said.
    """
    found = target()
    state = found.state
    path = file_of(state.url)
    if path is not None and not path.exists():
        note(f"There is no state at {state.url} yet ({found.source}).")
        state = State("memory:")
    elif found.app is not None:
        return state
    return click.get_current_context().with_resource(state)


def file_of(url: Url) -> Path | None:
    """The SQLite file that a URL names, if it names one."""
    return Path(url.database[1:]).absolute() if url.scheme == "sqlite" else None
