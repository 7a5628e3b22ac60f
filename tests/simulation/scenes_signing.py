"""Signing in: the old cookie dies, nobody's data reaches another, nothing late gets in."""

from __future__ import annotations

from typing import Any

from tests.simulation.browser import (
    SETTINGS,
    appending,
    edit,
    encoded,
    enter,
    member,
    proved,
    sessions_of,
    setting,
    sign_in,
    values,
    values_of,
    visitor,
)
from tests.simulation.scene import scene

from moored.commands import Sleep
from moored.kinds.sessions.ending import everywhere
from moored.kinds.sessions.gate import signing_in
from moored.kinds.sessions.record import Credential, from_cookie, session_key, to_cookie
from moored.kinds.sessions.saving import LATE, Saved, load, save
from moored.kinds.sessions.signing import forget_identity, login
from moored.kinds.sessions.subjects import listed
from moored.seal import KeyRing
from moored.testing.simulate import Outcome, Story, World


def _signed(one: Outcome) -> Saved[Credential] | None:
    """What an acknowledged sign-in came to; None if it was not acknowledged, or found no session."""
    return one.value if one.acknowledged else None


def _sends_no_cookie(one: Outcome) -> None:
    """A request that saved only never sends a cookie, superseded or not."""
    if one.acknowledged and one.value is not None:
        assert one.value.credential is None, "a superseded request sent a cookie"


@scene
def the_planted_cookie_dies(world: World) -> Story:
    """Fixation: the cookie from before the sign-in proves nothing after it, and is not renewed."""
    planted = visitor(world, cart=["x"])
    out = yield {"victim": sign_in(world, planted, "ann"), "attacker": edit(world, planted, setting(a=1))}
    _sends_no_cookie(out["attacker"])
    signed = _signed(out["victim"])
    if signed is not None:
        assert proved(world, planted) is None, "the cookie from before the sign-in still proves the session"
        session = proved(world, signed.credential)
        assert session is not None, "an acknowledged sign-in is dead"
        assert session.subject == "ann"
        assert values_of(session).get("cart") == ["x"]


@scene
def late_changes_of_a_visitor(world: World) -> Story:
    """The cart of a request in flight is merged; what the sign-in wrote or dropped, or who it is, is not."""
    cookie = visitor(world, cart=[], csrf_token="planted", theme="dark", lang="en")

    def late(there: dict[str, Any]) -> None:
        there["cart"].append("late")
        there.update(
            csrf_token="attacker", nonce="attacker", roles=["evil"], theme="light", user_id="eve", user="eve"
        )

    async def signing() -> Credential | None:
        saved = await sign_in(world, cookie, "ann", setting(roles=["ann"], user_id="ann"))
        if saved is None or saved.credential is None:
            return None
        edited = await edit(world, saved.credential, setting(theme="blue"))
        return saved.credential if edited is not None else None

    out = yield {"late": edit(world, cookie, late), "login": signing()}
    _sends_no_cookie(out["late"])
    if not out["login"].acknowledged or out["login"].value is None:
        return
    there = values(world, out["login"].value)
    assert "csrf_token" not in there, "a token that the visitor knew survived the sign-in"
    assert "nonce" not in there
    assert there["roles"] == ["ann"], "a late change was merged into what the sign-in wrote"
    assert there["user_id"] == "ann", "a late change said who is signed in"
    assert there["theme"] == "blue", "a late change wrote over a newer value"
    late_save = out["late"].value
    if out["login"].value.selector == cookie.selector and late_save is not None:
        assert not late_save.dropped or "user" not in there, "a late change said who is signed in"
        assert there["cart"] == ["late"], "a visitor's late item was lost"


@scene
def late_changes_of_a_member(world: World) -> Story:
    """Nothing gets in from two sign-ins ago, or from a request of somebody who was signed in already."""
    cookies = {"visitor": visitor(world), "member": member(world, "bob")}

    async def again(cookie: Credential, subject: str, times: int) -> tuple[Credential, dict[str, Any]] | None:
        for _ in range(times):
            saved = await sign_in(world, cookie, subject)
            if saved is None or saved.credential is None:
                return None
            cookie = saved.credential
        session = await world.call(load(cookie))
        return (cookie, values_of(session)) if session is not None else None

    out = yield {
        "late visitor": edit(world, cookies["visitor"], setting(a=1)),
        "ann": again(cookies["visitor"], "ann", 2),
        "late member": edit(world, cookies["member"], setting(a=1)),
        "bob": again(cookies["member"], "bob", 1),
    }
    for name in ("ann", "bob"):
        if out[name].acknowledged and out[name].value:
            cookie, seen = out[name].value
            assert values(world, cookie) == seen, "a late change got in"
    for name in ("late visitor", "late member"):
        _sends_no_cookie(out[name])


