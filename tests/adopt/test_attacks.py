"""Whoever wants in, wants somebody out, or wants it all to fall over, while an application moves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import TimestampSigner
from tests.adopt.databases import on_all_databases
from tests.adopt.shops import Browser, Pair, after, before, store

from moored.adopt.bulk import move
from moored.adopt.old import OldRows
from moored.commands import Patch, Read
from moored.errors import Unavailable
from moored.flask.extension import mooring
from moored.kinds.sessions.record import COOKIE_LENGTH, integer, session_key
from moored.web.cookies import MOST, MOST_GENUINE

HOUR = 3600
DAY = 86_400_000  # milliseconds
SECRET = "the secret of these tests"


def doing(app: Flask, view: Callable[[], Any]) -> str:
    """A path at which the app does this."""
    app._got_first_request = False  # a test adds views when it needs them
    path = f"/do/{len(app.url_map._rules)}"
    app.add_url_rule(path, path, lambda: view() or "")
    return path


def close(app: Flask) -> None:
    """Let the window close."""
    window = store(app).window
    later = window._clock() + HOUR + 1
    window._clock = lambda: later


def forget_opening(app: Flask) -> None:
    """As if the window had been opened two hours ago, and nobody had come since."""
    key, state = store(app).window.key, mooring(app).state

    async def alter() -> None:
        record = await Read(key)
        assert record is not None
        began = integer(record.fields, "@began")
        await Patch(key, {"@began": str(began - 2 * HOUR * 1000).encode()})

    state.binding.run(alter())


def everything(app: Flask) -> str:
    """A path that shows all of the session."""
    return doing(app, lambda: {name: repr(value) for name, value in session.items()})


def steps(app: Flask) -> list[tuple[str, ...]]:
    """What the engine is asked from now on."""
    sent: list[tuple[str, ...]] = []
    mooring(app).state.observe(lambda step: sent.append(step.commands))
    return sent


def forget_tombstone(app: Flask, cookie: str) -> None:
    """As if ten minutes had passed since the session was ended."""
    found = store(app)
    selectors = [proof.selector for old in found.olds if (proof := old.proof(cookie)) is not None]
    engine: Any = mooring(app).state.binding.engine
    for selector in selectors:
        assert engine.records.pop(session_key(selector)).dead


@pytest.fixture
def cookie_shop(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Shops that move from Flask's cookie; their engines are in memory."""
    made = []

    def make(**config: Any) -> Flask:
        settings = {
            "MOORED_URL": "memory:",
            "MOORED_ADOPT": ["flask-cookie"],
            "MOORED_ALONGSIDE": 0,
            **config,
        }
        made.append(app := after(instance_path=str(tmp_path), **settings))
        return app

    yield make
    for app in made:
        mooring(app).state.close()


# --- What is known of a session besides its values --------------------------------------------------


