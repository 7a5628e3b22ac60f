"""Requests at once that change the same session: every change that was acknowledged is there."""

from __future__ import annotations

from functools import partial

from tests.races.clients import Background, at_once
from tests.races.conftest import Shop


def added(shop: Shop, clients: int, each: int) -> None:
    """So many clients of one session add so many items each; all are there, in each client's order."""
    browser = shop.visitor()

    def add(client: int) -> None:
        mine = browser.twin()
        for n in range(each):
            answer = mine.post(f"/add/{client}.{n}")
            assert answer.json["cart"][-1] == f"{client}.{n}"
            assert answer.cookies == []

    at_once([partial(add, client) for client in range(clients)])
    cart = browser.data["cart"]
    assert sorted(cart) == sorted(f"{client}.{n}" for client in range(clients) for n in range(each))
    for client in range(clients):
        mine = [item for item in cart if item.startswith(f"{client}.")]
        assert mine == [f"{client}.{n}" for n in range(each)]


def test_four_clients_add_25_items_each_to_one_cart(shop: Shop) -> None:
    added(shop, 4, 25)


def test_32_clients_add_to_one_cart(shop: Shop) -> None:
    added(shop, 32, 5)


def test_different_keys_are_all_kept(shop: Shop) -> None:
    browser = shop.visitor()
    names = [f"key{n}" for n in range(24)]
    answers = at_once([partial(browser.twin().post, f"/set/{name}/{name}") for name in names])
    assert {answer.status for answer in answers} == {200}
    assert browser.data == {"visited": "yes", **{name: name for name in names}}


def test_nested_changes_are_all_kept(shop: Shop) -> None:
    browser = shop.visitor()
    sent: set[tuple[str, str]] = set()
    pids: set[int] = set()
    while len(pids) < 2:  # nearly always at once; a single worker process may have taken all of a round
        paths = [(f"b{n % 4}", f"l{len(sent) + n}") for n in range(24)]
        answers = at_once([partial(browser.twin().post, f"/nested/{b}/{leaf}") for b, leaf in paths])
        assert {answer.status for answer in answers} == {200}
        sent.update(paths)
        tree = browser.data["tree"]
        assert {(branch, leaf) for branch in tree for leaf in tree[branch]} == sent
        pids.update(pid for leaves in tree.values() for pid in leaves.values())


def test_a_slow_request_loses_nothing_that_others_did_meanwhile(shop: Shop, name: str) -> None:
    browser = shop.visitor()
    browser.post("/add/first")
    slow = Background(browser.twin().post, f"/add/slow?gate={name}")
    shop.gates.wait_for(name)
    browser.post("/add/fast")
    browser.post("/set/theme/dark")
    shop.gates.open(name)
    assert slow.result().json == {"cart": ["first", "slow"]}  # what this request did, to what it saw
    assert browser.data == {"visited": "yes", "theme": "dark", "cart": ["first", "fast", "slow"]}


def test_untouched_requests_get_no_headers_for_sessions(shop: Shop) -> None:
    browser = shop.visitor()
    answers = at_once([partial(browser.twin().get, "/untouched") for _ in range(16)])
    for answer in answers:
        assert answer.status == 200
        assert answer.cookies == []
        assert answer.headers["Vary"] is None
    assert browser.get().headers["Vary"] == "Cookie"
