"""Changes decided where they are made: ``take``, ``add``, ``append``, and exclusive use."""

from __future__ import annotations

from typing import Any

from tests.simulation.browser import (
    SETTINGS,
    alive,
    appending,
    changed,
    edit,
    member,
    proved,
    setting,
    sign_in,
    values,
    values_of,
    visitor,
)
from tests.simulation.scene import scene

from moored.commands import Sleep
from moored.errors import ConflictError, GoneError, HeldError, OutcomeUnknown, OutOfBounds, Unavailable
from moored.kinds.sessions import changes
from moored.kinds.sessions.exclusive import give_back, hold
from moored.kinds.sessions.record import Credential, session_key
from moored.kinds.sessions.saving import load, save
from moored.kinds.sessions.signing import logout
from moored.merge import MISSING
from moored.testing.simulate import Story, World


async def _take(world: World, cookie: Credential, name: str) -> Any:
    session = await world.call(load(cookie))
    if session is None:
        return MISSING
    return (await world.call(changes.take(session, name, SETTINGS)))[1]


async def _add(world: World, cookie: Credential, name: str, most: int | None = None) -> Any:
    session = await world.call(load(cookie))
    if session is None:
        return MISSING
    return (await world.call(changes.decide(session, name, changes.adding(name, 1, None, most), SETTINGS)))[1]


async def _append(world: World, cookie: Credential, name: str, item: object) -> Any:
    session = await world.call(load(cookie))
    if session is None:
        return MISSING
    return (await world.call(changes.decide(session, name, changes.appending(name, item, True), SETTINGS)))[1]


@scene
def one_taker(world: World) -> Story:
    """A one-time code is given to exactly one caller, and then it is gone."""
    cookie = visitor(world, code=1234)
    out = yield {name: _take(world, cookie, "code") for name in "abc"}
    winners = [one for one in out.values() if one.acknowledged and one.value == 1234]
    assert len(winners) <= 1, "a one-time code was given out twice"
    if any(one.acknowledged for one in out.values()):
        assert "code" not in values(world, cookie), "a code that was taken is still there"
    if all(one.acknowledged for one in out.values()):
        assert winners, "nobody was given the code"


@scene
def a_code_beside_other_saves(world: World) -> Story:
    """A request that saves what it loaded does not bring a taken code back; a new code stays."""
    cookie = visitor(world, code=1, page="")

    def renew(there: dict[str, Any]) -> None:
        there.update(code=2, page="x")

    out = yield {
        "taker": _take(world, cookie, "code"),
        "tab": edit(world, cookie, setting(page="y")),
        "renewer": edit(world, cookie, renew),
    }
    there = values(world, cookie)
    if out["taker"].acknowledged and out["taker"].value == 2:
        assert "code" not in there, "a taken code came back"
    if out["taker"].acknowledged and out["renewer"].acknowledged and out["taker"].value == 1:
        assert there["code"] == 2, "a code that nobody took is gone"
    assert there.get("code") != 1 or not out["taker"].acknowledged


@scene
def tries_are_bounded(world: World) -> Story:
    """``add(max=2)`` lets two through, whoever asks at once."""
    cookie = visitor(world, tries=0)
    out = yield {name: _add(world, cookie, "tries", 2) for name in "abc"}
    let = [one.value for one in out.values() if one.acknowledged]
    assert len(set(let)) == len(let), "one number was given to two"
    tries = values(world, cookie)["tries"]
    assert len(let) <= tries <= 2, f"{len(let)} were let through, {tries} counted"
    if all(one.acknowledged or isinstance(one.error, OutOfBounds) for one in out.values()):
        assert tries == 2