@scene
def changes_long_after_the_login(world: World) -> Story:
    """A slow request that the sign-in overtook half a minute ago changes nothing."""
    cookie = visitor(world, cart=[])
    world.faults = ("unanswered", "late")
    saving: list[float] = []

    async def slow() -> Saved[Credential] | None:
        session = await world.call(load(cookie))
        if session is None:
            return None
        await Sleep(LATE + 5_000)
        saving.append(world.clock.client())
        return await world.call(save(session, encoded({"cart": ["evil"]}), SETTINGS))

    async def signing() -> tuple[Saved[Credential] | None, float]:
        return await sign_in(world, cookie, "ann"), world.clock.client()

    out = yield {"slow": slow(), "login": signing()}
    signed, at = out["login"].value or (None, 0.0)
    if signed is not None and saving and saving[0] - at > LATE / 1000:
        before = values_of(signed.session)["cart"]  # as the sign-in found it
        assert values(world, signed.credential)["cart"] == before, "a change got in long after the sign-in"


@scene
def the_bookkeeping_of_a_login(world: World) -> Story:
    """What a sign-in leaves behind for late requests is kept as long as one may come, then removed."""
    cookie = visitor(world, cart=[])
    signed = world.run(enter(world.run(load(cookie)), "ann", {}))
    assert signed.credential is not None
    world.faults = ("unanswered",)
    world.events = {"expiry": lambda: world.jump(LATE)}
    session = world.run(load(signed.credential))
    assert session is not None

    async def tab(name: str) -> None:
        await edit(world, signed.credential or cookie, setting(**{name: 1}))

    yield {"a": tab("a"), "b": tab("b")}
    record = world.engine.records[session.key]
    if not world.fired["expiry"]:
        assert "@login" in record.fields, "the bookkeeping of a sign-in was removed too early"
    world.jump(LATE)
    world.run(_touch(signed.credential))
    assert "@login" not in world.engine.records[session.key].fields, (
        "the bookkeeping of a sign-in stays forever"
    )


async def _touch(cookie: Credential) -> None:
    session = await load(cookie)
    assert session is not None
    await save(session, {}, SETTINGS)


@scene
def clearing_before_the_login(world: World) -> Story:
    """``clear()``, then sign in: nothing of the old session reaches the new one, late or not."""
    cookie = visitor(world, cart=["x"])

    async def clear_and_sign_in() -> Saved[Credential] | None:
        session = await world.call(load(cookie))
        if session is None:
            return None
        gate = await world.call(signing_in("ann"))
        return await world.call(login(session, encoded({"hello": 1}), gate, SETTINGS, cleared=True))

    out = yield {"late": edit(world, cookie, setting(evil=1)), "login": clear_and_sign_in()}
    signed = _signed(out["login"])
    if signed is not None:
        assert values(world, signed.credential) == {"hello": 1}, "something of the old session came along"
        assert proved(world, cookie) is None, "the cleared session lives on"


@scene
def two_people_one_browser(world: World) -> Story:
    """Two people sign in from one form: each cookie is its own person's, each keeps the visitor's cart."""
    cookie = visitor(world, cart=["x"])
    out = yield {"ann": sign_in(world, cookie, "ann"), "bob": sign_in(world, cookie, "bob")}
    for name in ("ann", "bob"):
        signed = _signed(out[name])
        if signed is not None:
            session = proved(world, signed.credential)
            assert session is not None, f"{name}'s acknowledged sign-in is dead"
            assert session.subject == name, f"{name} was signed in as {session.subject}"
            assert values_of(session).get("cart") == ["x"]
    for selector, (_, record) in world.run(listed("ann")).items():
        assert record.fields["@owner"] == b"ann", f"ann was shown {selector}, which is somebody else's"
    world.run(everywhere("ann"))  # her list may name the browser's session, which is bob's
    signed = _signed(out["bob"])
    if signed is not None:
        assert proved(world, signed.credential) is not None, "ann ended bob's session"


@scene
def a_form_that_is_sent_twice(world: World) -> Story:
    """One person signs in twice from one cookie: two sessions that work, both listed, both to be ended."""
    cookie = visitor(world, cart=["x"])
    out = yield {"first": sign_in(world, cookie, "ann"), "second": sign_in(world, cookie, "ann")}
    signed = [saved for one in out.values() if (saved := _signed(one)) is not None]
    names = set(world.run(listed("ann")))
    for saved in signed:
        assert saved.credential is not None
        session = proved(world, saved.credential)
        assert session is not None, "a sign-in whose form was sent twice is dead"
        assert session.subject == "ann"
        assert values_of(session).get("cart") == ["x"]
        assert saved.credential.selector in names
    if len(signed) == 2:
        assert len({saved.credential for saved in signed}) == 2
        assert proved(world, cookie) is None
    world.run(everywhere("ann"))
    assert not sessions_of(world, "ann")


