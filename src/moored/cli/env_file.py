"""The file ``.env``: names and values for the environment, as Flask's command line reads it."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from pathlib import Path

NAME = ".env"
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")


def values(folder: Path) -> dict[str, str]:
    """What the file in that folder says; nothing if there is none.

    Names once, values bare or in quotes; what is written after a `` #`` is a remark.
    """
    try:
        text = (folder / NAME).read_text(errors="replace")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in text.splitlines():
        if matched := _LINE.fullmatch(line):
            found[matched[1]] = _bare(matched[2].strip())
    return found


def _bare(text: str) -> str:
    if text[:1] in ("'", '"'):
        with suppress(ValueError):
            return "".join(shlex.split(text, comments=True)[:1])
    return re.split(r"\s#", text, maxsplit=1)[0].rstrip()


def add(folder: Path, remark: str, pairs: dict[str, str]) -> None:
    """Write these at the end of the file, which from then on only this user can read."""
    path = (folder / NAME).resolve()
    before = path.read_text() if path.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    lines = [f"# {remark}", *[f"{name}={shlex.quote(value)}" for name, value in pairs.items()]]
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(file, "w") as out:
            out.write(before + "\n".join(lines) + "\n")
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
