"""The file ``.env``: names and values for the environment, as Flask's command line reads it."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path

from moored.web.secret import replace_file

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
    before = _text(folder)
    if before and not before.endswith("\n"):
        before += "\n"
    lines = [f"# {remark}", *[_line(name, value) for name, value in pairs.items()]]
    _replace(folder, before + "\n".join(lines) + "\n")


def change(folder: Path, pairs: dict[str, str | None]) -> None:
    """Set these where they stand, or at the end; None removes.  All else stays as it is.

    From then on only its owner can read the file.
    """
    kept: list[str] = []
    left = {name: value for name, value in pairs.items() if value is not None}
    # From the end, because of several that set the same name the last one counts.
    for line in reversed(_text(folder).splitlines()):
        matched = _LINE.fullmatch(line)
        if matched is None or matched[1] not in pairs:
            kept.append(line)
        elif (value := left.pop(matched[1], None)) is not None:
            kept.append(_line(matched[1], value))
    lines = [*reversed(kept), *[_line(name, value) for name, value in left.items()]]
    _replace(folder, "\n".join(lines) + "\n")


def _text(folder: Path) -> str:
    path = folder / NAME
    return path.read_text() if path.exists() else ""


def _line(name: str, value: str) -> str:
    return f"{name}={shlex.quote(value)}"


def _replace(folder: Path, text: str) -> None:
    replace_file((folder / NAME).resolve(), text)
