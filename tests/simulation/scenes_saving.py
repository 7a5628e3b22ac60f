"""Saving: nothing that was acknowledged is lost, nothing is there twice, nothing comes back."""

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
    values,
    values_of,
    visitor,
)
from tests.simulation.scene import scene

from moored.commands import Patch, Sleep
from moored.errors import GoneError, MooredError, OutcomeUnknown, Unavailable
from moored.kinds.sessions.record import Credential, session_key
from moored.kinds.sessions.saving import Saved, load, save
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.signing import logout
from moored.merge import Rules
from moored.testing.simulate import Story, World

HOUR = 3_600_000


@scene
def every_append_is_there(world: World) -> Story:
    """Three tabs append to one cart: all that was acknowledged is there, once, the oldest item first."""
    cookie = visitor(world, cart=["x"])
    out = yield {item: edit(world, cookie, appending("cart", item)) for item in "abc"}
    cart = values(world, cookie)["cart"]
    assert cart[0] == "x"
    for item, one in out.items():
        assert cart.count(item) <= 1, f"{item} is there twice"
        if one.acknowledged:
            assert item in cart, f"{item} was lost"
        elif not one.unsure:
            assert item not in cart, f"{item} is there although it failed"


@scene
def different_fields_never_conflict(world: World) -> Story:
    """Each writer of a field of its own needs one step, whoever writes beside it."""
    cookie = visitor(world, kept=1)
    out = yield {name: edit(world, cookie, setting(**{name: 1})) for name in "abc"}
    there = values(world, cookie)
    assert there["kept"] == 1
    assert not world.met[Patch, "match"], "different fields were in conflict"
    for name, one in out.items():
        assert not one.acknowledged or there.get(name) == 1, f"{name} was lost"
        assert world.fired or world.steps[name] == 2, "one round trip to read, one to write"


@scene
def the_late_item_stays(world: World) -> Story:
    """Checkout removes the cart that it saw while another tab adds to it."""
    cookie = visitor(world, cart=["x"])
    bought: list[str] = []
    out = yield {
        "checkout": edit(world, cookie, lambda there: bought.extend(there.pop("cart"))),
        "tab": edit(world, cookie, appending("cart", "y")),
    }
    cart = values(world, cookie).get("cart", [])
    if out["tab"].acknowledged and "y" not in bought:
        assert cart.count("y") == 1, "the late item was lost"
    if out["checkout"].acknowledged:
        assert "x" not in cart, "the bought item came back"


@scene
def changes_of_different_keys(world: World) -> Story:
    """Inside one field: keys and members of different requests are all there, also when one removes."""
    cookie = visitor(world, cart={"apple": 1, "pear": 2}, tags={"old"}, todo=["p", "q", "r"])

    def first(there: dict[str, Any]) -> None:
        there["cart"]["plum"] = 3
        there["tags"].add("new")
        there["todo"].remove("p")

    def second(there: dict[str, Any]) -> None:
        del there["cart"]["apple"]
        there["cart"]["pear"] = 5
        there["tags"].discard("old")
        there["todo"].remove("q")

    out = yield {"first": edit(world, cookie, first), "second": edit(world, cookie, second)}
    there = values(world, cookie)
    if out["first"].acknowledged:
        assert there["cart"].get("plum") == 3, "an added key was lost"
        assert "new" in there["tags"], "an added member was lost"
    if out["second"].acknowledged:
        assert there["cart"].get("pear") == 5, "a changed key was lost"
        assert "apple" not in there["cart"], "a removed key came back"
        assert "old" not in there["tags"], "a removed member came back"
    gone = {item for name, item in (("first", "p"), ("second", "q")) if out[name].acknowledged}
    assert not gone & {*there["todo"]}, "an item that was removed came back"
    assert "r" in there["todo"]


