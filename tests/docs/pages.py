"""The pages of the documentation, as the tests read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(?:```|<!-- )([\w-]+)[^\n]*\n(.*?)^(?:```|-->)$", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(r"(?<!\\)\|")


class Snippet(Struct, frozen=True):
    """A fenced block: its language, its text, and the line of the page on which the text begins.

    ``<!-- python`` to ``-->`` is one as well: what a snippet needs and readers need not see.
    """

    language: str
    text: str
    line: int


def pages() -> list[Path]:
    """README and every page of the documentation."""
    return [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def snippets(page: Path) -> Iterator[Snippet]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    for fence in _FENCE.finditer(text):
        yield Snippet(fence[1], fence[2], text.count("\n", 0, fence.start(2)) + 1)


def table(page: Path, *headings: str) -> list[list[str]]:
    """The rows of the page's only table with these headings, as the cells are written."""
    found: list[list[list[str]]] = []
    lines = iter(page.read_text().splitlines())
    for line in lines:
        if _cells(line) == list(headings):
            next(lines)  # the rule below the headings
            rows = []
            for row in lines:
                if not row.startswith("|"):
                    break
                rows.append(_cells(row))
            found.append(rows)
    assert len(found) == 1, f"{page.name} has {len(found)} tables of {', '.join(headings)}"
    return found[0]


def _cells(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    return [cell.strip().replace("\\|", "|") for cell in _COLUMN.split(line.strip())[1:-1]]