def test_what_we_note_in_a_row_is_no_value_of_the_application(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/add/anchor")
    for one in (Browser(), browser):  # the second time it is known since when
        one.get(new, "/in/7")
    show = everything(new)
    assert browser.get(new, show).keys() - {"_permanent"} == {"cart", "user_id"}
    close(new)
    found = browser.get(new, show)
    assert len(browser.cookie) == COOKIE_LENGTH
    assert found.pop("_permanent", "True") == "True"
    assert found == {"cart": "['anchor']", "user_id": "7"}


def test_whose_data_it_is_stays_known(pair: Pair) -> None:
    """Who signs in next gets nothing of the one before, though that one had left the data there."""
    old, new = pair()
    browser = Browser()
    browser.get(old, "/add/anchor")
    browser.get(new, "/in/7")
    browser.get(new, doing(new, lambda: str(session.pop("user_id"))))
    assert browser.get(new, "/look") == {"cart": ["anchor"], "user": None}
    close(new)
    assert browser.get(new, "/look") == {"cart": ["anchor"], "user": None}
    browser.get(new, "/in/8")
    assert browser.get(new, "/look") == {"cart": [], "user": 8}


@pytest.mark.parametrize("by_old_worker", [True, False])
def test_notes_that_a_visitor_has_written_are_not_believed(pair: Pair, by_old_worker: bool) -> None:
    """For applications that let visitors name what is put into their session."""
    old, new = pair()

    def forge() -> None:
        session["_moored_notes"] = {"since": int(time.time() * 1000) + DAY, "owner": "8", "check": "00" * 16}

    thief, owner = Browser(), Browser()
    for name, browser in {"thief": thief, "owner": owner}.items():
        browser.get(old, f"/add/{name}")
        browser.get(old, "/in/8")
    writer = old if by_old_worker else new
    thief.get(writer, doing(writer, forge))
    assert owner.user(new) == thief.user(new) == 8
    owner.get(new, "/everywhere?keep=1")
    assert thief.user(new) is None
    close(new)
    assert thief.user(new) is None
    assert owner.user(new) == 8


def test_a_visitor_cannot_sign_somebody_else_out_by_notes(pair: Pair) -> None:
    old, new = pair()
    victim, attacker = Browser(), Browser()
    victim.get(old, "/in/8")
    attacker.get(
        old, doing(old, lambda: session.update(_moored_notes={"since": 1, "owner": "8", "check": ""}))
    )

    def everywhere() -> None:
        session.logout_everywhere()  # type: ignore[attr-defined]

    attacker.get(new, doing(new, everywhere))
    assert victim.user(new) == 8


@pytest.mark.parametrize(
    "notes",
    [7, [], {}, {"since": "x", "owner": 3}, {"since": 10**30, "owner": "\ud800", "check": "zz"},
     {"since": True, "owner": "8", "check": "é" * 32}],
)  # fmt: skip
def test_notes_of_any_type_are_read(notes: Any, cookie_shop: Callable[..., Flask]) -> None:
    old, new = before(), cookie_shop()
    browser = Browser()
    browser.get(old, "/add/anchor")
    browser.get(old, doing(old, lambda: session.update(_moored_notes=notes)))
    assert browser.get(new, "/look") == {"cart": ["anchor"], "user": None}


# --- Coming back -----------------------------------------------------------------------------------


def test_a_mark_lives_as_long_as_the_cookie_that_it_is_about(cookie_shop: Callable[..., Flask]) -> None:
    """Sessions may end sooner with us than Flask's cookies do."""
    old, new = before(), cookie_shop(MOORED_SESSION_IDLE=60)
    browser = Browser()
    browser.get(old, "/in/7")
    copy = browser.cookie
    assert browser.user(new) == 7
    browser.get(new, "/out")
    binding = mooring(new).state.binding
    now = binding.engine.time() or 0
    binding.engine.time = binding.policy._engine_time = lambda: now + HOUR * 1_000_000  # type: ignore[method-assign]
    browser.cookie = copy
    assert browser.user(new) is None


def test_a_mark_is_found_whatever_the_keys(cookie_shop: Callable[..., Flask]) -> None:
    old, new = before(), cookie_shop()
    browser = Browser()
    browser.get(old, "/in/7")
    copy = browser.cookie
    assert browser.user(new) == 7
    browser.get(new, "/out")
    forget_tombstone(new, copy)
    new.config.update(SECRET_KEY="another secret for these tests", SECRET_KEY_FALLBACKS=[SECRET])
    browser.cookie = copy
    assert browser.user(new) is None


def test_workers_that_prefer_different_keys_carry_over_to_one_session(
    cookie_shop: Callable[..., Flask],
) -> None:
    """While keys are rotated, both know both."""
    old, new = before(), cookie_shop()
    browser, other = Browser(), Browser()
    browser.get(old, "/add/anchor")
    other.cookie = browser.cookie
    new.config.update(SECRET_KEY_FALLBACKS=["another secret for these tests"])
    assert browser.get(new, "/add/bell") == ["anchor", "bell"]
    new.config.update(SECRET_KEY="another secret for these tests", SECRET_KEY_FALLBACKS=[SECRET])
    assert other.get(new, "/add/rope") == ["anchor", "bell", "rope"]
    assert browser.cart(new) == ["anchor", "bell", "rope"]


@on_all_databases
def test_what_an_old_worker_writes_late_lets_nobody_in_here(pair: Pair, kind: str) -> None:
    """It had read the session before the sign-out, and takes until after the tombstones of sessions."""
    if kind == "cookie":
        return  # there is nothing to write: the browser has it all
    old, new = pair()
    browser = Browser()
    browser.get(old, "/in/7")
    copy = browser.cookie
    assert browser.user(new) == 7
    read: list[Any] = []

    def late() -> str:
        read.append(dict(session))
        quick = Browser()
        quick.cookie = copy
        quick.get(new, "/out")
        session["late"] = True
        return ""

    browser.get(old, doing(old, late))
    browser.cookie = copy
    assert browser.user(new) is None
    selector = store(new).olds[0].proof(copy).selector  # type: ignore[union-attr]
    engine = mooring(new).state.binding

    async def ends() -> Any:
        from moored.commands import Read

        return await Read(session_key(selector))

    record = engine.run(ends())
    assert record.dead
    assert record.expires - record.at > 30 * DAY


@on_all_databases
def test_a_request_that_was_under_way_does_not_undo_a_sign_out(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/in/7")
    copy = browser.cookie

    def late() -> str:
        assert session["user_id"] == 7
        quick = Browser()
        quick.cookie = copy
        quick.get(new, "/out")
        session["late"] = True
        return ""

    browser.get(new, doing(new, late))
    assert browser.user(new) is None


def test_a_cookie_that_an_old_worker_signed_anew_is_no_younger(
    cookie_shop: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief's cookie outlives no sign-out everywhere, whoever served it last."""
    old, new = before(), cookie_shop(MOORED_ALONGSIDE=HOUR)
    thief, owner = Browser(), Browser()
    thief.get(old, "/in/7")
    owner.get(old, "/add/anchor")
    owner.get(old, "/in/7")
    owner.get(new, "/everywhere?keep=1")
    later = int(time.time()) + 2  # Flask's cookies know whole seconds
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: later)
    thief.get(old, "/add/rope")
    assert thief.user(new) is None
    assert owner.user(new) == 7


# --- Two cookies -----------------------------------------------------------------------------------


def both(app: Flask, path: str, *values: str) -> Any:
    """The answer to a request with several cookies of the session's name."""
    client = app.test_client(use_cookies=False)
    return client.get(path, headers={"Cookie": "; ".join(f"session={value}" for value in values)})


def test_a_cookie_of_ours_that_somebody_planted_beside_an_old_one_is_not_used(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    attacker, victim = Browser(), Browser()
    attacker.get(old, "/in/8")
    attacker.get(new, "/look")
    assert len(attacker.cookie) == COOKIE_LENGTH
    victim.get(old, "/in/7")
    for values in ((attacker.cookie, victim.cookie), (victim.cookie, attacker.cookie)):
        answer = both(new, "/look", *values)
        assert answer.json == {"cart": [], "user": None}


def test_a_session_under_both_its_cookies_is_used(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    browser = Browser()
    browser.get(old, "/in/7")
    copy = browser.cookie
    assert browser.user(new) == 7
    assert both(new, "/look", copy, browser.cookie).json["user"] == 7
    assert both(new, "/look", browser.cookie, copy).json["user"] == 7


def test_one_that_is_dead_does_not_hide_the_session(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    attacker, victim = Browser(), Browser()
    attacker.get(new, "/add/rope")
    planted = attacker.cookie
    attacker.get(new, "/in/8")
    victim.get(old, "/in/7")
    assert both(new, "/look", planted, victim.cookie).json["user"] == 7


def test_made_up_cookies_cost_little(pair: Pair, kind: str) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    Browser().get(old, "/in/7")
    Browser().get(new, "/look")
    sent = steps(new)
    made_up = [f"{number:043d}" for number in range(2_000)]
    assert both(new, "/look", *made_up[: MOST + 1]).json["user"] is None
    assert both(new, "/look", *made_up[:MOST]).json["user"] is None
    assert not [step for step in sent if step != ("Read",)]
    before_one = len(sent)
    for value in made_up[:50]:
        assert both(new, "/look", value).json["user"] is None
    assert len(sent) - before_one <= 2 * 50
    assert before_one <= 2 * MOST_GENUINE


# --- Rows that nobody expects ------------------------------------------------------------------------


def test_a_large_session_is_carried_over(pair: Pair, kind: str) -> None:
    """Larger than we let sessions become: it may become smaller."""
    if kind == "cookie":
        return  # browsers keep 4 KB
    old, new = pair(MOORED_ALONGSIDE=0, MOORED_SESSION_MAX_BYTES=10_000)
    browser, another = Browser(), Browser()
    for one in (browser, another):
        one.get(old, doing(old, lambda: session.update(cart=["x" * 20_000], user_id=7)))
    assert browser.user(new) == 7
    assert browser.get(new, doing(new, lambda: session.update(cart=[]))) == ""
    assert browser.get(new, "/look") == {"cart": [], "user": 7}
    assert move(store(new), mooring(new).state.binding.run, lambda _: None) == {"already": 1, "moved": 1}


def test_one_that_is_far_too_large_is_told_of_and_stops_nothing(pair: Pair, kind: str) -> None:
    if kind == "cookie":
        return
    old, new = pair(MOORED_ALONGSIDE=0, MOORED_SESSION_MAX_BYTES=10_000)
    browser, another = Browser(), Browser()
    browser.get(old, doing(old, lambda: session.update(cart=["x" * 60_000])))
    another.get(old, "/in/7")
    assert browser.cart(new) == []
    counts = move(store(new), mooring(new).state.binding.run, lambda _: None)
    assert counts == {"unreadable": 1, "moved": 1}


def test_what_moored_cannot_keep_stays_for_the_old_library(pair: Pair, kind: str) -> None:
    """The way back is open: a worker of ours loses nothing that it does not understand."""
    old, new = pair()
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    browser = Browser()
    browser.get(old, doing(old, lambda: session.update(deep=deep, cart=["anchor"])))
    browser.get(new, "/add/bell")
    browser.get(new, "/in/7")
    look = doing(old, lambda: {"deep": repr(session.get("deep")), "cart": session["cart"]})
    assert browser.get(old, look) == {"deep": repr(deep), "cart": ["anchor", "bell"]}


STRANGE = {
    "nan": float("nan"),
    "infinite": [float("inf")],
    "": 1,
    "_moored": "not moved",
    "_permanent": "yes",
    "user": {"id": 3},
    "_user_id": ["7"],
}


def test_values_of_types_that_nobody_expects(pair: Pair) -> None:
    old, new = pair(MOORED_ALONGSIDE=0)
    browser = Browser()
    browser.get(old, doing(old, lambda: session.update(STRANGE)))
    found = browser.get(new, everything(new))
    assert found.keys() == STRANGE.keys() - {"_moored"}
    assert browser.user(new) is None


@pytest.mark.parametrize("who", ["\ud800", "", "x" * 5_000, "~x", "a b\n"])
def test_users_of_any_name(who: str, cookie_shop: Callable[..., Flask]) -> None:
    old, new = before(), cookie_shop()
    browser = Browser()
    cookie = SecureCookieSessionInterface().get_signing_serializer(old)
    assert cookie is not None
    browser.cookie = cookie.dumps({"user_id": who, who: 1, "cart": ["anchor"]})
    assert browser.cart(new) == ["anchor"]
    subject = browser.get(new, doing(new, lambda: {"subject": session.subject}))  # type: ignore[attr-defined]
    assert subject == {"subject": who if who not in ("", "\ud800") else None}


@pytest.mark.parametrize("row", [[1, 2], "text", 7, None, {1: 2, "cart": ["anchor"]}, {}])
def test_rows_that_are_no_sessions(row: Any, tmp_path: Path) -> None:
    import pickle
    import struct

    config = {"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": str(tmp_path / "files")}
    browser, other = Browser(), Browser()
    browser.get(before(**config), "/add/anchor")
    (path,) = [file for file in (tmp_path / "files").iterdir() if b"anchor" in file.read_bytes()]
    path.write_bytes(struct.pack("I", 0) + pickle.dumps(row))
    new = after(
        instance_path=str(tmp_path),
        MOORED_URL="memory:",
        MOORED_ALONGSIDE=0,
        MOORED_ADOPT_PICKLE=True,
        **config,
    )
    expected = ["anchor"] if isinstance(row, dict) and "cart" in row else []
    assert browser.cart(new) == expected
    assert other.get(new, "/add/bell") == ["bell"]
    counts = move(store(new), mooring(new).state.binding.run, lambda _: None)
    assert counts.total() == counts["unreadable"] + counts["already"] + counts["moved"]
    mooring(new).state.close()


# --- Outages ---------------------------------------------------------------------------------------


class Away:
    """A place whose store does not answer."""

    def __init__(self, place: Any, *names: str) -> None:
        self._place, self._names = place, names

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            return getattr(self._place, name)

        def fail(*_: Any) -> Any:
            raise Unavailable("the old store is away.")

        return fail


def away(app: Flask, *names: str) -> Callable[[], None]:
    """Let the old store answer nothing of this; call what is returned to have it back."""
    (old,) = store(app).olds
    assert isinstance(old, OldRows)
    place = old.place
    absent: Any = Away(place, *names)
    old.place = absent

    def back() -> None:
        old.place = place

    return back


def status(app: Flask, browser: Browser, path: str) -> int:
    client = app.test_client()
    if browser.cookie:
        client.set_cookie("session", browser.cookie)
    app.config["PROPAGATE_EXCEPTIONS"] = app.testing = False
    return client.get(path).status_code


def test_an_old_store_that_is_away_delays_and_changes_nothing(pair: Pair, kind: str) -> None:
    if kind == "cookie":
        return  # there is no store
    old, new = pair(MOORED_ALONGSIDE=0)
    browser, ours = Browser(), Browser()
    browser.get(old, "/in/7")
    ours.get(new, "/add/anchor")
    for names in (("read",), ("mark",), ("read", "mark", "replace")):
        back = away(new, *names)
        assert status(new, browser, "/look") == 503
        assert status(new, ours, "/add/bell") == 200
        back()
    assert browser.user(new) == 7


def test_served_without_a_session_where_an_application_wants_that(pair: Pair, kind: str) -> None:
    if kind == "cookie":
        return
    old, new = pair(MOORED_ON_OUTAGE="anonymous")
    browser = Browser()
    browser.get(old, "/in/7")
    window = store(new).window

    def gone() -> bool:
        raise Unavailable("the old store is away.")

    there, window._is_empty = window._is_empty, gone
    for path in ("/look", "/add/anchor"):
        assert status(new, browser, path) == 200
    assert status(new, browser, "/out") == 503, "a sign-out that was not stored"
    assert status(new, Browser(), "/out") == 200
    window._is_empty = there
    assert browser.user(new) == 7


# --- Starting, going back, and starting again ---------------------------------------------------------


def test_who_went_back_in_time_and_tries_again_has_another_hour(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/in/7")
    assert browser.user(new) == 7
    assert store(new).window.is_open
    forget_opening(new)
    _, again = pair()
    assert browser.user(again) == 7
    assert len(browser.cookie) != COOKIE_LENGTH
    assert browser.user(old) == 7


def test_once_closed_it_stays_closed(pair: Pair) -> None:
    old, new = pair()
    browser = Browser()
    browser.get(old, "/in/7")
    assert browser.user(new) == 7
    close(new)
    assert browser.user(new) == 7
    forget_opening(new)
    _, later = pair()
    assert browser.user(later) == 7
    assert not store(later).window.is_open


def test_the_first_hour_ended_by_hand_stays_ended(pair: Pair) -> None:
    old, new = pair()
    Browser().get(old, "/in/7")
    Browser().get(new, "/add/anchor")
    _, at_last = pair(MOORED_ALONGSIDE=0)
    Browser().get(at_last, "/look")
    _, later = pair()
    Browser().get(later, "/look")
    assert not store(later).window.is_open


@on_all_databases
def test_signing_in_keeps_what_another_request_put_there_meanwhile(pair: Pair, kind: str) -> None:
    if kind == "cookie":
        return  # no cookie knows of another
    old, new = pair()
    browser = Browser()
    browser.get(old, "/add/anchor")
    copy = browser.cookie

    def sign_in() -> str:
        assert session["cart"] == ["anchor"]
        quick = Browser()
        quick.cookie = copy
        assert quick.get(new, "/add/bell") == ["anchor", "bell"]
        session["user_id"] = 7
        return ""

    browser.get(new, doing(new, sign_in))
    assert browser.get(new, "/look") == {"cart": ["anchor", "bell"], "user": 7}


def test_signing_in_takes_no_identity_from_who_planted_the_session(pair: Pair, kind: str) -> None:
    if kind == "cookie":
        return
    old, new = pair()
    victim, attacker = Browser(), Browser()
    attacker.get(old, "/add/anchor")
    victim.cookie = attacker.cookie

    def sign_in() -> str:
        session["user_id"] = 7
        attacker.get(old, doing(old, lambda: session.update(user="mallory", theme="dark")))
        return ""

    victim.get(new, doing(new, sign_in))
    found = victim.get(new, everything(new))
    assert found.pop("_permanent") == "True"
    assert found == {"cart": "['anchor']", "user_id": "7"}


# --- `moored adopt` beside requests, and beside itself ---------------------------------------------------


@on_all_databases
def test_bulk_races_with_requests_and_with_itself(pair: Pair, kind: str) -> None:
    if kind == "cookie":
        return  # cookies cannot be listed
    old, new = pair(MOORED_ALONGSIDE=0)
    _, again = pair(MOORED_ALONGSIDE=0)
    browsers = [Browser() for _ in range(24)]
    for number, browser in enumerate(browsers):
        browser.get(old, f"/in/{number + 1}")
        browser.get(old, "/add/anchor")
    counts: list[Counter[str]] = []

    def bulk(app: Flask) -> None:
        counts.append(move(store(app), mooring(app).state.binding.run, lambda _: None))

    def shop(mine: list[Browser]) -> None:
        for browser in mine:
            browser.get(new, "/add/bell")

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(bulk, app) for app in (new, again)]
        work += [pool.submit(shop, browsers[at::2]) for at in (0, 1)]
        for one in work:
            one.result()
    assert sum(one.total() for one in counts) == 2 * len(browsers)
    assert not [one for one in counts if one["ended"] or one["unreadable"] or one["gone"]]
    for number, browser in enumerate(browsers):
        assert browser.get(new, "/look") == {"cart": ["anchor", "bell"], "user": number + 1}
        assert len(mooring(new).state.sessions.of(number + 1)) == 1
