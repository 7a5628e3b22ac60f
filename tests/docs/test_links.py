"""Links between pages lead somewhere, and an index names every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, ROOT, name_of, pages

PAGES = [*pages(), *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in _HEADING.findall(page.read_text())
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("index", sorted(DOCS.rglob("README.md")), ids=name_of)
def test_an_index_names_every_page_of_its_folder(index: Path) -> None:
    named = {(index.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(index.read_text())}
    assert set(index.parent.glob("*.md")) - {index} <= named


def test_the_index_names_the_indexes_of_folders() -> None:
    folders = {page.parent for page in pages()} - {ROOT, DOCS}
    named = {(DOCS / link).resolve() for link in _LINK.findall((DOCS / "README.md").read_text())}
    assert {folder / "README.md" for folder in folders} <= named
