"""“Break it”: what its buttons send, and what its scenes come to."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.demo.shop import Browser, Server
from tests.demo.test_checkout import books_of

from moored.demo import rush
from moored.demo.break_it import SCENES


def played(shop: Server, path: str) -> tuple[list[Any], Any]:
    """The steps of a scene, and the verdict."""
    response, body = Browser(shop).send(path, {})
    assert response.headers["Set-Cookie"] is None
    *steps, verdict = [json.loads(line) for line in body.splitlines()]
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    return steps, verdict


def test_every_scene_shows_its_code(on_sqlite: Server) -> None:
    page = Browser(on_sqlite).page("/break-it")
    for scene in SCENES:
        assert f'data-scene="{scene.name}"' in page
        assert scene.source in page


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
            tab = browser.tab()
            start.wait()
            return [tab.ask("/lab/cork")["worker"] for _ in range(5)]

        with ThreadPoolExecutor(8) as pool:
            acknowledged = [pid for some in [pool.submit(adds) for _ in range(8)] for pid in some.result()]
        workers = set(acknowledged)
        expected += len(acknowledged)
        assert browser.cart() == {"cork": expected}


def test_two_tabs_write_into_one_value(shop: Server) -> None:
    browser = Browser(shop)
    browser.ask("/lab/begin")

    def write(name: str) -> None:
        tab = browser.tab()
        for number in range(8):
            tab.ask("/lab/note", tab=name, number=str(number))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, name) for name in ("left", "right")]:
            done.result()
    assert json.loads(browser.send("/lab/look")[1])["notes"] == 16


def test_changes_deep_inside_are_kept(shop: Server) -> None:
    browser = Browser(shop)
    browser.ask("/lab/boat")
    for number in range(5):
        browser.ask("/lab/deep", number=str(number))
        assert json.loads(browser.send("/lab/look")[1])["notes"] == number + 1


def test_a_slow_request_does_not_undo_a_sign_out(shop: Server) -> None:
    steps, verdict = played(shop, "/lab/race")
    assert [(step["request"], step["status"], step["cookie"]) for step in steps] == [
        ("POST /sign-in", 303, "new"),
        ("POST /sign-out", 303, "deleted"),
        ("POST /lab/slow", 200, "none"),
        ("GET /lab/look", 200, "none"),
    ]
    assert verdict["held"], verdict
    assert verdict["numbers"] == {"ways back": 3, "shut": 3, "lost": 0}
    assert "over: signed out" in verdict["text"]


def test_a_planted_cookie_is_worthless_after_the_sign_in(shop: Server) -> None:
    steps, verdict = played(shop, "/lab/planted")
    assert verdict["held"], (steps, verdict)
    assert verdict["numbers"] == {"ways in": 2, "shut": 2, "lost": 0}
    assert [step["status"] for step in steps] == [303, 200, 303, 200, 409, 200, 303]


def test_thirty_shoppers_get_five_pieces(shop: Server) -> None:
    steps, verdict = played(shop, "/lab/rush")
    assert verdict["held"], verdict
    assert verdict["numbers"] == {"shoppers": 30, "on the shelf": 5, "sold": 5, "oversold": 0}
    assert sorted(step["number"] for step in steps) == list(range(30))
    assert [step["fate"] for step in steps].count("bought") == 5
    assert Browser(shop).stock()["sextant"] == 0


def test_only_one_counts_at_a_time(on_sqlite: Server) -> None:
    """Also against the button that restocks, which leaves out what is being counted."""
    browser = Browser(on_sqlite)
    browser.post("/restock")
    browser.order("sextant", "bell")
    with rush.alone(books_of(on_sqlite).file) as free:
        assert free
        steps, verdict = played(on_sqlite, "/lab/rush")
        assert (steps, verdict["held"]) == ([], False)
        assert "Somebody else" in verdict["text"]
        assert browser.post("/restock") == 303
        assert (browser.stock()["sextant"], browser.stock()["bell"]) == (4, 9)
    browser.post("/restock")
    assert browser.stock()["sextant"] == 5


@pytest.mark.parametrize("path", ["/lab/race", "/lab/rush", "/lab/planted"])
def test_scenes_are_no_business_of_other_sites(on_sqlite: Server, path: str) -> None:
    assert Browser(on_sqlite).send(path, {}, Origin="https://elsewhere.example")[0].status == 403
