"""Signing up, in and out, devices, and what is told of a session that ended."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.demo.shop import PASSWORD, Browser, Server
from tests.demo.test_checkout import at_once, books_of

from moored.demo.books import Books


def test_signing_in_keeps_the_cart_and_changes_the_cookie(shop: Server) -> None:
    browser = Browser(shop)
    browser.add("mug")
    before = browser.tab()
    browser.sign_up("Ada")
    assert browser.subject() == "ada"
    assert browser.cart() == {"mug": 1}
    assert browser.cookie != before.cookie
    assert before.subject() is None

    signed_in = browser.tab()
    assert browser.post("/sign-out") == 303
    assert browser.cookie == ""
    assert signed_in.subject() is None
    assert signed_in.cart() == {}
    browser.sign_in(" ADA ")
    assert browser.subject() == "ada"


def test_of_several_who_want_a_name_one_gets_it(shop: Server) -> None:
    """However they spell it; and only the winner's password is worth something."""
    spellings = ["Linus", "linus", "LINUS", " Linus", "ｌｉｎｕｓ", "Linus ", "lINUS", "LiNuS"]
    browsers = [Browser(shop) for _ in spellings]
    passwords = [f"calm words {number}" for number in range(8)]
    statuses = at_once(
        [
            lambda b=b, n=n, p=p: b.post("/sign-up", name=n, password=p)  # type: ignore[misc]
            for b, n, p in zip(browsers, spellings, passwords, strict=True)
        ]
    )
    assert sorted(statuses) == [303] + [409] * 7
    winner = statuses.index(303)
    assert [browser.subject() is not None for browser in browsers] == [n == winner for n in range(8)]
    for number, password in enumerate(passwords):
        signed_in = Browser(shop).post("/sign-in", name="linus", password=password)
        assert signed_in == (303 if number == winner else 403)


def test_a_form_sent_twice_signs_up_once_and_is_welcome_both_times(shop: Server) -> None:
    browser = Browser(shop)
    statuses = at_once(
        [lambda: browser.tab().post("/sign-up", name="Dennis", password=PASSWORD) for _ in range(4)]
    )
    assert statuses == [303] * 4
    browser.sign_in("Dennis")
    assert browser.post("/sign-up", name="Dennis", password="another one") == 409


@pytest.mark.parametrize(
    ("name", "password", "says"),
    [
        ("", PASSWORD, "Tell us a name"),
        ("x" * 41, PASSWORD, "40 letters at most"),
        ("Barbara", "seven77", "at least 8"),
        ("Barbara", "x" * 129, "128 letters at most"),
        ("Barbara", "Password1", "first passwords"),
        ("Barbara Liskov", "barbara liskov", "first passwords"),
        ("Barbara", "zzzzzzzzzz", "first passwords"),
    ],
)
def test_what_is_no_account(on_sqlite: Server, name: str, password: str, says: str) -> None:
    browser = Browser(on_sqlite)
    response, page = browser.submit("/sign-up", name=name, password=password)
    assert response.status == 400
    assert says in page
    assert password not in page or password == ""
    assert browser.subject() is None


@pytest.mark.parametrize("password", ["eight it", "ñandú vuela", "🐙🦀🐚🐟🐬🐳🦞🦑", "x" * 63 + "y"])
def test_long_passwords_of_any_letters_are_welcome(on_sqlite: Server, password: str) -> None:
    browser, name = Browser(on_sqlite), f"keys {len(password)} {password[0]}"
    browser.sign_up(name, password)
    Browser(on_sqlite).sign_in(name, password)
    assert Browser(on_sqlite).post("/sign-in", name=name, password=password + " ") == 403
    kept = (on_sqlite.folder / "moored" / "demo" / "books.db").read_bytes()
    assert (password.encode() in kept, b"$argon2id$" in kept) == (False, True)


