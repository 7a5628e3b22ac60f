"""The documentation as a site: it builds without a warning, whole, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.browser.chromium import WIDTHS, chromium
from tests.docs.pages import DOCS, ROOT

import moored
import moored.flask
from moored import AsyncState, State
from moored.flask import FlaskSession
from moored.kinds.counter import Counter
from moored.kinds.sessions import Sessions
from moored.web.lazy_session import LazySession
from moored.web.session import WebSession

# Attributes by which a browser fetches something, by the tag that has them.
FETCHES = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}


class Html(HTMLParser):
    """What a page fetches, what it links to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in FETCHES and (there := found.get(FETCHES[tag])):
            self.fetched.append(there)
        if tag == "a" and (there := found.get("href")):
            self.links.append(there)
        if name := found.get("id"):
            self.anchors.append(name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.fixture(scope="module")
def html(site: Path) -> dict[Path, Html]:
    return {page: Html(page.read_text()) for page in site.rglob("*.html")}


def test_every_page_is_there(site: Path, html: dict[Path, Html]) -> None:
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).with_suffix("")
        folder = name.parent if name.name == "README" else name
        assert site / folder / "index.html" in html, f"{page} is not in the site"


def test_nothing_is_fetched_from_elsewhere(site: Path, html: dict[Path, Html]) -> None:
    elsewhere = [there for page in html.values() for there in page.fetched if urlsplit(there).netloc]
    assert elsewhere == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//[^)\"';]+", sheet.read_text()) == []
    for picture in site.rglob("*.svg"):
        assert re.findall(r"(?:href|src)=\"(?:https?:)?//[^\"]+", picture.read_text()) == []


def test_what_is_fetched_is_there(site: Path, html: dict[Path, Html]) -> None:
    for path, page in html.items():
        if path.name == "404.html":  # served at any depth, its links begin at the root
            continue
        missing = [there for there in page.fetched if not _target(path, there).is_file()]
        assert missing == [], path


def test_tables_of_names_fit_a_phone(site: Path) -> None:
    """The row of a setting is a block there, and says of each cell what it is."""
    wide = """() => [...document.querySelectorAll("table[data-blocks]")]
        .filter(table => table.scrollWidth > innerWidth || table.clientWidth < innerWidth / 2)
        .map(table => table.textContent.slice(0, 80))"""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTHS[0], "height": 844})
        for name in ("flask", "reference/engines", "client-side", "cli", "sessions", "bad-input"):
            page.goto((site / name / "index.html").as_uri())
            assert page.locator("table[data-blocks]").count(), name
            assert page.evaluate(wide) == [], name
        page.goto((site / "flask" / "index.html").as_uri())
        default = page.locator("tr", has_text="MOORED_SESSION_MAX_DEPTH").locator("td").nth(1)
        assert default.get_attribute("data-head") == "default"
        assert default.evaluate("cell => getComputedStyle(cell, '::before').content") == '"default: "'


def test_links_lead_to_pages_and_anchors(html: dict[Path, Html]) -> None:
    broken = []
    for path, page in html.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = _target(path, link)
            found = html.get(target)
            if (found is None and not target.is_file()) or (
                found and parts.fragment not in ("", "__top", *found.anchors)
            ):
                broken.append((path, link))
    assert broken == []


def _target(page: Path, link: str) -> Path:
    path = unquote(urlsplit(link).path)
    target = (page.parent / path).resolve() if path else page
    return target / "index.html" if target.is_dir() else target


# Of the session of a request: for those who bind Moored to a framework, and the mapping's other name.
INTERNAL = {"finish", "touched", "to_dict"}
FIELDS = {"binding", "url"}


def test_the_reference_has_every_public_name(site: Path, html: dict[Path, Html]) -> None:
    kinds = (LazySession, WebSession, FlaskSession)
    of_session = {name for kind in kinds for name in _public(kind)} - INTERNAL
    expected = {
        *(f"moored.{kind.__name__}" for kind in (State, AsyncState)),
        *(f"moored.State.{name}" for kind in State.__mro__ for name in _public(kind) if name not in FIELDS),
        *(f"moored.errors.{name}" for name in _errors()),
        *(f"moored.flask.{name}" for name in moored.flask.__all__ if name != "session"),
        *(f"moored.flask.FlaskSession.{name}" for name in of_session),
        *(f"moored.kinds.counter.Counter.{name}" for name in _public(Counter)),
        *(f"moored.kinds.sessions.Sessions.{name}" for name in _public(Sessions)),
        "moored.flask.socketio.SocketIO",
        "moored.flask.testing.in_memory",
        "moored.flask.testing.sign_in",
    }
    found = html[site / "reference" / "python" / "index.html"].anchors
    assert sorted(expected - set(found)) == []


def _public(kind: type) -> list[str]:
    return [name for name in vars(kind) if not name.startswith("_")]


def _errors() -> list[str]:
    return [name for name in moored.__all__ if name not in ("State", "AsyncState")]
