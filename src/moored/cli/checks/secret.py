"""The secret: whether there is one, and whether it could be guessed or read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from moored.cli.checks import Finding, error, note, ok, warning
from moored.cli.target import Target, file_of
from moored.errors import ConfigurationError
from moored.web.secret import Secret, kept_beside
from moored.web.weak_secret import MAKE, weakness


def check(about: Target) -> Iterator[Finding]:
    """The secrets in force, and who can read the one that Moored made itself."""
    database = file_of(about.state.url)
    kept = None if database is None else kept_beside(database)
    with suppress(ConfigurationError):  # the look at the app's settings says what is wrong with them
        yield _given(about, about.secrets, kept)
    if kept is not None and kept.exists():
        yield readers(kept)


def _given(about: Target, secrets: Sequence[Secret], kept: Path | None) -> Finding:
    id = "MRD-D004"
    if found := weakness(secrets):
        return (warning if about.app is not None and about.app.debug else error)(id, found.what, found.cure)
    if secrets:
        return ok(id, f"The secret is set ({secrets[0].source}) and long enough.")
    if about.app is None:
        return note(
            id,
            "No MOORED_SECRET is set here. An application may have a secret of its own.",
            "For a Flask application, `flask moored doctor` looks at its SECRET_KEY.",
        )
    if kept is not None or about.state.url.scheme == "memory":
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
