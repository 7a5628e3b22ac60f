"""The secret: whether there is one, and whether it could be guessed or read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from moored.cli.checks import Finding, error, note, ok, warning
from moored.cli.target import Secrets
from moored.web.weak_secret import MAKE, weakness


def check(
    secrets: Secrets, database: Path | None, *, flask: bool, debug: bool, made_up: bool
) -> Iterator[Finding]:
    """The secrets in force; ``made_up``: where there is none, Moored can make one itself."""
    kept = None if database is None else Path(f"{database}-secret")
    yield _given(secrets, kept, flask=flask, debug=debug, made_up=made_up)
    if kept is not None and kept.exists():
        yield readers(kept)


def _given(secrets: Secrets, kept: Path | None, *, flask: bool, debug: bool, made_up: bool) -> Finding:
    id = "MRD-D004"
    if found := weakness(secrets.values, secrets.source):
        return (warning if debug else error)(id, *found)
    if secrets.values:
        return ok(id, f"The secret is set ({secrets.source}) and long enough.")
    if not flask:
        return note(
            id,
            "No MOORED_SECRET is set here. An application may have a secret of its own.",
            "For a Flask application, `flask moored doctor` looks at its SECRET_KEY.",
        )
    if made_up:
        what = "in memory" if kept is None else f"in {kept}"
        return warning(
            id,
            f"No secret is set: Moored makes one up and keeps it {what}. What Flask itself signs has none.",
            f"Set SECRET_KEY of the app, or MOORED_SECRET; {MAKE}.",
        )
    return error(
        id,
        "No secret is set, and hosts that share this engine cannot each make one up.",
        f"Set SECRET_KEY of the app, or MOORED_SECRET; {MAKE}.",
    )


def readers(path: Path) -> Finding:
    """Who can read the secret that was made up."""
    bits = path.stat().st_mode & 0o777
    if bits & 0o077:
        return error(
            "MRD-D005",
            f"Other users of this host can read the secret in {path.name} (mode {bits:o}).",
            f"chmod 600 '{path}'; if they may have read it, remove the file: another is made, and everybody"
            " has to sign in again.",
        )
    return ok("MRD-D005", f"Only its owner can read the secret in {path.name}.")
