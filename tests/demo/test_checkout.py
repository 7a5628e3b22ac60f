"""Orders: no more than there is, once, all or nothing; whoever else orders at the same moment."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import TypeVar

from tests.demo.shop import Browser, Server, serving

from moored.demo.books import Books, Order
from moored.demo.goods import GOODS

Result = TypeVar("Result")


def at_once(acts: list[Callable[[], Result]]) -> list[Result]:
    """Do all of these at the same moment."""
    start = threading.Barrier(len(acts))

    def after_start(act: Callable[[], Result]) -> Result:
        start.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [done.result() for done in [pool.submit(after_start, act) for act in acts]]


def books_of(server: Server) -> Books:
    return Books(server.folder / "moored" / "demo" / "books.db")


def test_an_order(shop: Server) -> None:
    browser = Browser(shop)
    browser.post("/restock")
    place = browser.order("bell", "rope", "rope")
    page = browser.page(place)
    assert "Fair winds, Marlin" in page
    assert "€\u00a095.80" in page
    assert browser.cart() == {}
    left = browser.stock()
    assert (left["bell"], left["rope"]) == (GOODS["bell"].stock - 1, GOODS["rope"].stock - 2)
    assert Browser(shop).send(place)[0].status == 404
    assert browser.send("/checkout")[0].status == 303


def test_nothing_is_oversold(busy_shop: Server) -> None:
    """32 carts of two products against 9 bells and 8 spyglasses, and none that was given back is missing."""
    wanted = [("bell", "spyglass"), ("bell", "spyglass", "spyglass"), ("bell",), ("spyglass", "spyglass")] * 8
    shoppers = [Browser(busy_shop) for _ in wanted]
    forms = []
    for shopper, names in zip(shoppers, wanted, strict=True):
        shopper.add(*names)
        forms.append(shopper.checkout())

    def order(shopper: Browser, form: dict[str, str]) -> int:
        return shopper.post("/checkout", **form)

    statuses = at_once([lambda s=s, f=f: order(s, f) for s, f in zip(shoppers, forms, strict=True)])  # type: ignore[misc]
    assert set(statuses) <= {303, 409}
    sold = [name for names, status in zip(wanted, statuses, strict=True) if status == 303 for name in names]
    left = Browser(busy_shop).stock()
    for name in ("bell", "spyglass"):
        assert sold.count(name) + left[name] == GOODS[name].stock, (statuses, left)
    assert left["bell"] == 0 or left["spyglass"] < 2, (statuses, left)  # what is left was no shopper's cart


def test_an_order_sent_several_times_at_once_is_placed_once(busy_shop: Server) -> None:
    """Of all that there is: nor is one of them told that it is sold out."""
    browser = Browser(busy_shop)
    browser.sign_up("Grace")
    browser.add(*["sextant"] * 5)
    form = browser.checkout()
    tabs = [browser.tab() for _ in range(6)]
    answers = at_once([lambda tab=tab: tab.submit("/checkout", **form)[0] for tab in tabs])  # type: ignore[misc]
    places = {(answer.status, answer.headers["Location"]) for answer in answers}
    assert places == {(303, f"/orders/{form['number']}")}
    assert browser.submit("/checkout", **form)[0].headers["Location"] == f"/orders/{form['number']}"
    assert re.findall(r'"/orders/(\w+)"', browser.page("/account")) == [form["number"]]
    assert browser.stock()["sextant"] == 0


def test_all_or_nothing(shop: Server) -> None:
    browser = Browser(shop)
    browser.post("/restock")
    browser.add("bell", "boots", *["sextant"] * 6)
    before = browser.stock()
    response, page = browser.submit("/checkout", **browser.checkout())
    assert response.status == 409
    assert "Old sextant: only 5 left. Nothing was ordered" in page
    assert "only 5 left</strong>" in page
    assert browser.stock() == before
    assert browser.cart() == {"bell": 1, "boots": 1, "sextant": 6}
    browser.post("/cart", product="sextant", quantity="5")
    assert browser.post("/checkout", **browser.checkout()) == 303
    assert browser.stock()["sextant"] == 0
    assert "Sold out" in browser.page()
    assert "Sold out: Old sextant" in browser.page("/break-it")
    browser.post("/restock")
    assert browser.stock()["sextant"] == 5


def test_only_what_was_seen_is_ordered(shop: Server) -> None:
    browser = Browser(shop)
    browser.add("mug")
    form = browser.checkout()
    browser.tab().add("mug")
    before = browser.stock()
    response, page = browser.submit("/checkout", **form)
    assert (response.status, "has changed" in page) == (409, True)
    assert browser.cart() == {"mug": 2}
    assert browser.stock() == before


def test_orders_need_a_form_of_this_session(shop: Server) -> None:
    browser, other = Browser(shop), Browser(shop)
    theirs = other.order("mug").removeprefix("/orders/")
    assert browser.post("/checkout", number=theirs, lines="mug:1") == 409  # no session yet
    browser.add("mug")
    form = browser.checkout()
    assert browser.post("/checkout", **{**form, "number": "AAAAAAAA"}) == 409
    assert browser.submit("/checkout", **{**form, "number": theirs})[0].status == 303
    assert browser.send(f"/orders/{theirs}")[0].status == 404
    assert browser.cart() == {"mug": 1}


def test_an_order_whose_session_could_not_be_saved_is_not_placed_again(shop: Server) -> None:
    """As after a crash between the books and the session: the cart is still there, and so is the order."""
    for retry in (True, False):
        browser = Browser(shop)
        browser.add("boots")
        form = browser.checkout()
        before = browser.stock()
        order = Order(form["number"], None, "Marlin", {"boots": 1}, GOODS["boots"].price, time.time())
        assert books_of(shop).place(order)
        if retry:
            response, _ = browser.submit("/checkout", **form)
        else:
            response, _ = browser.send("/checkout")
        assert response.headers["Location"] == f"/orders/{form['number']}"
        assert "Marlin" in browser.page(f"/orders/{form['number']}")
        assert browser.cart() == {}
        assert browser.stock() == before


def test_numbers_are_in_the_books_once(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.db")
    orders = [Order("ABC", None, str(boat), {"mug": 1}, 950, 0.0) for boat in range(8)]
    placed = at_once([lambda order=order: books.place(order) for order in orders])  # type: ignore[misc]
    assert sorted(placed) == [False] * 7 + [True]
    assert books.order("ABC") == orders[placed.index(True)]


def test_what_could_not_be_entered_is_given_back(tmp_path: Path) -> None:
    """The books are locked by another writer for longer than the shop waits."""
    with serving(tmp_path) as shop:
        browser = Browser(shop)
        browser.add("bell", "rope")
        form, before = browser.checkout(), browser.stock()
        writer = sqlite3.connect(books_of(shop).file, isolation_level=None)
        with closing(writer):
            writer.execute("BEGIN IMMEDIATE")
            response, page = browser.submit("/checkout", **form)
            writer.execute("ROLLBACK")
        assert response.status == 503
        assert "The shop's books cannot be used right now: database is locked" in unescape(page)
        assert browser.stock() == before
        assert browser.cart() == {"bell": 1, "rope": 1}
        assert browser.post("/checkout", **form) == 303


def test_books_that_are_gone_are_not_begun_anew(tmp_path: Path) -> None:
    """A file made in passing would have no tables, and could be read by others."""
    with serving(tmp_path) as shop:
        browser = Browser(shop)
        browser.add("mug")
        form, before, file = browser.checkout(), browser.stock(), books_of(shop).file
        file.unlink()
        assert browser.post("/checkout", **form) == 503
        assert browser.post("/sign-in", name="Grace", password="three calm words") == 503
        assert not file.exists()
        assert browser.stock() == before
