"""The demo's shop, over HTTP, from a server with two workers, on SQLite and on Redis."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.demo.shop import Browser, Server, serving

from moored.demo.goods import GOODS
from moored.testing.servers import RedisServer


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("shop")) as server:
        yield server


@pytest.fixture(scope="module")
def on_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with RedisServer() as redis, serving(tmp_path_factory.mktemp("shop"), redis.url) as server:
        yield server


@pytest.fixture(params=["on_sqlite", "on_redis"])
def shop(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


def test_page_shows_the_goods(shop: Server) -> None:
    page = Browser(shop).page()
    assert all(product.title in page for product in GOODS.values())
    assert len(re.findall(r'<symbol id="(\w+)"', page)) == len(GOODS)


def test_a_visitor_who_does_nothing_gets_no_cookie(shop: Server) -> None:
    response, _ = Browser(shop).send("/")
    assert response.headers["Set-Cookie"] is None


def test_page_is_its_own(shop: Server) -> None:
    """No script or style but from files of ours, and a policy that says so."""
    response, page = Browser(shop).send("/")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", page) == []
    sources = re.findall(r'(?:src|href|action)="([^"]+)"', page)
    assert [source for source in sources if not source.startswith(("/", "#"))] == []
    for path in (source for source in sources if source.startswith("/static/")):
        assert Browser(shop).send(path)[0].status == 200


def test_visits_are_counted(shop: Server) -> None:
    def visits(page: str) -> int:
        return int(re.findall(r"<b>([\d,]+)</b> visit", page)[0].replace(",", ""))

    assert visits(Browser(shop).page()) < visits(Browser(shop).page())


def test_cart(shop: Server) -> None:
    browser = Browser(shop)
    assert browser.post("/cart", product="rope") == 303
    browser.post("/cart", product="rope")
    browser.post("/cart", product="bell")
    assert browser.cart() == {"rope": 2, "bell": 1}
    assert "€\u00a095.80" in browser.page()
    browser.post("/cart", product="bell", quantity="1", remove="all")
    browser.post("/cart", product="rope", quantity="7")
    assert browser.cart() == {"rope": 7}
    browser.post("/cart", product="rope", quantity="0")
    assert browser.cart() == {}


@pytest.mark.parametrize(
    ("form", "status", "cart"),
    [
        ({"product": "mast"}, 404, {}),
        ({}, 404, {}),
        ({"product": "rope", "quantity": "-3"}, 400, {}),
        ({"product": "rope", "quantity": "1000"}, 400, {}),
        ({"product": "rope", "quantity": "many"}, 400, {}),
    ],
)
def test_bad_cart_forms(on_sqlite: Server, form: dict[str, str], status: int, cart: dict[str, int]) -> None:
    browser = Browser(on_sqlite)
    assert browser.post("/cart", **form) == status
    assert browser.cart() == cart


def test_concurrent_adds_to_all_workers_are_kept(shop: Server) -> None:
    """8 threads × 5 with one cookie; again until one burst met both workers."""
    browser = Browser(shop)
    expected = browser.ask("/lab/begin")["corks"]
    deadline = time.monotonic() + 30
    workers: set[int] = set()
    while len(workers) < 2:
        assert time.monotonic() < deadline, "only one worker ever answered"
        start = threading.Barrier(8)

        def adds(start: threading.Barrier = start) -> list[int]:
            mine = Browser(shop)
            mine.cookie = browser.cookie
            start.wait()
            return [mine.ask("/lab/cork")["worker"] for _ in range(5)]

        with ThreadPoolExecutor(8) as pool:
            acknowledged = [pid for some in [pool.submit(adds) for _ in range(8)] for pid in some.result()]
        workers = set(acknowledged)
        expected += len(acknowledged)
        assert browser.cart() == {"cork": expected}


def test_a_quantity_that_is_set_twice_at_once_is_set_once(shop: Server) -> None:
    browser = Browser(shop)
    browser.post("/cart", product="mug")
    start = threading.Barrier(4)

    def set_it() -> int:
        mine = Browser(shop)
        mine.cookie = browser.cookie
        start.wait()
        return mine.post("/cart", product="mug", quantity="5")

    for _ in range(5):
        browser.post("/cart", product="mug", quantity="1")
        with ThreadPoolExecutor(4) as pool:
            assert [done.result() for done in [pool.submit(set_it) for _ in range(4)]] == [303] * 4
        assert browser.cart() == {"mug": 5}


def test_two_tabs_write_into_one_value(shop: Server) -> None:
    browser = Browser(shop)
    browser.ask("/lab/begin")

    def tab(name: str) -> None:
        mine = Browser(shop)
        mine.cookie = browser.cookie
        for number in range(8):
            mine.ask("/lab/note", tab=name, number=str(number))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(tab, name) for name in ("left", "right")]:
            done.result()
    assert json.loads(browser.send("/lab/look")[1])["notes"] == 16


def test_signing_in_keeps_the_cart_and_changes_the_cookie(shop: Server) -> None:
    browser = Browser(shop)
    browser.post("/cart", product="mug")
    before = browser.cookie
    assert browser.post("/sign-in", name="Ada", password="Moored") == 403
    assert browser.post("/sign-in", name="  ", password="moored") == 400
    assert browser.subject() is None
    browser.sign_in("Ada")
    assert browser.subject() == "Ada"
    assert browser.cart() == {"mug": 1}
    assert browser.cookie != before

    signed_in, browser.cookie = browser.cookie, before
    assert browser.subject() is None
    browser.cookie = signed_in
    assert browser.post("/sign-out") == 303
    assert browser.cookie == ""
    browser.cookie = signed_in
    assert browser.subject() is None
    assert browser.cart() == {}


def test_a_name_is_shown_as_text(on_sqlite: Server) -> None:
    browser = Browser(on_sqlite)
    browser.sign_in('<b>"Bobby"</b>')
    assert "<b>&#34;Bobby" not in browser.send("/")[1]
    assert "&lt;b&gt;&#34;Bobby&#34;&lt;/b&gt;" in browser.send("/")[1]


def test_a_device_is_signed_out_from_another(shop: Server) -> None:
    laptop, phone = Browser(shop), Browser(shop, "Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1")
    stranger = Browser(shop)
    for browser in (laptop, phone):
        browser.sign_in("Grace")
    stranger.sign_in("Mallory")
    page, listed = laptop.page(), laptop.devices()
    assert "Firefox on Linux" in page
    assert "Safari on iPhone" in page
    assert sorted(listed.values()) == [False, True]
    other = next(selector for selector, this in listed.items() if not this)

    stranger.post("/devices/sign-out", selector=other)
    assert phone.subject() == "Grace"
    laptop.post("/devices/sign-out", selector=other)
    assert phone.subject() is None
    assert laptop.devices() == {selector: True for selector in listed if selector != other}
    laptop.post("/devices/sign-out", selector=next(iter(laptop.devices())))
    assert laptop.cookie == ""


@pytest.mark.parametrize("keep", [True, False])
def test_signing_out_everywhere(shop: Server, keep: bool) -> None:
    browsers = [Browser(shop) for _ in range(3)]
    name = f"Joan {keep}"
    for browser in browsers:
        browser.sign_in(name)
    browsers[0].post("/devices/sign-out-everywhere", **({"keep": "this"} if keep else {}))
    assert [browser.subject() for browser in browsers] == [name if keep else None, None, None]


def test_signed_out_visitors_have_no_devices_to_sign_out(on_sqlite: Server) -> None:
    browser = Browser(on_sqlite)
    assert browser.post("/devices/sign-out-everywhere") == 303
    assert browser.post("/devices/sign-out", selector="x") == 303


def test_a_slow_request_does_not_undo_a_sign_out(shop: Server) -> None:
    response, body = Browser(shop).send("/lab/race", {})
    *exchanges, verdict = [json.loads(line) for line in body.splitlines()]
    assert [(step["request"], step["status"], step["cookie"]) for step in exchanges] == [
        ("POST /sign-in", 303, "new"),
        ("POST /sign-out", 303, "deleted"),
        ("POST /lab/slow", 200, "none"),
        ("GET /lab/look", 200, "none"),
    ]
    assert [step["at"] for step in exchanges] == sorted(step["at"] for step in exchanges)
    assert verdict["held"], verdict
    assert "signed out" in verdict["text"]
    assert response.headers["Set-Cookie"] is None


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
    assert browser.send("/cart", {"product": "rope"}, **headers)[0].status == 403
    assert browser.cart() == {}


def test_each_state_has_its_place(on_sqlite: Server, on_redis: Server) -> None:
    assert any("/moored/demo/shop.db" in line for line in on_sqlite.said)
    assert any("State    redis://127.0.0.1:" in line for line in on_redis.said)
    assert any("sessions end with it" in line for line in on_redis.said)
    assert "shop.db" in Browser(on_sqlite).page()
