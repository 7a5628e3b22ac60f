"""The shelf, the cart, and what all pages share: over HTTP, from two workers, on SQLite and on Redis."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.demo.shop import Browser, Server

from moored.demo.goods import GOODS

PAGES = ("/", "/cart", "/sign-in", "/sign-up", "/account", "/break-it")


def test_shelf_shows_the_goods(shop: Server) -> None:
    browser = Browser(shop)
    page = browser.page()
    assert all(product.title in page for product in GOODS.values())
    assert re.findall(r'<symbol id="(\w+)"', page) == list(GOODS)
    assert browser.stock().keys() == GOODS.keys()


def test_a_visitor_who_does_nothing_gets_no_cookie(shop: Server) -> None:
    for path in PAGES:
        response, _ = Browser(shop).send(path)
        assert response.headers["Set-Cookie"] is None, path


@pytest.mark.parametrize("path", PAGES)
def test_page_is_its_own(on_sqlite: Server, path: str) -> None:
    """No script or style but from files of ours, and a policy that says so."""
    response, page = Browser(on_sqlite).send(path)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", page) == []
    sources = re.findall(r'(?:src|href|action)="([^"]+)"', page)
    assert [source for source in sources if not source.startswith(("/", "#"))] == []
    for source in {source for source in sources if source.startswith("/static/")}:
        assert Browser(on_sqlite).send(source)[0].status == 200


def test_visits_are_counted(shop: Server) -> None:
    def visits(page: str) -> int:
        return int(re.findall(r"<b>([\d,]+)</b> visit", page)[0].replace(",", ""))

    assert visits(Browser(shop).page()) < visits(Browser(shop).page())


def test_cart(shop: Server) -> None:
    browser = Browser(shop)
    response, _ = browser.submit("/cart", product="rope")
    assert (response.status, response.headers["Location"]) == (303, "/#card-rope")
    browser.add("rope", "bell")
    assert browser.cart() == {"rope": 2, "bell": 1}
    assert "€\u00a095.80" in browser.page("/cart")
    browser.post("/cart", product="bell", quantity="1", remove="all")
    response, _ = browser.submit("/cart", product="rope", quantity="7")
    assert (response.status, response.headers["Location"]) == (303, "/cart")
    assert browser.cart() == {"rope": 7}
    browser.post("/cart", product="rope", quantity="0")
    assert browser.cart() == {}


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"product": "mast"}, 404),
        ({}, 404),
        ({"product": "rope", "quantity": "-3"}, 400),
        ({"product": "rope", "quantity": "1000"}, 400),
        ({"product": "rope", "quantity": "many"}, 400),
    ],
)
def test_bad_cart_forms(on_sqlite: Server, form: dict[str, str], status: int) -> None:
    browser = Browser(on_sqlite)
    assert browser.post("/cart", **form) == status
    assert browser.cart() == {}


def test_a_quantity_that_is_set_twice_at_once_is_set_once(shop: Server) -> None:
    browser = Browser(shop)
    browser.add("mug")
    start = threading.Barrier(4)

    def set_it() -> int:
        tab = browser.tab()
        start.wait()
        return tab.post("/cart", product="mug", quantity="5")

    for _ in range(5):
        browser.post("/cart", product="mug", quantity="1")
        with ThreadPoolExecutor(4) as pool:
            assert [done.result() for done in [pool.submit(set_it) for _ in range(4)]] == [303] * 4
        assert browser.cart() == {"mug": 5}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_other_sites_can_change_nothing(on_sqlite: Server, headers: dict[str, str]) -> None:
    browser = Browser(on_sqlite)
    response, page = browser.send("/cart", {"product": "rope"}, **headers)
    assert (response.status, "another site" in page) == (403, True)
    assert browser.cart() == {}


def test_what_is_not_there_has_a_page_too(on_sqlite: Server) -> None:
    response, page = Browser(on_sqlite).send("/mast")
    assert response.status == 404
    assert "<h1>Not Found</h1>" in page
    assert response.headers["Set-Cookie"] is None


def test_each_state_has_its_place(on_sqlite: Server, on_redis: Server) -> None:
    assert any("/moored/demo/shop.db" in line for line in on_sqlite.said)
    assert any("State    redis://127.0.0.1:" in line for line in on_redis.said)
    assert any("sessions end with it" in line for line in on_redis.said)
    assert all(any("/moored/demo/books.db" in line for line in shop.said) for shop in (on_sqlite, on_redis))
    assert "shop.db" in Browser(on_sqlite).page()
