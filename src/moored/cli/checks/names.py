"""Names that begin with ``MOORED_``, in the environment and in ``.env``: a misspelt one sets nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from moored.cli import env_file
from moored.cli.checks import Finding, ok, warning
from moored.cli.target import Target
from moored.web.secret import ACCEPTED, ACTIVE, STAGED

ID = "MRD-D007"
PREFIX = "MOORED_"
READ = ("MOORED_URL", ACTIVE, STAGED, ACCEPTED, "MOORED_PROVE_REDIS")  # from the environment


def check(about: Target) -> Finding:
    """One finding for all of them."""
    problems = [*_problems(about)]
    if not problems:
        return ok(ID, "Every MOORED_ variable in the environment and in .env is known.")
    return warning(ID, " ".join(what for what, _ in problems), " ".join(cure for _, cure in problems))


def _problems(about: Target) -> Iterator[tuple[str, str]]:
    written = env_file.values(Path.cwd())
    places = {"the environment": os.environ, ".env": written}
    seen: set[str] = set()
    for place, values in places.items():
        for name in sorted(values):
            if name.startswith(PREFIX) and name not in READ and name not in seen:
                seen.add(name)
                if _is_setting(name):
                    if about.app is None or about.app.config.get(name) is None:
                        what = (
                            f"{name} in {place} is a setting of Flask applications, and not read from there."
                        )
                        yield what, f"Set {name} in app.config."
                else:
                    close = get_close_matches(name, READ, 1, 0.6)
                    cure = f"Did you mean {close[0]}?" if close else f"Take {name} out."
                    yield f"{name} in {place} is unknown, and sets nothing.", cure
        for name in (STAGED, ACCEPTED):
            if values.get(name) and not (values.get(ACTIVE) or os.environ.get(ACTIVE)):
                yield (
                    f"{name} in {place} is set, and {ACTIVE} is not: it counts for nothing.",
                    f"Set {ACTIVE}.",
                )


def _is_setting(name: str) -> bool:
    try:
        from moored.flask.config import SETTINGS
    except ModuleNotFoundError:  # Flask is not installed, so that nobody uses its settings
        return False
    return name in SETTINGS