@scene
def declared_merges(world: World) -> Story:
    """``sum`` counts both, ``unique`` keeps one, ``refuse`` lets one of two through."""
    rules = SessionSettings(merge=Rules.parse({"points": "sum", "coupons": "unique", "draft": "refuse"}))
    cookie = visitor(world, points=10, coupons=["x"], draft="")
    mixed = yield {
        "points": edit(world, cookie, lambda there: there.update(points=there["points"] + 1), rules),
        "more": edit(world, cookie, lambda there: there.update(points=there["points"] + 2), rules),
        "ann": edit(world, cookie, lambda there: there.update(draft=there["draft"] + "a"), rules),
        "bob": edit(world, cookie, lambda there: there.update(draft=there["draft"] + "b"), rules),
    }
    there = values(world, cookie)
    sure = sum(by * mixed[name].acknowledged for name, by in (("points", 1), ("more", 2)))
    unsure = sum(by * mixed[name].unsure for name, by in (("points", 1), ("more", 2)))
    assert 10 + sure <= there["points"] <= 10 + sure + unsure, "a sum lost a difference"
    for name, letter in (("ann", "a"), ("bob", "b")):
        if mixed[name].acknowledged:
            assert letter in there["draft"], "a refusing field was written over"
        elif not mixed[name].unsure:
            assert letter not in there["draft"]


@scene
def a_coupon_in_two_tabs(world: World) -> Story:
    """A list declared ``unique`` has what both tabs appended once."""
    rules = SessionSettings(merge=Rules.parse({"coupons": "unique"}))
    cookie = visitor(world, coupons=["x"])
    out = yield {name: edit(world, cookie, appending("coupons", "c"), rules) for name in "ab"}
    # Whoever loaded after the other's save appended on purpose what was there already.
    if not any(one.unsure or one.error for one in out.values()) and world.met[Patch, "match"]:
        assert values(world, cookie)["coupons"] == ["x", "c"]


@scene
def saving_twice(world: World) -> Story:
    """A request that saves twice does not undo what its first save was merged with."""
    cookie = visitor(world, cart=[])

    async def streaming() -> None:
        session = await world.call(load(cookie))
        assert session is not None
        cart = [*values_of(session)["cart"], "a"]
        saved = await world.call(save(session, changed(session, setting(cart=cart)), SETTINGS))
        cart = [*cart, "b"]
        await world.call(save(saved.session, changed(saved.session, setting(cart=cart)), SETTINGS))

    out = yield {"stream": streaming(), "tab": edit(world, cookie, appending("cart", "c"))}
    cart = values(world, cookie)["cart"]
    if out["tab"].acknowledged:
        assert cart.count("c") == 1, "what another tab added is gone, or there twice"
    if out["stream"].acknowledged:
        assert cart.count("a") == cart.count("b") == 1


@scene
def savers_of_one_process_queue(world: World) -> Story:
    """Many saves of one field in one process: all succeed, in few steps, and nobody starves."""
    cookie = visitor(world, cart=[])
    sessions = [world.run(load(cookie)) for _ in "abcd"]
    world.faults = ("cancelled",)
    world.share("a", "b", "c", "d", "e")

    async def saver(number: int, item: str) -> None:
        session = sessions[number]
        assert session is not None
        await world.call(save(session, changed(session, appending("cart", item)), SETTINGS))

    async def newcomer() -> set[str]:
        session = await world.call(load(cookie))
        assert session is not None
        before = world.queueing(session.key)
        await world.call(save(session, changed(session, appending("cart", "e")), SETTINGS))
        return before

    out = yield {**{item: saver(number, item) for number, item in enumerate("abcd")}, "e": newcomer()}
    cart = values(world, cookie)["cart"]
    for item, one in out.items():
        assert one.error is None or world.fired["woken"], f"a save failed: {one.error}"
        assert not one.acknowledged or cart.count(item) == 1, f"{item} was lost, or is there twice"
        assert world.steps[item] <= 8, f"{world.steps[item]} steps for one save"
        assert world.steps[item] <= 2 + (item == "e") or item in world.queued(), (
            "after two conflicts a save queues"
        )
    for item in out["e"].value or ():
        assert item not in cart or "e" not in cart or cart.index(item) < cart.index("e"), f"e overtook {item}"


@scene
def resolving_a_save(world: World) -> Story:
    """What ``resolve()`` says of a save whose answer was lost is so, and stays so."""
    cookie = visitor(world, cart=[])

    async def append(item: str) -> str:
        try:
            saved = await edit(world, cookie, appending("cart", item))
        except OutcomeUnknown as error:
            answer: str = await error.resolve()
            return answer
        except MooredError:
            return "not done"
        return "done" if saved else "not done"

    out = yield {item: append(item) for item in "ab"}
    cart = values(world, cookie)["cart"]
    for item, one in out.items():
        if one.acknowledged and one.value != "unknown":
            assert cart.count(item) == (one.value == "done"), f"{one.value}, and the cart is {cart}"


# --- Sessions that vanish ---------------------------------------------------------------------------


