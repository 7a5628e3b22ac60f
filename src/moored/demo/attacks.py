"""Scenes that need a second browser: a slow request over a sign-out, and a planted cookie."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from moored.demo.books import Books, identity
from moored.demo.robot import PATIENCE, Answer, Exchange, Robot, Site, Verdict, somebody
from moored.kinds.sessions import EndedSession
from moored.state import State


def slow_over_sign_out(site: Site, books: Books, state: State) -> Iterator[Exchange | Verdict]:
    """Sign out while a slow request is under way, and look whether the session comes back."""
    with somebody(books) as (name, password):
        browser, tab, thief = (Robot(site, "second browser") for _ in range(3))
        yield browser.post("/sign-in", "signs in", name=name, password=password).exchange
        tab.jar = thief.jar = browser.jar
        with ThreadPoolExecutor(1) as elsewhere:
            pending = elsewhere.submit(tab.post, "/lab/slow")
            selector = _wait_until_begun(browser)
            out = browser.post("/sign-out", "signs out, while /lab/slow is under way").exchange
            yield out
            late = pending.result()
        began = late.json["subject"] == identity(name)
        yield _told(late, f"began {'' if began else 'not '}signed in, wrote to the session 2 s later")
        again = thief.get("/lab/look")
        alive = again.json["subject"] is not None
        yield _told(again, f"the old cookie, tried again: {'signed in' if alive else 'nobody'}")
        if not began or not out.at < late.exchange.at:
            yield Verdict(False, "The slow request was not under way when the sign-out came. Try again.")
            return
        kept = state.sessions.show(selector)
        through = sum([alive, late.exchange.cookie != "none", not isinstance(kept, EndedSession)])
        text = "The session came back to life."
        if isinstance(kept, EndedSession) and not through:
            text = (
                "The session stayed ended. The late write was dropped, its answer set no cookie, and the"
                f" store still knows why session {selector[:6]}… is over: {kept.reason}."
            )
        yield Verdict(not through, text, {"ways back": 3, "shut": 3 - through, "lost": through})


def planted_cookie(site: Site, books: Books) -> Iterator[Exchange | Verdict]:
    """Plant a cookie in somebody's browser, let them sign in, and try to be them with it."""
    with somebody(books) as (name, password):
        attacker, victim = Robot(site, "attacker"), Robot(site, "victim")
        yield attacker.post("/cart", "starts a session, and so has a cookie", product="cork").exchange
        victim.jar = attacker.jar
        planted = victim.get("/lab/look", "the cookie was planted here").exchange
        yield planted
        signed_in = victim.post("/sign-in", "signs in, on top of it", name=name, password=password)
        yield signed_in.exchange
        look = attacker.get("/lab/look")
        seen = look.json["subject"] is not None
        yield _told(look, f"looks with the planted cookie: {'is the victim' if seen else 'is nobody'}")
        yield attacker.post("/cart", "writes with the planted cookie: refused", product="cork").exchange
        after = victim.get("/lab/look")
        yield _told(after, f"looks into the cart: {after.json['corks']} cork float, as before")
        yield victim.post("/sign-out", "leaves").exchange
        if signed_in.exchange.cookie != "new" or after.json["subject"] != identity(name):
            yield Verdict(False, "The victim could not sign in. Try again.")
            return
        wrote = after.json["corks"] != 1
        through = seen + wrote
        text = (
            "The planted cookie got somebody in."
            if through
            else "Signing in gave the victim a new cookie and made the planted one worthless, to read and to"
            " write. What was in the cart stayed."
        )
        yield Verdict(not through, text, {"ways in": 2, "shut": 2 - through, "lost": through})


def _wait_until_begun(browser: Robot) -> str:
    """The session's public name, once the slow request has read it."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = browser.get("/lab/look").json
        if found["begun"]:
            return str(found["selector"])
        time.sleep(0.02)
    raise TimeoutError("the slow request did not begin")


def _told(answer: Answer, says: str) -> Exchange:
    return msgspec.structs.replace(answer.exchange, says=says)
