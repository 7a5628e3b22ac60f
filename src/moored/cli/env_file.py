"""The file ``.env``: names and values for the environment, as Flask's command line reads it."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path

from moored.web.secret import replace_file

NAME = ".env"
_LINE = re.compile(r"\s*(export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")


def values(folder: Path) -> dict[str, str]:
    """What the file in that folder says; nothing if there is none.

    Names once, values bare or in quotes; what is written after a `` #`` is a remark.
    """
    try:
        text = _text(folder)
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in _ends(text):
        if matched := _LINE.fullmatch(line.rstrip("\r\n")):
            found[matched[2]] = _bare(matched[3].strip())
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

    New names are exported if the others are.  From then on only its owner can read the file.
    """
    kept: list[str] = []
    left = {name: value for name, value in pairs.items() if value is not None}
    export, end = "", "\n"
    # From the end, because of several that set the same name the last one counts.
    for line in reversed(_ends(_text(folder))):
        text = line.rstrip("\r\n")
        end = line[len(text) :] or end
        matched = _LINE.fullmatch(text)
        if matched is None or matched[2] not in pairs:
            kept.append(line)
        elif (value := left.pop(matched[2], None)) is not None:
            export = matched[1] or export
            same = _bare(matched[3].strip()) == value
            kept.append(line if same else f"{matched[1] or ''}{_line(matched[2], value)}{line[len(text) :]}")
    if kept and not kept[0].endswith("\n"):
        kept[0] += end
    lines = [*reversed(kept), *[f"{export}{_line(name, value)}{end}" for name, value in left.items()]]
    _replace(folder, "".join(lines))


def _ends(text: str) -> list[str]:
    """The lines with their ends; to ``str.splitlines`` more would end a line than to a shell."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _text(folder: Path) -> str:
    """What is in the file; bytes that are not UTF-8 stay what they are."""
    path = folder / NAME
    return path.read_bytes().decode(errors="surrogateescape") if path.exists() else ""


def _line(name: str, value: str) -> str:
    return f"{name}={shlex.quote(value)}"


def _replace(folder: Path, text: str) -> None:
    replace_file((folder / NAME).resolve(), text.encode(errors="surrogateescape"))