def _vanishing(world: World) -> Story:
    """Saves of a visitor and of a member whose records vanish at any moment, by the world's events."""
    cookies = {"visitor": visitor(world, a=0), "member": member(world, "ann", a=0)}
    after: dict[str, int] = {}

    def lost() -> int:
        return len(world.events)

    async def request(name: str) -> Saved[Credential] | None:
        saved = await edit(world, cookies[name], setting(a=1))
        after[name] = lost()
        return saved

    out = yield {name: request(name) for name in cookies}
    for name, cookie in cookies.items():
        one = out[name]
        if one.error is not None:
            allowed = (
                (GoneError, Unavailable, OutcomeUnknown)
                if name == "member"
                else (Unavailable, OutcomeUnknown)
            )
            assert isinstance(one.error, allowed), f"the {name} met {one.error!r}"
        saved = one.value
        if saved is None:
            continue
        assert not saved.dropped, f"the {name}'s save was dropped in silence"
        if saved.credential is not None:
            assert name == "visitor", "a session that was signed in came back without a sign-in"
            assert saved.credential.selector != cookie.selector, "a lost session came back under its name"
        if after[name] == lost():
            assert values(world, saved.credential or cookie) == {"a": 1}, (
                f"an acknowledged save of the {name} is lost"
            )


@scene
def lost_meanwhile(world: World) -> Story:
    """The engine restarts empty: a visitor's session is made again, a member's says it is gone."""
    world.events = {"restart": world.lose}
    return _vanishing(world)


@scene
def evicted_meanwhile(world: World) -> Story:
    """The engine evicts the visitor's record or the member's: the same."""

    def evict(signed_in: bool) -> None:
        for key, record in list(world.engine.records.items()):
            if key.startswith("session:") and ("@subject" in record.fields) == signed_in:
                world.evict(key)

    world.events = {"eviction": lambda: evict(False), "another eviction": lambda: evict(True)}
    return _vanishing(world)


@scene
def expired_meanwhile(world: World) -> Story:
    """Both sessions expire between two requests or within one."""
    world.events = {"expiry": lambda: world.jump(SETTINGS.idle + 1)}
    return _vanishing(world)


@scene
def a_touch_revives_nothing(world: World) -> Story:
    """Touches extend a session by its idle time, never beyond the absolute deadline, never once ended."""
    settings = SessionSettings(idle=2 * HOUR, absolute=3 * HOUR)
    cookie = visitor(world, settings=settings)
    world.faults = ("unanswered", "late", "stalled")
    world.events = {"expiry": lambda: world.jump(HOUR + 1), "another expiry": lambda: world.jump(HOUR + 1)}
    begun = world.clock.elapsed
    until = [begun + 2 * HOUR * 1000]
    ended: list[bool] = []

    async def touching() -> None:
        for _ in range(3):
            session = await world.call(load(cookie))
            if session is None:
                assert ended or world.clock.elapsed >= until[0], "a session ended before its time"
                return
            asked = world.clock.elapsed
            await world.call(save(session, {}, settings))
            if alive(world, session_key(cookie.selector)):
                until[0] = min(asked + 2 * HOUR * 1000, begun + 3 * HOUR * 1000)
            await Sleep(50 * 60_000)

    async def leaving() -> bool:
        await Sleep(2 * HOUR)
        session = await world.call(load(cookie))
        ended.append(True)
        return session is not None and await world.call(logout(session))

    out = yield {"touch": touching(), "leave": leaving()}
    if out["leave"].acknowledged and out["leave"].value:
        assert proved(world, cookie) is None
    world.jump(3 * HOUR)
    assert proved(world, cookie) is None, "a session outlived its absolute deadline"


@scene
def too_large_a_session(world: World) -> Story:
    """A save over a bound is refused and leaves no trace; one within it is not held up by it."""
    settings = SessionSettings(largest=400, most=10)
    cookie = visitor(world, cart=[])
    out = yield {
        "large": edit(world, cookie, setting(page="x" * 400), settings),
        "many": edit(world, cookie, setting(**dict.fromkeys("abcdefghij", 1)), settings),
        "small": edit(world, cookie, appending("cart", "y"), settings),
    }
    there = values(world, cookie)
    for name in ("large", "many"):
        assert not out[name].acknowledged or out[name].value is None, "a save over the bound was let through"
    assert {*there} == {"cart"}, "a part of what is too large was stored"
    assert not out["small"].acknowledged or there["cart"] == ["y"]
