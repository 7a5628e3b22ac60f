"""Signing in and out while other requests are under way."""

from __future__ import annotations

from functools import partial

import pytest
from tests.races.clients import Background, at_once
from tests.races.conftest import Shop

from moored.kinds.sessions import EndedSession

# --- Signing out ---------------------------------------------------------------------------------


def test_a_late_save_does_not_bring_a_signed_out_session_back(shop: Shop, name: str) -> None:
    browser = shop.member(name)
    browser.post("/add/early")
    selector = browser.get().json["selector"]
    before, other = browser.twin(), browser.twin()
    late = Background(other.post, f"/add/late?gate={name}")
    shop.gates.wait_for(name)
    gone = browser.post("/logout")
    assert "Max-Age=0" in gone.cookies[0]
    shop.gates.open(name)
    answer = late.result()
    assert answer.status == 200  # its user sees no error
    assert answer.cookies == []
    ended = shop.state.sessions.show(selector)
    assert isinstance(ended, EndedSession)
    assert ended.reason == "signed out"
    assert shop.state.sessions.of(name) == []
    found = before.get().json
    assert (found["selector"], found["subject"], found["data"]) == (None, None, {})
    after = before.post("/set/more/data")
    assert after.cookies == []  # it was under way, for all that can be known
    assert before.data == {}


def test_many_late_saves_do_not_bring_it_back_either(shop: Shop, name: str) -> None:
    browser = shop.member(name)
    lates = [Background(browser.twin().post, f"/add/{n}?gate={name}{n}") for n in range(6)]
    for n in range(6):
        shop.gates.wait_for(f"{name}{n}")
    before = browser.twin()

    def leave() -> None:
        browser.post("/logout")

    def release() -> None:
        for n in range(6):
            shop.gates.open(f"{name}{n}")

    at_once([leave, release])
    for late in lates:
        answer = late.result()
        assert (answer.status, answer.cookies) == (200, [])
    assert before.data == {}
    assert shop.state.sessions.of(name) == []


def test_a_slow_sign_out_does_not_end_a_session_that_somebody_has_signed_in_to(shop: Shop, name: str) -> None:
    browser = shop.visitor()
    slow = Background(browser.twin().post, f"/login/{name}-other?gate={name}")
    shop.gates.wait_for(name)
    browser.post(f"/login/{name}")
    shop.gates.open(name)
    assert slow.result().status == 200
    assert browser.get().json["subject"] == name


# --- Signing in -------------------------------------------------------------------------------------


def test_fixation(shop: Shop, name: str) -> None:
    attacker = shop.visitor()
    attacker.post("/add/planted")
    victim = attacker.twin()
    victim.post(f"/login/{name}")
    victim.post("/add/private")
    assert victim.cookie != attacker.cookie
    assert attacker.data == {}
    answer = attacker.post("/add/more")
    assert (answer.status, answer.cookies) == (200, [])
    assert victim.data == {"visited": "yes", "cart": ["planted", "private"], "user_id": name}


def test_fixation_by_a_request_that_was_under_way(shop: Shop, name: str) -> None:
    """It may still add to the cart that both had, and learns nothing of the session that it became."""
    attacker = shop.visitor()
    victim = attacker.twin()
    late = Background(attacker.post, f"/add/late?gate={name}")
    shop.gates.wait_for(name)
    victim.post(f"/login/{name}")
    victim.post("/add/private")
    shop.gates.open(name)
    answer = late.result()
    assert answer.json == {"cart": ["late"]}
    assert answer.cookies == []
    assert attacker.data == {}
    assert sorted(victim.data["cart"]) == ["late", "private"]


def test_a_late_append_of_a_visitor_is_merged_after_the_sign_in(shop: Shop, name: str) -> None:
    browser = shop.visitor()
    browser.post("/add/before")
    lates = [Background(browser.twin().post, f"/add/late{n}?gate={name}{n}") for n in range(5)]
    for n in range(5):
        shop.gates.wait_for(f"{name}{n}")
    browser.post(f"/login/{name}")
    for n in range(5):
        shop.gates.open(f"{name}{n}")
    for late in lates:
        answer = late.result()
        assert (answer.status, answer.cookies) == (200, [])
    assert browser.get().json["subject"] == name
    assert sorted(browser.data["cart"]) == ["before", *(f"late{n}" for n in range(5))]


def test_late_changes_of_a_visitor_do_not_touch_what_came_with_the_sign_in_or_after(
    shop: Shop, name: str
) -> None:
    browser = shop.visitor()
    browser.post("/set/theme/none")
    sets = ["csrf_token/planted", "theme/late", "visited/late"]
    lates = [Background(browser.twin().post, f"/set/{to}?gate={name}{n}") for n, to in enumerate(sets)]
    for n in range(3):
        shop.gates.wait_for(f"{name}{n}")
    browser.post(f"/login/{name}")
    browser.post("/set/theme/mine")
    for n in range(3):
        shop.gates.open(f"{name}{n}")
    assert [(late.result().status, late.result().cookies) for late in lates] == [(200, [])] * 3
    assert browser.data == {"visited": "late", "theme": "mine", "user_id": name}


