"""Names that begin with ``MOORED_``, in the environment and in ``.env``: a misspelt one sets nothing."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from pathlib import Path

from moored.cli import env_file
from moored.cli.checks import Finding, ok, warning
from moored.cli.target import Target
from moored.web.environment import without_effect
from moored.web.secret import ACTIVE

ID = "MRD-D007"


def check(about: Target) -> Finding:
    """One finding for all of them."""
    problems = [*_problems(about)]
    if not problems:
        return ok(ID, "Every MOORED_ variable in the environment and in .env is known.")
    return warning(ID, " ".join(what for what, _ in problems), " ".join(cure for _, cure in problems))


def _problems(about: Target) -> Iterator[tuple[str, str]]:
    settings = _settings()
    made = set() if about.app is None else {n for n, value in about.app.config.items() if value is not None}
    written = env_file.values(Path.cwd())
    active = bool(os.environ.get(ACTIVE))
    yield from without_effect(os.environ, "the environment", settings, made, active=active)
    others = {name: value for name, value in written.items() if name not in os.environ}
    yield from without_effect(others, ".env", settings, made, active=active or bool(written.get(ACTIVE)))


def _settings() -> Container[str]:
    try:
        from moored.flask.config import SETTINGS
    except ModuleNotFoundError:  # Flask is not installed, so that nobody uses its settings
        return ()
    return SETTINGS.keys() - {"MOORED_URL"}
