"""Names that begin with ``MOORED_``, in the environment and in ``.env``: a misspelt one sets nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from moored.cli import env_file
from moored.cli.checks import Finding, ok, warning
from moored.cli.target import Target
from moored.web.environment import Elsewhere, without_effect
from moored.web.remark import Remark
from moored.web.secret import ACTIVE

ID = "MRD-D007"


def check(about: Target) -> Finding:
    """One finding for all of them."""
    problems = [*_problems(about)]
    if not problems:
        return ok(ID, "Every MOORED_ variable in the environment and in .env is known.")
    return warning(ID, " ".join(each.what for each in problems), " ".join(each.cure for each in problems))


def _problems(about: Target) -> Iterator[Remark]:
    elsewhere = _elsewhere(about)
    written = env_file.values(Path.cwd())
    active = bool(os.environ.get(ACTIVE))
    yield from without_effect(os.environ, "the environment", elsewhere, active=active)
    others = {name: value for name, value in written.items() if name not in os.environ}
    yield from without_effect(others, env_file.NAME, elsewhere, active=active or bool(written.get(ACTIVE)))


def _elsewhere(about: Target) -> Elsewhere | None:
    try:
        from moored.flask.config import in_config
    except ModuleNotFoundError:  # Flask is not installed, so that nobody uses its settings
        return None
    return in_config({} if about.app is None else about.app.config)