def test_passwords_are_the_same_from_every_keyboard(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.db")
    assert books.open_account("Bjarne", "caf\u00e9 au lait")
    assert books.proves("bjarne", "cafe\u0301 au lait")


def test_nobody_learns_whether_a_name_has_an_account(shop: Server) -> None:
    """Same status, same page, and as much work: a hash is computed either way."""
    Browser(shop).sign_up("Margaret")

    def refused(name: str) -> tuple[int, str]:
        browser = Browser(shop)
        response, page = browser.submit("/sign-in", name=name, password="not this one")
        assert response.headers["Set-Cookie"] is None
        return response.status, re.sub(r"Worker \d+", "", page.replace(name, ""))

    answers, work = set(), {"margaret": 0.0, "nobodies": 0.0}
    for _ in range(10):
        for name in work:  # in turns, so that whatever else the machine does is shared
            before = shop.work()
            answers.add(refused(name))
            work[name] += shop.work() - before
    assert len(answers) == 1
    assert 0.6 < work["nobodies"] / work["margaret"] < 1.7


def test_a_wrong_name_costs_a_hash_too(tmp_path: Path) -> None:
    """At the place where it is checked, without the server's noise."""
    books = Books(tmp_path / "books.db")
    books.open_account("Ada", PASSWORD)

    def fastest(name: str) -> float:
        times = []
        for _ in range(7):
            began = time.process_time()
            assert not books.proves(name, "not this one")
            times.append(time.process_time() - began)
        return min(times)

    assert 0.7 < fastest("nobody") / fastest("ada") < 1.4


def test_a_name_is_shown_as_text(on_sqlite: Server) -> None:
    browser = Browser(on_sqlite)
    browser.sign_up('<b>"Bobby"</b>')
    for path in ("/", "/account"):
        _, page = browser.send(path)
        assert "<b>&#34;Bobby" not in page
        assert "&lt;b&gt;&#34;Bobby&#34;&lt;/b&gt;" in page


def test_a_device_is_signed_out_from_another(shop: Server) -> None:
    laptop, phone = Browser(shop), Browser(shop, "Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1")
    stranger = Browser(shop)
    laptop.sign_up("Radia")
    phone.sign_in("Radia")
    stranger.sign_up("Mallory")
    page, listed = laptop.page("/account"), laptop.devices()
    assert "Firefox on Linux" in page
    assert "Safari on iPhone" in page
    assert sorted(listed.values()) == [False, True]
    other = next(selector for selector, this in listed.items() if not this)
    assert phone.devices() == {selector: not this for selector, this in listed.items()}

    stranger.post("/account/end", selector=other)
    assert phone.subject() == "radia"
    laptop.post("/account/end", selector=other)
    assert phone.subject() is None
    assert "from another device" in phone.told("/account")
    assert "from another device" in phone.told("/")
    assert laptop.devices() == {selector: True for selector in listed if selector != other}
    laptop.post("/account/end", selector=next(iter(laptop.devices())))
    assert laptop.cookie == ""
    assert "You signed out here" in laptop.told()
    assert laptop.told("/") == ""  # no news to who did it
    response, page = phone.submit("/cart", product="mug")
    assert (response.status, "Your session has ended" in page) == (409, True)  # not dropped in silence
    phone.jar.pop(phone.name)
    phone.add("mug")  # a new session does not hide how the last one ended
    assert "from another device" in phone.told()
    phone.sign_in("Radia")
    assert phone.told("/account") == ""


@pytest.mark.parametrize("keep", [True, False])
def test_signing_out_everywhere(shop: Server, keep: bool) -> None:
    browsers = [Browser(shop) for _ in range(3)]
    name = f"joan {keep}".lower()
    browsers[0].sign_up(name)
    for browser in browsers[1:]:
        browser.sign_in(name)
    for browser in browsers:
        assert browser.subject() == name
    browsers[0].post("/account/end-all", **({"keep": "this"} if keep else {}))
    assert [browser.subject() for browser in browsers] == [name if keep else None, None, None]
    assert all("signed out everywhere" in browser.told() for browser in browsers[keep:])


def test_orders_are_listed_wherever_their_owner_signs_in(shop: Server) -> None:
    browser = Browser(shop)
    browser.sign_up("Frances")
    place = browser.order("mug")
    browser.post("/sign-out")
    assert browser.send(place)[0].status == 404
    phone = Browser(shop)
    phone.sign_in("frances")
    assert place in phone.page("/account")
    assert "Marlin" in phone.page(place)


def test_signed_out_visitors_have_no_devices_to_sign_out(on_sqlite: Server) -> None:
    browser = Browser(on_sqlite)
    assert browser.post("/account/end-all") == 303
    assert browser.post("/account/end", selector="x") == 303
    assert browser.devices() == {}


def test_a_made_up_last_session_is_nothing(on_sqlite: Server) -> None:
    browser = Browser(on_sqlite)
    for selector in ("x", "../../etc", "a" * 500, "%00"):
        browser.jar[f"{browser.name}_last"] = selector
        assert browser.told() == ""


def test_the_scenes_leave_no_accounts(on_sqlite: Server) -> None:
    Browser(on_sqlite).send("/lab/planted", {})
    with books_of(on_sqlite)._open() as connection:
        robots = connection.execute("SELECT count(*) FROM accounts WHERE id LIKE 'robot %'").fetchone()
    assert robots == (0,)
