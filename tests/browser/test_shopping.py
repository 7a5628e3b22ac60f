"""The shop end to end: with the mouse, with the keyboard, without scripts, and in several tabs at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

import pytest
from playwright.sync_api import Page, Request, expect
from tests.browser.conftest import Arrive


def test_from_the_shelf_to_the_account(arrive: Arrive) -> None:
    visitor = arrive()
    page = visitor.open()
    visitor.add(page, "lantern", "rope", "rope")
    expect(page.locator("#said")).to_have_text("Cart: 3 pieces, €\u00a069.80")
    page.get_by_role("link", name="Cart 3 pieces").click()

    page.get_by_label("How many: Coil of rope").fill("4")
    page.get_by_label("How many: Coil of rope").press("Enter")
    expect(page.locator(".total .money")).to_have_text("€\u00a0107.60")
    page.get_by_role("button", name="Remove: Storm lantern").click()
    expect(page.locator(".lines li")).to_have_count(1)
    expect(page.locator("#cart-link")).to_contain_text("4 pieces")

    page.get_by_role("link", name="To the checkout").click()
    page.get_by_role("link", name="sign up").click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Sign up").click()  # the browser itself says that it is too short
    expect(page).to_have_url(re.compile("/sign-up"))
    page.get_by_label("Password").fill("a calm sea and")
    page.get_by_role("button", name="Sign up").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Checkout")
    page.get_by_label("Which boat").fill("Marlin")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fair winds, Marlin")
    number = page.locator("#number").inner_text()
    assert "piece" not in page.locator("#cart-link").inner_text()

    page.get_by_role("link", name="Account of Ada").click()
    expect(page.get_by_role("link", name=number)).to_be_visible()
    expect(page.locator(".devices li")).to_have_count(1)
    expect(page.locator(".devices mark")).to_have_text("this one")
    expect(page.locator(".facts")).to_contain_text("in 60 minutes")
    expect(page.locator(".facts")).to_contain_text("in 12 hours")
    page.get_by_role("button", name="Sign out here").click()
    expect(page.locator(".notice")).to_contain_text("You signed out here")


def test_a_double_click_orders_once(arrive: Arrive) -> None:
    visitor = arrive()
    page = visitor.open()
    visitor.sign_up(page, "Edsger")
    page.goto("/")
    visitor.add(page, "boots")
    page.goto("/checkout")
    page.get_by_label("Which boat").fill("Marlin")
    page.get_by_role("button", name="Place the order").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fair winds, Marlin")
    page.goto("/account")
    expect(page.locator(".orders li")).to_have_count(1)
    page.go_back()
    page.go_back()  # the form is not there any more
    expect(page.get_by_role("heading", level=1)).to_have_text("Your cart")


def the_tenth_post() -> Callable[[Request], bool]:
    """Says which one it is."""
    posts = count(1)
    return lambda request: request.method == "POST" and next(posts) == 10


def test_two_tabs_add_at_once(arrive: Arrive) -> None:
    """Ten clicks in each, none waiting for the other."""
    visitor = arrive()
    left, right = visitor.open(), visitor.open()
    visitor.add(left, "mug")  # so that there is a session
    with (
        left.expect_event("requestfinished", the_tenth_post()),
        right.expect_event("requestfinished", the_tenth_post()),
    ):
        for tab, name in ((left, "mug"), (right, "compass")):
            tab.evaluate(
                """name => {
                    const button = document.querySelector(`#add-${name}`);
                    for (let click = 0; click < 10; click++) button.form.requestSubmit(button);
                }""",
                name,
            )
    left.goto("/cart")
    expect(left.get_by_label("How many: Enamel mug")).to_have_value("11")
    expect(left.get_by_label("How many: Brass compass")).to_have_value("10")


def test_signing_out_everywhere_is_seen_in_both(arrive: Arrive) -> None:
    laptop, phone = arrive(), arrive(width=390)
    here, there = laptop.open(), phone.open()
    laptop.sign_up(here, "Grace")
    phone.sign_in(there, "grace")
    here.reload()
    expect(here.locator(".devices li")).to_have_count(2)
    there.get_by_role("button", name="Sign out everywhere").click()
    expect(there).to_have_url(re.compile("/sign-in$"))
    expect(there.locator(".notice")).to_contain_text("signed out everywhere")
    here.goto("/")
    expect(here.locator(".notice")).to_contain_text("signed out everywhere")
    expect(here.get_by_role("link", name="Sign in", exact=True)).to_be_visible()


def test_one_device_ends_the_other(arrive: Arrive) -> None:
    laptop, phone = arrive(), arrive(width=390)
    here, there = laptop.open(), phone.open()
    laptop.sign_up(here, "Radia")
    phone.sign_in(there, "radia")
    selector = there.locator("#selector").inner_text()
    here.reload()
    here.locator(f"#end-{selector}").click()
    expect(here.locator(".devices li")).to_have_count(1)
    there.get_by_role("link", name="Shop").click()
    expect(there.locator(".notice")).to_contain_text("signed out from another device")
    there.locator("#add-mug").click()
    expect(there.locator("#said.bad")).to_have_text("Not done: Your session has ended. Sign in again.")
    phone.complaints[:] = [said for said in phone.complaints if "status of 409" not in said]


def test_checking_out_by_keyboard(arrive: Arrive) -> None:
    visitor = arrive()
    page = visitor.open()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    reach(page, "Add to cart: Lifebuoy")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.keyboard.press("Space")
    expect(page.locator("#said")).to_contain_text("Cart: 1 piece")
    assert focused(page) == "Add to cart: Lifebuoy"
    reach(page, "Cart 1 piece", backwards=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your cart")
    reach(page, "How many: Lifebuoy")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".total .money")).to_have_text("€\u00a055.00")
    assert focused(page) == "How many: Lifebuoy"
    reach(page, "To the checkout")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Checkout")
    reach(page, "Which boat do we bring it to?")
    page.keyboard.type("Marlin")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Fair winds, Marlin")


def reach(page: Page, name: str, *, backwards: bool = False) -> None:
    """Go from one thing to the next until this is focused."""
    seen: list[str] = []
    while len(seen) < 60:
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        seen.append(focused(page))
        if seen[-1] == name:
            return
    pytest.fail(f"{name!r} cannot be reached: {seen}")


def focused(page: Page) -> str:
    """The name of what has the focus."""
    name: str = page.evaluate(
        """() => {
            const it = document.activeElement;
            const text = it.getAttribute("aria-label") ?? it.labels?.[0]?.textContent ?? it.textContent;
            return text.trim().replace(/\\s+/g, " ");
        }"""
    )
    return name


def test_without_scripts(arrive: Arrive) -> None:
    visitor = arrive(scripts=False)
    page = visitor.open()
    page.locator("#add-bell").click()
    expect(page.locator("#cart-link")).to_contain_text("1 piece")
    page.goto("/cart")
    page.get_by_label("How many: Ship's bell").fill("2")
    page.get_by_role("button", name="Set the quantity: Ship's bell").click()
    expect(page.locator(".total")).to_contain_text("2 pieces")
    visitor.sign_up(page, "Noscript")
    page.goto("/checkout")
    page.get_by_label("Which boat").fill("Marlin")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fair winds, Marlin")
    page.goto("/break-it")
    expect(page.locator("[data-scene]").first).to_be_disabled()
    assert "These need JavaScript" in page.content()
    page.get_by_role("button", name="Fill all shelves").click()
    expect(page.locator("#restock")).to_contain_text("all shelves are full")


def test_what_was_not_acknowledged_is_said(arrive: Arrive) -> None:
    visitor = arrive()
    page = visitor.open()
    page.route("**/cart", lambda route: route.abort())
    page.locator("#add-mug").click()
    expect(page.locator("#said.bad")).to_contain_text("Not done: Failed to fetch")
    assert [said for said in visitor.complaints if "ERR_FAILED" not in said] == []
    visitor.complaints.clear()
