"""A shop changes its import: nobody is signed out, nothing is lost, and nobody comes back."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Flask
from tests.adopt.databases import on_all_databases
from tests.adopt.shops import Browser, Pair, after, store

from moored import ConfigurationError
from moored.flask.extension import mooring
from moored.kinds.sessions.record import COOKIE_LENGTH

HOUR = 3600


def close(app: Flask) -> None:
    """Let the window close."""
    window = store(app).window
    later = window._clock() + HOUR + 1
    window._clock = lambda: later


def is_ours(browser: Browser) -> bool:
    return len(browser.cookie) == COOKIE_LENGTH


# --- Carried over at once -----------------------------------------------------------------------


def test_a_session_is_carried_over_when_it_is_touched(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    browser = Browser()
    browser.get(old, "/in/7")
    browser.get(old, "/add/anchor")
    assert browser.get(new, "/look") == {"cart": ["anchor"], "user": 7}
    assert is_ours(browser)
    assert browser.get(new, "/add/bell") == ["anchor", "bell"]
    (listed,) = mooring(new).state.sessions.of(7)
    assert mooring(new).state.sessions.revoke(listed.selector, subject=7)
    assert browser.user(new) is None


@on_all_databases
def test_the_old_cookie_leads_to_the_same_session_until_somebody_signs_in(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    browser = Browser()
    browser.get(old, "/add/anchor")
    copy = browser.cookie
    browser.get(new, "/add/bell")
    ours = browser.cookie
    browser.cookie = copy  # another request, sent before the answer to the first one had come
    assert browser.cart(new) == ["anchor", "bell"]
    assert browser.cookie == ours
    browser.get(new, "/in/7")
    browser.cookie = copy
    assert browser.get(new, "/look") == {"cart": [], "user": None}


def test_a_sign_out_is_not_undone_by_the_old_cookie(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    browser = Browser()
    browser.get(old, "/in/7")
    copy = browser.cookie
    browser.get(new, "/look")
    browser.get(new, "/out")
    assert browser.cookie == ""
    browser.cookie = copy
    assert browser.user(new) is None
    forget_tombstones(new)
    browser.cookie = copy
    assert browser.user(new) is None


def forget_tombstones(app: Flask) -> None:
    """As if ten minutes had passed."""
    import redis

    options = mooring(app).state.url
    prefix = options.options["prefix"]
    client: redis.Redis = redis.Redis.from_url(str(options).partition("?")[0])
    found = [key for key in client.keys(f"{prefix}session:*") if len(key) == len(prefix) + 24]
    assert found
    client.delete(*found)
    client.close()


def test_signing_out_everywhere_reaches_sessions_that_were_not_carried_over_yet(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    here, there = Browser(), Browser()
    for name, browser in {"here": here, "there": there}.items():
        browser.get(old, f"/add/{name}")  # or Flask's cookies were the same, and so one session
        browser.get(old, "/in/7")
    assert here.user(new) == 7
    here.get(new, "/everywhere?keep=1")
    assert here.user(new) == 7
    assert there.user(new) is None


def test_an_operator_ends_sessions_that_were_not_carried_over_yet(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    browser = Browser()
    browser.get(old, "/in/7")
    mooring(new).state.sessions.revoke_subject(7)
    assert browser.user(new) is None


def test_what_is_no_cookie_of_theirs_is_a_new_visitor(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    Browser().get(old, "/add/anchor")
    for value in ("A" * 43, "A" * 40, "x", "A" * 43 + ".AAAA", "eyJhIjoxfQ.AAAA.AAAA"):
        browser = Browser()
        browser.cookie = value
        assert browser.get(new, "/look") == {"cart": [], "user": None}
        assert browser.get(new, "/add/bell") == ["bell"]
        assert is_ours(browser)


# --- While old workers are serving ----------------------------------------------------------------


@on_all_databases
def test_old_and_new_workers_serve_one_browser_in_turns(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    for number in range(6):
        browser.get((old, new)[number % 2], f"/add/{number}")
    assert browser.cart(old) == browser.cart(new) == list("012345")
    browser.get(new, "/in/7")
    assert browser.user(old) == browser.user(new) == 7
    browser.get(old, "/add/6")
    assert browser.cart(new) == list("0123456")
    browser.get(new, "/out")
    assert browser.user(old) is None
    assert browser.user(new) is None


def test_the_way_back_is_open_as_long_as_the_window(pair: Pair) -> None:
    """What began under Moored goes on without it."""
    old, new = pair()
    Browser().get(old, "/add/rope")  # so that there is something to take over
    browser = Browser()
    browser.get(new, "/add/anchor")
    browser.get(new, "/in/7")
    assert browser.get(old, "/look") == {"cart": ["anchor"], "user": 7}


@on_all_databases
def test_when_the_window_has_closed_sessions_are_carried_over(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/in/7")
    browser.get(new, "/add/anchor")
    assert not is_ours(browser)
    close(new)
    assert browser.get(new, "/look") == {"cart": ["anchor"], "user": 7}
    assert is_ours(browser)


def test_who_signs_in_while_old_workers_serve_gets_another_cookie(pair: Pair, kind: str) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/add/anchor")
    planted = browser.cookie
    browser.get(new, "/in/7")
    assert browser.cookie != planted
    assert browser.get(new, "/look") == {"cart": ["anchor"], "user": 7}
    browser.cookie = planted
    assert browser.user(new) is None
    assert browser.user(old) is None


def test_a_sign_out_beside_old_workers_is_not_undone_here(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/in/7")
    copy = browser.cookie
    browser.get(new, "/out")
    browser.cookie = copy
    assert browser.user(new) is None


def test_signing_out_everywhere_beside_old_workers(pair: Pair) -> None:
    old, new = pair()
    here, there = Browser(), Browser()
    for name, browser in {"here": here, "there": there}.items():
        browser.get(old, f"/add/{name}")  # or Flask's cookies were the same, and so one session
        browser.get(old, "/in/7")
    here.get(new, "/everywhere?keep=1")
    assert there.user(new) is None
    assert here.user(new) == 7
    there.get(new, "/in/7")
    assert there.user(new) == 7
    there.get(new, "/everywhere")
    assert here.user(new) is None


def test_where_nothing_was_there_nothing_waits_for_old_workers(pair: Pair, kind: str) -> None:
    _, new = pair()
    browser = Browser()
    browser.get(new, "/add/anchor")
    assert is_ours(browser) == (kind != "cookie")  # whether there are cookies cannot be seen


def test_a_worker_that_starts_later_knows_when_the_first_one_did(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=HOUR)
    Browser().get(old, "/add/anchor")
    browser = Browser()
    browser.get(new, "/add/anchor")
    _, later = pair(MOORED_ALONGSIDE=HOUR)
    browser.get(later, "/add/bell")
    ends = store(new).window._ends, store(later).window._ends
    assert ends[0] == pytest.approx(ends[1], abs=1.0)


# --- Settings -----------------------------------------------------------------------------------


def test_pickles_are_read_only_if_somebody_says_so(tmp_path: Path) -> None:
    from tests.adopt.shops import before

    config = {"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": str(tmp_path / "files")}
    new = after(instance_path=str(tmp_path), **config)  # there are none yet
    mooring(new).state.close()
    Browser().get(before(**config), "/add/anchor")
    with pytest.raises(ConfigurationError, match="MOORED_ADOPT_PICKLE"):
        after(instance_path=str(tmp_path), **config)
    fresh = after(instance_path=str(tmp_path), MOORED_ADOPT=[], **config)
    browser = Browser()
    browser.get(fresh, "/add/anchor")
    assert is_ours(browser)
    mooring(fresh).state.close()


def test_a_session_that_cannot_be_read_is_told_of_and_its_browser_a_visitor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.adopt.shops import before

    config: dict[str, Any] = {"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": str(tmp_path / "files")}
    config |= {"MOORED_ADOPT_PICKLE": True, "MOORED_URL": f"sqlite:///{tmp_path}/moored.db"}
    browser = Browser()
    browser.get(before(**config), "/add/anchor")
    for path in (tmp_path / "files").iterdir():
        path.write_bytes(path.read_bytes()[:4] + b"cos\nsystem\n(S'true'\ntR.")
    new = after(instance_path=str(tmp_path), MOORED_ALONGSIDE=0, **config)
    with caplog.at_level(logging.WARNING, "moored"):
        assert browser.cart(new) == []
    assert "was not adopted" in caplog.text
    mooring(new).state.close()


def test_a_place_that_cannot_be_adopted_from_is_named(tmp_path: Path) -> None:
    app = flask.Flask("shop", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="x" * 20, SESSION_TYPE="mongodb", MOORED_ADOPT=["flask-session"])
    app.config["MOORED_URL"] = "memory:"
    from moored.flask import Session

    with pytest.raises(ConfigurationError, match="mongodb"):
        Session(app)
    app.config.update(SESSION_TYPE="redis", MOORED_ADOPT=["django"])
    with pytest.raises(ConfigurationError, match="flask-session"):
        Session(app)
