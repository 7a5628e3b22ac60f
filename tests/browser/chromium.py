"""Debian's Chromium, driven by Playwright, and pages that remember what went wrong on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

Scheme = Literal["light", "dark"]

WIDTHS = (390, 1280)
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SWITCHES = (
    "--no-sandbox",  # containers have no namespaces to spare
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Generator[Browser]:
    """A browser without a screen.  It is not downloaded: the system's is used."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert program, "chromium was not found: as root, apt-get install chromium; or name it in CHROMIUM"
    with sync_playwright() as playwright:
        browser = _launch(playwright, program)
        try:
            yield browser
        finally:
            browser.close()


def _launch(playwright: Playwright, program: str) -> Browser:
    return playwright.chromium.launch(executable_path=program, args=list(SWITCHES))


class Visitor:
    """Somebody with a browser of their own: its cookies, its windows, and what its pages complained of."""

    def __init__(
        self,
        browser: Browser,
        site: str,
        *,
        width: int = 1280,
        scheme: Scheme = "light",
        scripts: bool = True,
        still: bool = False,
    ) -> None:
        self.site = site
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            base_url=site,
            java_script_enabled=scripts,
            reduced_motion="reduce" if still else "no-preference",
        )
        self.context.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.context.on("console", lambda message: self._complain(message.type, message.text))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("requestfailed", lambda request: self._failed(request.url, request.failure))

    def _complain(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def _failed(self, url: str, failure: str | None) -> None:
        if failure != "net::ERR_ABORTED":  # a page that was left
            self.complaints.append(f"{url}: {failure}")

    def open(self, path: str = "/") -> Page:
        """A new tab at that page."""
        page = self.context.new_page()
        page.goto(path)
        return page

    def add(self, page: Page, *names: str) -> None:
        """Put goods into the cart, from the shelf."""
        for name in names:
            with page.expect_response(lambda answer: answer.request.method == "POST"):
                page.locator(f"#add-{name}").click()
            page.locator(f"#add-{name}:not([aria-busy])").wait_for()

    def sign_up(self, page: Page, name: str, password: str = "a calm sea and") -> None:
        """Open an account."""
        page.goto("/sign-up")
        page.locator("#name").fill(name)
        page.locator("#password").fill(password)
        page.locator("#sign-up").click()
        page.locator("#sign-out").wait_for()

    def sign_in(self, page: Page, name: str, password: str = "a calm sea and") -> None:
        """Sign in to it."""
        page.goto("/sign-in")
        page.locator("#name").fill(name)
        page.locator("#password").fill(password)
        page.locator("#sign-in").click()
        page.locator("#sign-out").wait_for()

    def play(self, page: Page, scene: str) -> bool:
        """Press a button of “Break it”; was everything kept?"""
        page.locator(f"[data-scene={scene}]").click()
        page.locator(f"#{scene}-result[data-held]").wait_for(state="attached", timeout=30_000)
        page.locator(f"[data-scene={scene}]:not([aria-disabled])").wait_for()
        return page.locator(f"#{scene}-result").get_attribute("data-held") == "true"
