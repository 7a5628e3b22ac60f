"""Every page, narrow and wide, in light and dark: clean for axe, no wider than its window, no complaints."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from tests.browser.chromium import SCHEMES, WIDTHS, Visitor
from tests.browser.conftest import Arrive

# Also what is beyond WCAG: landmarks, the order of headings.  A scheme changes colours and nothing else.
EVERYTHING = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


class Inspector:
    """Looks at a page in all windows and schemes, and writes down what is wrong."""

    def __init__(self, visitor: Visitor, page: Page) -> None:
        self._visitor, self._page = visitor, page
        self.found: list[str] = []

    def look(self, path: str, state: str = "") -> None:
        """Go there, unless something was done there that is to be looked at."""
        if not state:
            self._page.goto(path)
        for width in WIDTHS:
            self._page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                self._page.emulate_media(color_scheme=scheme)
                where = f"{path} {state}, {width}, {scheme}"
                self._inspect(where, EVERYTHING if scheme == "light" else COLOURS)
        # The browser itself writes down what was refused on purpose.
        refused = ("status of 403", "status of 404", "status of 409")
        complaints = self._visitor.complaints
        complaints[:] = [said for said in complaints if not any(status in said for status in refused)]

    def _inspect(self, where: str, rules: object) -> None:
        options = {"runOnly": rules, "resultTypes": ["violations"]}
        report: dict[str, Any] = Axe().run(self._page, options=options).response
        assert report["passes"], where  # it has looked
        self.found += [
            f"{where}: {fault['id']}: {node['target']} {node['failureSummary']}"
            for fault in report["violations"]
            for node in fault["nodes"]
        ]
        page = self._page
        width, needs = page.evaluate(
            "[document.documentElement.clientWidth, document.documentElement.scrollWidth]"
        )
        if needs > width:
            self.found.append(f"{where}: {needs} pixels wide in a window of {width}")


def test_pages_of_a_guest(arrive: Arrive) -> None:
    visitor = arrive(still=True)  # colours do not glide while they are looked at
    page = visitor.open()
    inspector = Inspector(visitor, page)
    for path in ("/", "/cart", "/account", "/sign-in", "/sign-up", "/mast"):
        inspector.look(path)
    page.locator(".brand").click()
    visitor.add(page, "mug", "rope")
    inspector.look("/", "something is said")
    inspector.look("/cart")
    inspector.look("/checkout")
    page.goto("/sign-in")
    page.locator("#name").fill("nobody")
    page.locator("#password").fill("wrong password")
    page.locator("#sign-in").click()
    page.locator("#problem").wait_for()
    inspector.look("/sign-in", "refused")
    assert inspector.found == []


def test_pages_of_somebody_signed_in(arrive: Arrive) -> None:
    visitor, other = arrive(still=True), arrive()
    page, elsewhere = visitor.open(), other.open()
    inspector = Inspector(visitor, page)
    name = "Sailor with-a-rather-long-name-and-no-end"[:40]
    visitor.add(page, "mug")
    visitor.sign_up(page, name)
    other.sign_in(elsewhere, name)
    page.goto("/checkout")
    page.get_by_label("Which boat").fill("M" * 40)
    page.get_by_role("button", name="Place the order").click()
    page.locator("#number").wait_for()
    inspector.look("/orders", "placed")
    inspector.look("/account")
    elsewhere.goto("/account")
    elsewhere.locator("#everywhere").click()
    elsewhere.locator(".notice").wait_for()
    inspector.look("/")
    inspector.look("/sign-in")
    page.goto("/")
    page.locator("#add-mug").click()
    page.locator("#said.bad").wait_for()
    inspector.look("/", "something is said to have failed")
    visitor.context.clear_cookies()
    page.goto("/break-it")
    for scene in ("deep", "planted", "rush"):
        assert visitor.play(page, scene)
    page.locator("#scene-deep summary").click()
    inspector.look("/break-it", "played")
    assert inspector.found == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("heading.style.color = '#ddd'", "color-contrast"),
        ("heading.remove()", "page-has-heading-one"),
        ("heading.style.width = '2000px'", "pixels wide"),
    ],
)
def test_faults_are_found(arrive: Arrive, spoil: str, says: str) -> None:
    visitor = arrive(still=True)
    page = visitor.open("/cart")
    page.evaluate(f"{{ const heading = document.querySelector('h1'); {spoil} }}")
    inspector = Inspector(visitor, page)
    inspector.look("/cart", "spoilt")
    assert any(says in fault for fault in inspector.found), inspector.found