@scene
def signing_in_without_a_session(world: World) -> Story:
    """A browser without a session: its sign-in is refused or ended by a log-out-everywhere beside it."""
    member(world, "ann")
    gate = world.run(signing_in("ann"))
    out = yield {
        "login": world.call(login(None, encoded({"a": 1}), gate, SETTINGS)),
        "fresh": world.call(enter(None, "ann", encoded({"a": 1}))),
        "everywhere": world.call(everywhere("ann")),
    }
    if out["everywhere"].acknowledged:
        signed = _signed(out["login"])
        assert signed is None or proved(world, signed.credential) is None, "a sign-in from before escaped"
    names = set(world.run(listed("ann")))
    assert sessions_of(world, "ann") <= names, "a living session is not on the list"
    signed = _signed(out["fresh"])
    if signed is not None and proved(world, signed.credential) is not None:
        assert values(world, signed.credential) == {"a": 1}


@scene
def nothing_of_u_reaches_v(world: World) -> Story:
    """u's data, identity removed or not, late or not, is never v's; u's endings never end v's session."""
    cookie = member(world, "u", secret="u's")

    async def forget_then_v() -> Saved[Credential] | None:
        session = await world.call(load(cookie))
        if session is None:
            return None
        bare = await world.call(forget_identity(session, {}, SETTINGS))
        if bare.credential is None:
            return None
        return await sign_in(world, bare.credential, "v")

    out = yield {
        "late": edit(world, cookie, setting(more="u's")),
        "switch": sign_in(world, cookie, "v"),
        "forget": forget_then_v(),
    }
    signed = [saved for name in ("switch", "forget") if (saved := _signed(out[name])) is not None]
    for saved in signed:
        session = proved(world, saved.credential)
        assert session is not None, "v's acknowledged sign-in is dead"
        assert session.subject == "v"
        assert not values_of(session), "u's data reached v"
        assert proved(world, cookie) is None, "u's session lives on in a browser that v uses"
    world.run(everywhere("u"))
    for saved in signed:
        assert proved(world, saved.credential) is not None, "u's log-out-everywhere ended v's session"


@scene
def taking_the_identity_away(world: World) -> Story:
    """``forget_identity``: a new cookie, the data stays, the session ends with all of that subject's."""
    cookie = member(world, "ann", cart=["x"])

    async def forget() -> Saved[Credential] | None:
        session = await world.call(load(cookie))
        if session is None:
            return None
        return await world.call(forget_identity(session, encoded({"bye": 1}), SETTINGS))

    out = yield {"forget": forget(), "late": edit(world, cookie, appending("cart", "y"))}
    _sends_no_cookie(out["late"])
    bare = _signed(out["forget"])
    if bare is None or bare.credential is None:
        return
    assert proved(world, cookie) is None, "the cookie from before still proves the session"
    session = proved(world, bare.credential)
    assert session is not None
    assert session.subject is None, "the identity is still there"
    there = values_of(session)
    assert there["bye"] == 1
    assert there["cart"][0] == "x"
    if out["late"].acknowledged and out["late"].value is not None and not out["late"].value.dropped:
        assert "y" in there["cart"], "an acknowledged append was lost"
    world.run(everywhere("ann"))
    assert proved(world, bare.credential) is None, "a session that was ann's outlives her log-out-everywhere"


@scene
def what_was_u_s_is_lost(world: World) -> Story:
    """u's identity was removed, then the record is lost: what is made again of it never becomes v's."""
    cookie = member(world, "u", secret="u's")
    session = world.run(load(cookie))
    assert session is not None
    bare = world.run(forget_identity(session, {}, SETTINGS)).credential
    assert bare is not None
    world.events = {"eviction": lambda: world.evict(session.key)}

    async def browser() -> Saved[Credential] | None:
        saved = await edit(world, bare, setting(page=1))
        if saved is None:
            return None
        return await sign_in(world, saved.credential or bare, "v")

    out = yield {"browser": browser()}
    signed = _signed(out["browser"])
    if signed is not None:
        assert not values(world, signed.credential), "u's data reached v"


@scene
def a_forged_cookie(world: World) -> Story:
    """Nothing but the cookie that was sent proves a session, no id is adopted, and no secret is stored."""
    ring = KeyRing(["a secret of the application's own"])
    cookie = visitor(world, a=1)
    forged = to_cookie(cookie, KeyRing(["a secret that somebody else made up"]))
    altered = to_cookie(cookie, ring).swapcase()
    assert from_cookie(to_cookie(cookie, ring), ring) == cookie
    assert from_cookie(forged, ring) is None, "a cookie that was not made with our keys was believed"
    assert from_cookie(altered, ring) is None
    world.faults = ("unanswered",)
    out = yield {
        "guesser": edit(world, Credential(cookie.selector, bytes(16)), setting(a=2)),
        "inventor": edit(world, Credential("a" * 16, bytes(16)), setting(a=2)),
        "owner": edit(world, cookie, setting(b=1)),
    }
    for name in ("guesser", "inventor"):
        assert out[name].value is None, "a made-up cookie proved a session"
    assert session_key("a" * 16) not in world.engine.records, "an id that the client made up was adopted"
    for record in world.engine.records.values():
        assert cookie.verifier not in record.fields.values(), "the secret itself is stored"
