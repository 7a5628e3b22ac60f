"""Where the keys in force are kept, and whether Moored may change them there."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
from msgspec import Struct

from moored.cli import env_file
from moored.cli.command import Exit, Failure
from moored.cli.target import Target, file_of
from moored.web.secret import (
    ACCEPTED,
    ACTIVE,
    STAGED,
    Keys,
    Secret,
    from_variables,
    kept_beside,
    read_file,
    same,
    to_variables,
    write_file,
)

# What a person sets where Moored does not write: the active key, the staged one, those that were active.
OF_FLASK = "SECRET_KEY", "SECRET_KEY_FALLBACKS (a list)", "SECRET_KEY_FALLBACKS"
OF_MOORED = ACTIVE, STAGED, f"{ACCEPTED} (between spaces)"


PLAIN = re.compile(r"[!-&(-\[\]-~]+")  # what stands for itself between single quotes, whoever reads them


class Place(Struct, frozen=True):
    """The secrets in force with their roles, the active one first, and where they are kept.

    ``keys`` are the same where Moored may ``write`` others in their place.  Where it has no
    business to, ``names`` are what a person sets.  ``also_flask``: the app's SECRET_KEY is the
    active one.
    """

    where: str
    secrets: tuple[tuple[str, str | bytes], ...]
    keys: Keys | None = None
    write: Callable[[Keys], None] | None = None
    names: tuple[str, str, str] = OF_MOORED
    also_flask: bool = False

    def __repr__(self) -> str:
        return f"<Place {self.where}>"


def of_keys(
    where: str, keys: Keys, write: Callable[[Keys], None] | None, *, also_flask: bool = False
) -> Place:
    """The place of these keys."""
    staged = (("staged", keys.staged),) if keys.staged else ()
    accepted = [("accepted", secret) for secret in keys.accepted]
    secrets = (("active", keys.active), *staged, *accepted)
    return Place(where, secrets, None if write is None else keys, write, also_flask=also_flask)


def find(about: Target) -> Place | None:
    """Where the keys of the target are kept; None if there are none here."""
    named, in_file = from_variables(os.environ), from_variables(env_file.values(Path.cwd()))
    environment = "the environment"
    if named is not None and in_file is not None and named.active != in_file.active:
        in_file, environment = None, "the environment (.env has another)"
    if own := _of_the_app(about):
        if named is not None and in_file is not None and same(own[0].value, named.active):
            return of_keys(env_file.NAME, in_file, _write_env_file, also_flask=True)
        roles = ["active", *["accepted"] * (len(own) - 1)]
        secrets = tuple(zip(roles, [secret.value for secret in own], strict=True))
        return Place(own[0].source, secrets, names=OF_FLASK)
    if in_file is not None and (named is not None or about.app is None):
        return of_keys(env_file.NAME, in_file, _write_env_file)
    if named is not None:
        return of_keys(environment, named, None)
    database = file_of(about.state.url)
    if database is not None and (path := kept_beside(database)).exists():
        return of_keys(str(path), read_file(path), lambda keys: write_file(path, keys))
    return None


def _of_the_app(about: Target) -> tuple[Secret, ...]:
    if about.app is None:
        return ()
    from moored.flask.secrets import app_secrets

    return app_secrets(about.app.config)


def replace(about: Target, seen: Place, keys: Keys) -> None:
    """Write these in the place of those that were seen there.

    Raises Failure, changing nothing, if others are there by now: somebody else may have rotated
    them while this one was asked whether to.
    """
    assert seen.write is not None
    held = os.open(Path.cwd() if seen.where == env_file.NAME else Path(seen.where).parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(held, fcntl.LOCK_EX)
        now = find(about)
        if now is None or now.keys != seen.keys:
            raise _refusal(
                "Somebody else changed the keys meanwhile. Nothing was changed. Look at them anew."
            )
        seen.write(keys)
    finally:
        os.close(held)


def _write_env_file(keys: Keys) -> None:
    if any([len(secret.split()) != 1 for secret in keys.accepted]):
        raise _refusal(
            f"The secret in .env has a space in it, and {ACCEPTED} is a list between spaces: it cannot be"
            " kept there. Nothing was changed."
        )
    if any([not PLAIN.fullmatch(secret) or "${" in secret for secret in keys.accepted]):
        raise _refusal(
            "The secret in .env has a quote, a backslash, ${ or a letter beyond ASCII in it, which not all"
            f" programs that read .env understand alike: it cannot be kept in {ACCEPTED}. Nothing was"
            " changed."
        )
    env_file.change(Path.cwd(), to_variables(keys))


def _refusal(why: str) -> Failure:
    as_json = bool(click.get_current_context().params.get("as_json"))
    return Failure(why, Exit.REFUSED, as_json=as_json)