@scene
def a_coupon_is_used_once(world: World) -> Story:
    """``append(unique=True)``: the same item of two requests is there once, others' stay."""
    cookie = visitor(world, coupons=["x"])
    out = yield {
        "a": _append(world, cookie, "coupons", "c"),
        "b": _append(world, cookie, "coupons", "c"),
        "other": _append(world, cookie, "coupons", "d"),
    }
    coupons = values(world, cookie)["coupons"]
    assert coupons[0] == "x"
    assert coupons.count("c") <= 1, "a coupon is there twice"
    for name, item in (("a", "c"), ("b", "c"), ("other", "d")):
        if out[name].acknowledged:
            assert item in coupons, f"{item} was lost"
            assert item in out[name].value


@scene
def changes_beside_a_logout(world: World) -> Story:
    """Once a session has ended nobody is given its code, and nothing is added to it."""
    cookie = member(world, "ann", code=1, tries=0)
    ended: list[bool] = []

    async def leave() -> None:
        session = await world.call(load(cookie))
        assert session is None or await world.call(logout(session))
        ended.append(True)

    async def after(change: Any) -> Any:
        before = not ended
        return await change, before

    out = yield {
        "taker": after(_take(world, cookie, "code")),
        "adder": after(_add(world, cookie, "tries")),
        "leave": leave(),
    }
    for name in ("taker", "adder"):
        one = out[name]
        if one.acknowledged and not one.value[1]:
            assert one.value[0] is MISSING, "something was taken out of an ended session"
        assert one.error is None or not isinstance(one.error, ConflictError)
    if out["leave"].acknowledged:
        assert proved(world, cookie) is None


@scene
def changes_beside_a_login(world: World) -> Story:
    """A visitor's late ``take``, ``add`` and ``append`` get and change nothing after a sign-in."""
    cookie = visitor(world, code=1, tries=0, cart=[])
    at_login: list[dict[str, Any]] = []

    async def signing() -> Credential | None:
        saved = await sign_in(world, cookie, "ann", lambda there: there.update(role="member"))
        if saved is None or saved.credential is None:
            return None
        at_login.append(values_of(saved.session))
        return saved.credential

    out = yield {
        "taker": _take(world, cookie, "code"),
        "adder": _add(world, cookie, "tries"),
        "appender": _append(world, cookie, "cart", "late"),
        "login": signing(),
    }
    for name in ("adder", "appender"):
        assert out[name].error is None or not isinstance(out[name].error, ConflictError)
    if not at_login:
        return
    there = values(world, out["login"].value)
    if there.get("code") == 1:
        assert out["taker"].value != 1, "the code was given out and is still there"
    elif at_login[0].get("code") == 1 and out["taker"].acknowledged:
        assert out["taker"].value == 1, "the code is gone, and nobody got it"
    if out["adder"].acknowledged and out["adder"].value is not MISSING:
        assert there["tries"] == 1
    if out["appender"].acknowledged and out["appender"].value is not MISSING:
        assert there["cart"] == ["late"]


# --- Exclusive use --------------------------------------------------------------------------------


@scene
def an_exclusive_handler(world: World) -> Story:
    """While a handler has the session to itself nobody else writes to it; they wait, and lose nothing."""
    cookie = visitor(world, balance=10, cart=[])
    key = session_key(cookie.selector)
    world.faults = ("unanswered", "late", "crash")

    async def handler() -> None:
        session = await world.call(load(cookie))
        assert session is not None
        mine, token = await world.call(hold(session, 400))
        asked = world.clock.server()
        before = world.engine.records[key].fields
        await Sleep(30)
        if world.clock.server() < asked + 300_000:
            assert world.engine.records[key].fields == before, "somebody wrote to a session that is held"
        balance = values_of(mine)["balance"] - 5
        await world.call(save(mine, changed(mine, setting(balance=balance)), SETTINGS, token=token))

    out = yield {
        "a": handler(),
        "b": handler(),
        "tab": edit(world, cookie, lambda there: there["cart"].append("x")),
    }
    there = values(world, cookie)
    spent = 5 * sum(out[name].acknowledged for name in "ab")
    unsure = 5 * sum(out[name].unsure for name in "ab")
    assert 10 - spent - unsure <= there["balance"] <= 10 - spent, "a spent amount came back"
    if out["tab"].acknowledged:
        assert there["cart"] == ["x"]
    record = alive(world, key)
    if record and not world.fired:
        assert world.steps["a"] == 4, "a handler waited for its own lease"
        assert "@lease_token" not in record.fields, "the session was not given back"


