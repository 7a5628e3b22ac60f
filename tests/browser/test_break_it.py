"""Every button of “Break it”, pressed, keeps everything."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Arrive

from moored.demo.break_it import SCENES


@pytest.mark.parametrize("scene", [scene.name for scene in SCENES])
def test_button(arrive: Arrive, scene: str) -> None:
    visitor = arrive()
    page = visitor.open("/break-it")
    assert visitor.play(page, scene), page.locator(f"#{scene}-result").inner_text()
    numbers = page.locator(f"#{scene}-result .numbers")
    assert numbers.locator("dd").last.inner_text() == "0"  # lost, oversold
    assert page.locator(".bad").count() == 0
    if scene == "corks":
        expect(page.locator("#cart-link")).to_contain_text("50 pieces")


def test_a_loss_would_be_shown(arrive: Arrive) -> None:
    """As if the shop had kept 3 less than it acknowledged."""
    page = arrive().open("/break-it")

    def lie(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        told = answer.json()
        route.fulfill(response=answer, json={**told, "notes": max(0, told["notes"] - 3)})  # type: ignore[attr-defined]

    page.route("**/lab/look", lie)
    page.locator("[data-scene=deep]").click()
    expect(page.locator("#deep-result .numbers .bad dd")).to_have_text("3")
    expect(page.locator("#deep-result")).to_have_attribute("data-held", "false")
    expect(page.locator("#deep-picture .lost")).to_have_count(3)
    page.unroute_all(behavior="wait")


def test_restock(arrive: Arrive) -> None:
    visitor = arrive()
    page = visitor.open("/break-it")
    assert visitor.play(page, "rush")
    page.reload()
    expect(page.locator("#restock")).to_contain_text("Sold out: Old sextant")
    page.goto("/")
    expect(page.locator("#card-sextant")).to_contain_text("Sold out")
    expect(page.locator("#add-sextant")).to_be_disabled()
    page.goto("/break-it")
    page.get_by_role("button", name="Fill all shelves").click()
    expect(page.locator("#restock")).to_contain_text("all shelves are full")
    page.goto("/")
    expect(page.locator("#card-sextant")).to_contain_text("Only 5 left")