@pytest.mark.parametrize("change", ["/again", "/forget"])
def test_late_changes_of_a_member_are_dropped_when_the_password_was_given_again_or_they_left(
    shop: Shop, name: str, change: str
) -> None:
    browser = shop.member(name)
    browser.post("/add/early")
    tab = browser.twin()
    late = Background(tab.post, f"/add/late?gate={name}")
    shop.gates.wait_for(name)
    assert len(browser.post(change).cookies) == 1
    shop.gates.open(name)
    assert (late.result().status, late.result().cookies) == (200, [])
    assert browser.data["cart"] == ["early"]
    assert tab.data == {}


def test_a_request_that_arrives_with_the_old_cookie_gets_no_session(shop: Shop, name: str) -> None:
    browser = shop.visitor()
    tab = browser.twin()
    browser.post(f"/login/{name}")
    answers = at_once([partial(tab.twin().post, f"/add/{n}") for n in range(4)])
    assert [(answer.status, answer.cookies) for answer in answers] == [(200, [])] * 4
    assert browser.data == {"visited": "yes", "user_id": name}


def test_what_was_somebodys_is_not_merged_into_the_next_users_session(shop: Shop, name: str) -> None:
    browser = shop.member(f"{name}-ann")
    late = Background(browser.twin().post, f"/add/of-ann?gate={name}")
    shop.gates.wait_for(name)
    browser.post(f"/login/{name}-bob")
    shop.gates.open(name)
    assert late.result().cookies == []
    assert browser.get().json["subject"] == f"{name}-bob"
    assert browser.data == {"user_id": f"{name}-bob"}


def test_two_sign_ins_of_one_form_at_once_are_two_valid_sessions(shop: Shop, name: str) -> None:
    browser = shop.visitor()
    browser.post("/add/book")
    tabs = [browser.twin() for _ in range(4)]
    posts = [Background(tab.post, f"/login/{name}{n}?gate={name}{n}") for n, tab in enumerate(tabs)]
    for n in range(4):
        shop.gates.wait_for(f"{name}{n}")
    for n in range(4):
        shop.gates.open(f"{name}{n}")
    assert [post.result().status for post in posts] == [200] * 4
    found = [tab.get().json for tab in tabs]
    assert [one["subject"] for one in found] == [f"{name}{n}" for n in range(4)]
    assert [one["data"]["user_id"] for one in found] == [f"{name}{n}" for n in range(4)]
    assert [one["data"]["cart"] for one in found] == [["book"]] * 4
    assert len({one["selector"] for one in found}) == 4


# --- Everywhere -----------------------------------------------------------------------------------------


def test_everywhere_ends_all_sessions_of_several_clients(shop: Shop, name: str) -> None:
    clients = [shop.member(name) for _ in range(5)]
    other = shop.member(f"{name}-other")
    lates = [Background(client.twin().post, f"/add/late?gate={name}{n}") for n, client in enumerate(clients)]
    for n in range(len(clients)):
        shop.gates.wait_for(f"{name}{n}")
    assert clients[0].twin().post("/everywhere?keep=1").cookies == []
    assert [client.get().json["subject"] for client in clients] == [name, None, None, None, None]
    for n in range(len(clients)):
        shop.gates.open(f"{name}{n}")
    assert [late.result().cookies for late in lates] == [[]] * 5
    assert [client.data for client in clients] == [{"user_id": name, "cart": ["late"]}, {}, {}, {}, {}]
    assert "Max-Age=0" in clients[0].twin().post("/everywhere").cookies[0]
    assert clients[0].data == {}
    assert other.data == {"user_id": f"{name}-other"}
    assert shop.state.sessions.of(name) == []


def test_a_sign_in_that_began_before_everywhere_is_refused(shop: Shop, name: str) -> None:
    member, newcomer = shop.member(name), shop.visitor()
    slow = Background(newcomer.twin().post, f"/login/{name}?gate={name}")
    shop.gates.wait_for(name)
    assert member.post("/everywhere").status == 200
    shop.gates.open(name)
    answer = slow.result()
    assert (answer.status, answer.cookies) == (409, [])
    assert newcomer.data == {"visited": "yes"}
    assert shop.state.sessions.of(name) == []


def test_sign_ins_racing_with_everywhere_are_on_the_list_or_refused(shop: Shop, name: str) -> None:
    member = shop.member(name)
    for _ in range(3):
        clients = [shop.browser() for _ in range(6)]
        calls = [partial(client.post, f"/login/{name}") for client in clients]
        answers = at_once([partial(member.twin().post, "/everywhere?keep=1"), *calls])
        assert answers[0].status == 200
        assert {answer.status for answer in answers[1:]} <= {200, 409}
        alive = {found["selector"] for client in clients if (found := client.get().json)["subject"] == name}
        listed = {info.selector for info in shop.state.sessions.of(name)}
        assert listed == alive | {member.get().json["selector"]}
    clients = [shop.member(name) for _ in range(3)]
    assert member.post("/everywhere").status == 200
    assert [client.data for client in clients] == [{}] * 3
    assert shop.state.sessions.of(name) == []