@scene
def an_exclusive_handler_that_is_too_slow(world: World) -> Story:
    """A handler whose lease ran out saves only if nobody has written since it got it."""
    cookie = visitor(world, balance=10, limit=0)
    world.faults = ("late", "stalled")
    key = session_key(cookie.selector)

    async def handler(pause: int, by: int) -> None:
        session = await world.call(load(cookie))
        assert session is not None
        mine, token = await world.call(hold(session, 50))
        version = world.engine.records[key].version
        await Sleep(pause)
        there = values_of(mine)
        if there["balance"] + by < there["limit"]:
            await world.call(give_back(mine, token))
            return
        asked = world.engine.records[key].version == version
        change = changed(mine, setting(balance=there["balance"] + by))
        await world.call(save(mine, change, SETTINGS, token=token))
        assert asked, "a handler that had lost the session saved to it"

    out = yield {
        "slow": handler(80, -8),
        "other": handler(1, -8),
        "tab": edit(world, cookie, setting(limit=2)),
    }
    balance = values(world, cookie)["balance"]
    assert balance in (10, 2), f"the balance is {balance}"
    for name in ("slow", "other"):
        assert out[name].error is None or isinstance(
            out[name].error, (ConflictError, HeldError, GoneError, Unavailable, OutcomeUnknown)
        )


@scene
def an_exclusive_visitor_beside_a_login(world: World) -> Story:
    """An exclusive handler that a sign-in overtook neither sees nor changes what is the member's."""
    cookie = visitor(world, page="")

    async def handler() -> dict[str, Any]:
        session = await world.call(load(cookie))
        if session is None:
            return {}
        mine, token = await world.call(hold(session, 100))
        await world.call(save(mine, changed(mine, setting(page="visitor's")), SETTINGS, token=token))
        return values_of(mine)

    async def signing() -> Credential | None:
        saved = await sign_in(world, cookie, "ann", setting(role="member", page="ann's"))
        return None if saved is None else saved.credential

    out = yield {"handler": handler(), "login": signing()}
    assert "role" not in (out["handler"].value or {}), "a visitor's handler was shown what is the member's"
    if out["login"].acknowledged and out["login"].value is not None:
        assert values(world, out["login"].value)["page"] == "ann's", (
            "a visitor's handler wrote to the member's"
        )


@scene
def a_session_held_for_too_long(world: World) -> Story:
    """Who waits for an exclusive handler until the deadline is told so, and nothing of theirs is kept."""
    cookie = visitor(world, page="", cart=[])
    world.deadline = 0.1
    world.faults = ("unanswered", "late")

    async def handler() -> None:
        session = await world.call(load(cookie))
        assert session is not None
        mine, token = await world.call(hold(session, 3_000))
        await Sleep(200)
        await world.call(save(mine, changed(mine, setting(page="a")), SETTINGS, token=token))

    out = yield {
        "handler": handler(),
        "tab": edit(world, cookie, appending("cart", "x")),
        "other": _hold(world, cookie),
    }
    for name in ("tab", "other"):
        if not world.fired:
            assert isinstance(out[name].error, HeldError), f"the {name} met {out[name]}"
    cart = values(world, cookie)["cart"]
    assert cart.count("x") == 1 if out["tab"].acknowledged else out["tab"].unsure or "x" not in cart


async def _hold(world: World, cookie: Credential) -> None:
    session = await world.call(load(cookie))
    assert session is not None
    mine, token = await world.call(hold(session, 10))
    await world.call(give_back(mine, token))
