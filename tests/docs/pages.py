"""The pages of the documentation, as the tests read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(
    r"^(?:```|(?P<hidden><!-- ))(?P<language>[\w-]+)(?P<info>[^\n]*)\n(?P<text>.*?)^(?:```|-->)$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')
_COLUMN = re.compile(r"(?<!\\)\|")


class Snippet(Struct, frozen=True):
    """A fenced block: its language, its text, and the line of the page on which the text begins.

    ``title`` is the name of the file that it shows, if it shows one.
    ``<!-- python`` to ``-->`` is one as well: what a snippet needs and readers need not see.
    """

    language: str
    text: str
    line: int
    title: str = ""
    hidden: bool = False


def pages() -> list[Path]:
    """README and every page of the documentation."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """The page's path from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def snippets(page: Path) -> Iterator[Snippet]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    for fence in _FENCE.finditer(text):
        title = _TITLE.search(fence["info"])
        yield Snippet(
            fence["language"],
            fence["text"],
            text.count("\n", 0, fence.start("text")) + 1,
            title[1] if title else "",
            fence["hidden"] is not None,
        )


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
