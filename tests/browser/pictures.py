"""Takes the pictures of the demo: ``python -m tests.browser.pictures FOLDER``.

Wide and light, and narrow and dark.  Fails if a page complains, is wider than its window, or
loses something.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page
from tests.browser.chromium import Scheme, Visitor, chromium
from tests.demo.shop import serving

from moored.demo.break_it import SCENES


class Album:
    """The pictures of one width and scheme."""

    def __init__(self, folder: Path, width: int, scheme: Scheme) -> None:
        self._folder, self._end = folder, f"{width}-{scheme}.png"

    def take(self, page: Page, name: str) -> None:
        """Take the whole page."""
        page.locator("#said:empty").wait_for(state="attached")
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        width, needs = page.evaluate(
            "[document.documentElement.clientWidth, document.documentElement.scrollWidth]"
        )
        assert needs <= width, f"{name}: {needs} pixels wide in a window of {width}"
        page.screenshot(path=self._folder / f"{name}-{self._end}", full_page=True)


def tour(browser: Browser, site: str, name: str, folder: Path, width: int, scheme: Scheme) -> None:
    """Through the shop as somebody of that name, taking pictures."""
    album = Album(folder, width, scheme)
    visitor, other = Visitor(browser, site, width=width, scheme=scheme, still=True), Visitor(browser, site)
    page, elsewhere = visitor.open(), other.open()
    album.take(page, "demo")
    visitor.add(page, "lantern", "rope", "rope")
    visitor.sign_up(page, name)
    other.sign_in(elsewhere, name)
    page.goto("/checkout")
    album.take(page, "demo-checkout")
    page.get_by_label("Which boat").fill("Marlin")
    page.get_by_role("button", name="Place the order").click()
    page.locator("#number").wait_for()
    page.goto("/account")
    album.take(page, "demo-account")
    page.goto("/break-it")
    for scene in SCENES:
        assert visitor.play(page, scene.name), page.locator(f"#{scene.name}-result").inner_text()
    album.take(page, "demo-break-it")
    page.goto("/break-it")
    page.get_by_role("button", name="Fill all shelves").click()
    page.wait_for_url("**restocked**")
    assert visitor.complaints + other.complaints == []


def main(folder: Path) -> None:
    """Both tours."""
    with tempfile.TemporaryDirectory() as state, serving(Path(state)) as server, chromium() as browser:
        site = f"http://127.0.0.1:{server.port}"
        tour(browser, site, "Ada", folder, 1280, "light")
        tour(browser, site, "Grace", folder, 390, "dark")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
