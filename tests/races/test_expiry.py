"""Sessions end by time: some time after their last use, and some time after they were made."""

from __future__ import annotations

import time

import pytest
from tests.races.clients import Background, Browser
from tests.races.conftest import Shop
from tests.races.shop import ABSOLUTE, IDLE
from tests.waiting import until


def used(browser: Browser, seconds: float) -> None:
    """Use the session for some time, so that it is never left alone for long."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        assert browser.get().json["data"] == {"a": "1"}
        time.sleep(0.05)


def test_idle(shop: Shop) -> None:
    browser = shop.browser("/idle")
    browser.post("/set/a/1")
    selector = browser.get().json["selector"]
    used(browser, 1.5 * IDLE)
    left = time.monotonic()
    # Looking at it as an operator is no use.
    until(lambda: shop.state.sessions.show(selector) is None, "its end")
    assert time.monotonic() - left > IDLE / 2
    assert browser.data == {}


@pytest.mark.parametrize("who", ["a visitor", "somebody"])
def test_absolute(shop: Shop, who: str, name: str) -> None:
    browser = shop.browser("/absolute")
    began = time.monotonic()
    if who == "somebody":
        browser.post(f"/login/{name}")
    browser.post("/set/a/1")

    def ended() -> bool:
        return not browser.get().json["data"]

    until(ended, "its end, though it is used all the time")
    assert time.monotonic() - began >= ABSOLUTE
    assert shop.state.sessions.of(name) == []


def test_an_expired_session_of_a_visitor_lives_on_under_another_name(shop: Shop, name: str) -> None:
    """A request under way while it expires: nothing that was acknowledged to a visitor is lost."""
    browser = shop.browser("/idle")
    browser.post("/set/a/1")
    selector = browser.get().json["selector"]
    late = Background(browser.post, f"/add/book?gate={name}")
    shop.gates.wait_for(name)
    until(lambda: shop.state.sessions.show(selector) is None, "its end")
    shop.gates.open(name)
    answer = late.result()
    assert (answer.status, len(answer.cookies)) == (200, 1)
    assert browser.get().json["selector"] != selector
    assert browser.data == {"a": "1", "cart": ["book"]}


def test_an_expired_session_of_somebody_is_a_conflict(shop: Shop, name: str) -> None:
    browser = shop.browser("/idle")
    browser.post(f"/login/{name}")
    selector = browser.get().json["selector"]
    late = Background(browser.post, f"/add/book?gate={name}")
    shop.gates.wait_for(name)
    until(lambda: shop.state.sessions.show(selector) is None, "its end")
    shop.gates.open(name)
    answer = late.result()
    assert (answer.status, answer.cookies) == (409, [])
    assert b"Your session has ended" in answer.body
    assert browser.data == {}
