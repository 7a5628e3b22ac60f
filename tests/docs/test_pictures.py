"""The drawn schedules are those that the script draws, and pages show every one."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree

from tests.docs.pages import DOCS

IMAGES = DOCS / "images"
PAGE = DOCS / "explanation" / "why-sessions-lose.md"


def test_the_pictures_are_as_drawn() -> None:
    script = runpy.run_path(str(IMAGES / "schedules.py"))
    drawn = {f"schedule-{one.name}.svg": script["draw"](one) for one in script["SCHEDULES"]}
    found = {path.name: path.read_text() for path in IMAGES.glob("schedule-*.svg")}
    assert found == drawn


def test_every_picture_is_shown_and_says_what_it_shows() -> None:
    pictures = sorted(IMAGES.glob("schedule-*.svg"))
    assert len(pictures) == 5
    text = PAGE.read_text()
    for picture in pictures:
        assert f"(../images/{picture.name})" in text
        title = ElementTree.parse(picture).getroot().find("{http://www.w3.org/2000/svg}title")
        assert title is not None
        assert title.text


def test_what_the_proof_s_picture_says_stands_below_it_on_phones() -> None:
    hooks = runpy.run_path(str(DOCS / "site" / "hooks.py"))
    path = IMAGES / "prove.svg"
    described = ElementTree.parse(path).getroot().findtext("{http://www.w3.org/2000/svg}desc")
    table = ElementTree.fromstring(hooks["proved"]())
    rows = [[(cell.get("data-head"), cell.text) for cell in row] for row in table.iter("tr")]
    said = [f"{row[0][1]}: {', '.join(f'{side} {words}' for side, words in row[1:])}." for row in rows]
    assert " ".join(said) == described
    for page in ("README.md", "prove.md"):
        link = f'<p><img alt="" src="{path.relative_to(DOCS)}" /></p>'
        assert f"({path.relative_to(DOCS)})" in (DOCS / page).read_text()
        assert hooks["on_page_content"](link) == link + hooks["proved"]()


def test_pictures_need_nothing_from_elsewhere() -> None:
    for picture in IMAGES.glob("*.svg"):
        assert _elsewhere(picture) == [], picture.name


def _elsewhere(picture: Path) -> list[str]:
    """What a picture names beside itself."""
    return [
        value
        for element in ElementTree.parse(picture).iter()
        for name, value in element.attrib.items()
        if name.endswith("href") or "url(" in value
    ]
