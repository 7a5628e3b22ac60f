"""Ending sessions: what was ended stays ended, what was not lives, and the list tells which."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from tests.simulation.browser import (
    SETTINGS,
    appending,
    edit,
    encoded,
    member,
    proved,
    read,
    sessions_of,
    setting,
    sign_in,
    values,
    visitor,
)
from tests.simulation.scene import scene

from moored.commands import Sleep
from moored.errors import GoneError, LoginRefused
from moored.kinds.sessions import Sessions
from moored.kinds.sessions.ending import end, end_any, everywhere
from moored.kinds.sessions.gate import Gate, enlist, signing_in
from moored.kinds.sessions.record import Credential, Session, session_key
from moored.kinds.sessions.saving import Saved, create, load
from moored.kinds.sessions.settings import DAY, SessionSettings
from moored.kinds.sessions.signing import forget_identity, login, logout
from moored.kinds.sessions.subjects import (
    Origin,
    listed,
    subject_key,
)
from moored.run import Program
from moored.testing.simulate import Story, World


async def _leave(world: World, cookie: Credential) -> bool:
    session = await world.call(load(cookie))
    return session is not None and await world.call(logout(session))


@scene
def logout_is_final(world: World) -> Story:
    """No save in flight brings a signed-out session back, its user sees no error, and it sends no cookie."""
    cookie = member(world, "ann", cart=[])
    key = session_key(cookie.selector)
    ended: list[bool] = []

    async def leave() -> bool:
        done = await _leave(world, cookie)
        ended.append(True)
        return done

    def check() -> None:
        record = world.engine.records.get(key)
        assert not ended or (record and record.dead), "the session came back, or nothing tells that it ended"

    world.always = check
    out = yield {"save": edit(world, cookie, appending("cart", "a")), "leave": leave()}
    assert not isinstance(out["save"].error, GoneError), "a signed-out user was shown an error"
    if out["leave"].acknowledged:
        assert proved(world, cookie) is None
        if out["save"].acknowledged and out["save"].value is not None:
            assert out["save"].value.credential is None, "a request of an ended session sent a cookie"


async def _renew(world: World, cookie: Credential) -> Credential | None:
    """A request of whoever is signed in that only gets another cookie."""
    session = await world.call(load(cookie))
    if session is None or session.subject is None:
        return None
    gate = replace(await world.call(signing_in(session.subject)), renews=True)
    return (await world.call(login(session, {}, gate, SETTINGS))).credential


def _beside_another_cookie(world: World, leaving: Callable[[Session], Program[object]]) -> Story:
    cookie = member(world, "ann")
    ended: list[bool] = []

    async def leave() -> None:
        session = await world.call(load(cookie))
        if session is not None:
            await world.call(leaving(session))
            ended.append(True)

    async def renew() -> None:
        renewed = await _renew(world, cookie)
        if renewed is not None:
            await _renew(world, renewed)

    def check() -> None:
        assert not ended or not sessions_of(world, "ann"), "somebody who signed out is signed in"

    world.always = check
    yield {"leave": leave(), "renew": renew()}


@scene
def a_sign_out_beside_another_cookie(world: World) -> Story:
    """A sign-out ends the session also if another tab has given it another cookie since it was read."""
    return _beside_another_cookie(world, logout)


@scene
def taking_the_identity_away_beside_another_cookie(world: World) -> Story:
    """So does a sign-out that would have left the data."""
    return _beside_another_cookie(world, lambda session: forget_identity(session, {}, SETTINGS))


@scene
def a_late_flush_ends_nothing(world: World) -> Story:
    """A visitor's late ``clear()`` does not end the sign-in that came meanwhile."""
    cookie = visitor(world, cart=[])
    out = yield {"flush": _leave(world, cookie), "login": sign_in(world, cookie, "ann")}
    if out["login"].acknowledged and out["login"].value is not None:
        assert proved(world, out["login"].value.credential) is not None, "the new sign-in was ended"


@scene
def clearing_and_going_on(world: World) -> Story:
    """Data written after ``clear()`` goes to a new selector, and nothing late follows it there."""
    cookie = member(world, "ann", secret="hers")

    async def clear_and_write() -> Saved[Credential] | None:
        if not await _leave(world, cookie):
            return None
        return await world.call(create(encoded({"hello": 1}), SETTINGS))

    out = yield {"clear": clear_and_write(), "late": edit(world, cookie, setting(late=1))}
    if out["clear"].acknowledged and out["clear"].value is not None:
        fresh = out["clear"].value.credential
        assert fresh.selector != cookie.selector
        assert values(world, fresh) == {"hello": 1}
        assert proved(world, cookie) is None


@scene
def everywhere_leaves_none(world: World) -> Story:
    """After the acknowledgement none is alive that was before; a sign-in beside it is listed or refused."""
    first, planted = member(world, "ann"), visitor(world)
    done: list[bool] = []

    async def attacker() -> tuple[Saved[Credential] | None, bool]:
        after = bool(done)
        gate = await world.call(signing_in("ann"))  # then the password is looked at
        session = await world.call(load(planted))
        return (None if session is None else await world.call(login(session, {}, gate, SETTINGS))), after

    async def victim() -> None:
        await world.call(Sessions(world.binding, "").revoke_subject("ann"))
        done.append(True)

    out = yield {"attacker": attacker(), "victim": victim()}
    if out["victim"].acknowledged:
        assert proved(world, first) is None, "a session survived its log-out-everywhere"
    names = set(world.run(listed("ann")))  # whoever reads finishes what was interrupted
    record = world.run(read(subject_key("ann")))
    assert record is not None
    assert not [name for name in record.fields if name[:2] == "e."], "an ending was not finished"
    assert sessions_of(world, "ann") <= names, "a living session is not on the list"


@scene
def a_login_between_cannot_escape(world: World) -> Story:
    """Who proved who they are before the log-out-everywhere is refused or ended, old or new selector."""
    planted, other = visitor(world), member(world, "bob", secret="b")
    gate = world.run(signing_in("ann"))

    async def attacker(cookie: Credential | None) -> Saved[Credential] | None:
        session = None if cookie is None else await world.call(load(cookie))
        return await world.call(login(session, {}, gate, SETTINGS))

    out = yield {
        "visitor": attacker(planted),
        "switcher": attacker(other),
        "nobody": attacker(None),
        "victim": _revoke(world, "ann"),
    }
    if out["victim"].acknowledged:
        assert not sessions_of(world, "ann"), "a sign-in from before escaped"


async def _revoke(world: World, subject: str, keep: str | None = None) -> None:
    await world.call(everywhere(subject, keep))


@scene
def an_old_password(world: World) -> Story:
    """``signing_in`` before the proof: a password that was changed in between lets nobody in."""
    planted = visitor(world)
    password = ["old"]

    async def attacker() -> None:
        gate = await world.call(signing_in("ann"))
        session = await world.call(load(planted))
        if password[0] == "old":
            await world.call(login(session, {}, gate, SETTINGS))

    async def victim() -> None:
        await world.call(read("password"))
        password[0] = "new"
        await world.call(everywhere("ann"))

    out = yield {"attacker": attacker(), "victim": victim()}
    if out["victim"].acknowledged:
        assert not sessions_of(world, "ann"), "the old password still lets in"


@scene
def a_slow_proof(world: World) -> Story:
    """A sign-in whose proof took minutes stays on the list, whoever looks at the list meanwhile."""
    cookie = visitor(world)
    member(world, "ann")
    gate = world.run(signing_in("ann"))
    world.faults = ("unanswered", "crash")
    world.jump(5 * 60_000)
    out = yield {
        "login": world.call(_enter(cookie, gate)),
        "list": world.call(listed("ann")),
        "again": world.call(listed("ann")),
    }
    names = set(world.run(listed("ann")))
    assert sessions_of(world, "ann") <= names
    assert not isinstance(out["login"].error, LoginRefused), "a sign-in was refused although nobody was ended"


async def _enter(cookie: Credential, gate: Gate) -> Saved[Credential]:
    return await login(await load(cookie), {}, gate, SETTINGS)


@scene
def listing_prunes_only_the_stale(world: World) -> Story:
    """Listing removes entries whose session is gone, and never one of a sign-in on its way."""
    gone, planted = member(world, "ann"), visitor(world)
    world.run(_listed_only(planted))
    world.jump(70_000)
    world.evict(session_key(gone.selector))
    world.faults = ("unanswered", "late", "crash")
    world.events = {"expiry": lambda: world.jump(70_000)}
    out = yield {
        "login": sign_in(world, planted, "ann"),
        "list": world.call(listed("ann")),
        "again": world.call(listed("ann")),
    }
    for name in ("list", "again"):
        if out[name].acknowledged:
            assert gone.selector not in out[name].value, "a session that is gone was listed"
    world.jump(70_000)
    names = set(world.run(listed("ann")))
    assert sessions_of(world, "ann") == names
    record = world.run(read(subject_key("ann")))
    assert record is not None
    assert {name[2:] for name in record.fields if name[:2] == "s."} == names, "a stale entry was kept"


async def _listed_only(cookie: Credential) -> None:
    """What a sign-in leaves behind that died between its steps."""
    await enlist(await signing_in("ann"), cookie.selector, Origin(), SETTINGS)


@scene
def the_kept_one_lives_throughout(world: World) -> Story:
    """``keep=`` is alive at every moment; what was interrupted is finished by the next reader."""
    kept, lost = member(world, "ann"), member(world, "ann")
    key = session_key(kept.selector)

    def check() -> None:
        assert not world.engine.records[key].dead, "the kept session died"

    world.always = check
    out = yield {
        "everywhere": _revoke(world, "ann", kept.selector),
        "tab": edit(world, kept, setting(a=1)),
        "reader": world.call(listed("ann")),
    }
    begun = world.run(read(subject_key("ann")))
    assert begun is not None
    world.run(listed("ann"))
    if out["everywhere"].acknowledged or any(name[:2] == "e." for name in begun.fields):
        assert proved(world, lost) is None, "a session survived"
    assert proved(world, kept) is not None


@scene
def only_ones_own(world: World) -> Story:
    """Ending by selector ends the subject's own session only; an operator ends any, for good."""
    ann, bob, eve = member(world, "ann"), member(world, "bob"), member(world, "eve")
    out = yield {
        "thief": world.call(end("bob", ann.selector)),
        "owner": world.call(end("bob", bob.selector)),
        "operator": world.call(end_any(eve.selector)),
        "late": edit(world, eve, setting(a=1)),
    }
    assert proved(world, ann) is not None, "somebody else's session was ended"
    assert not out["thief"].value
    for name, cookie in (("owner", bob), ("operator", eve)):
        if out[name].acknowledged:
            assert proved(world, cookie) is None, "a session lives that was ended"
    if out["owner"].acknowledged and out["owner"].value:
        assert bob.selector not in world.run(listed("bob"))


@scene
def over_the_maximum(world: World) -> Story:
    """The oldest ends; never more live than the maximum, and none lives unlisted."""
    settings = SessionSettings(each=1)
    visitors = {name: visitor(world) for name in "ab"}
    old = member(world, "ann")
    world.jump(1_000)
    out = yield {name: sign_in(world, cookie, "ann", None, settings) for name, cookie in visitors.items()}
    if any(one.acknowledged and one.value for one in out.values()):
        assert proved(world, old) is None, "the oldest lives on"
    names = set(world.run(listed("ann")))
    assert sessions_of(world, "ann") <= names, "a living session is not on the list"
    assert len(names) <= 1, "more live than the maximum"
    if all(one.acknowledged and one.value for one in out.values()):
        assert len(names) == 1


@scene
def the_oldest_ends_first(world: World) -> Story:
    """Over the maximum it is the session signed in to first that ends; the other one is not touched."""
    settings = SessionSettings(each=2)
    oldest = member(world, "ann")
    world.jump(1_000)
    newer = member(world, "ann")
    planted = visitor(world)
    key = session_key(newer.selector)

    def check() -> None:
        assert not world.engine.records[key].dead, "the newer session was ended"

    world.always = check
    out = yield {
        "login": sign_in(world, planted, "ann", None, settings),
        "tab": edit(world, newer, setting(a=1)),
        "reader": world.call(listed("ann")),
    }
    if out["login"].acknowledged and out["login"].value is not None:
        assert proved(world, oldest) is None, "the oldest lives on"


@scene
def over_the_maximum_while_everywhere(world: World) -> Story:
    """A sign-in that ends the oldest beside a log-out-everywhere: what was there before is dead."""
    settings = SessionSettings(each=2)
    old = [member(world, "ann"), member(world, "ann")]
    planted = visitor(world)
    out = yield {
        "login": sign_in(world, planted, "ann", None, settings),
        "everywhere": _revoke(world, "ann"),
    }
    names = set(world.run(listed("ann")))
    assert sessions_of(world, "ann") <= names
    assert len(names) <= 2
    if out["everywhere"].acknowledged:
        assert not [cookie for cookie in old if proved(world, cookie)], "a session survived"
    if out["login"].acknowledged and out["login"].value is not None:
        assert proved(world, old[0]) is None or proved(world, old[1]) is None


@scene
def a_list_that_is_lost(world: World) -> Story:
    """Where the subject's record is lost, a sign-in under way is refused; the next one begins a new list."""
    planted = visitor(world)
    gate = world.run(signing_in("ann"))
    world.evict(subject_key("ann"))

    async def old() -> Saved[Credential] | None:
        session = await world.call(load(planted))
        return await world.call(login(session, {}, gate, SETTINGS))

    out = yield {"old": old(), "new": sign_in(world, planted, "ann")}
    assert not out["old"].acknowledged or out["old"].value is None, "a sign-in got past a gate that was lost"
    if out["new"].acknowledged and out["new"].value is not None:
        assert proved(world, out["new"].value.credential) is not None
        assert sessions_of(world, "ann") == set(world.run(listed("ann")))


@scene
def a_list_outlives_its_sessions(world: World) -> Story:
    """A session that is used for months is still on the list, and still ended with all others."""
    cookie = member(world, "ann")
    world.faults = ("unanswered", "late", "crash")

    async def using() -> None:
        for _ in range(3):
            await Sleep(29 * DAY)
            await edit(world, cookie, lambda there: None)

    async def victim() -> None:
        await Sleep(88 * DAY)
        await world.call(everywhere("ann"))

    out = yield {"tab": using(), "victim": victim()}
    if out["victim"].acknowledged:
        assert proved(world, cookie) is None, "a session survived because the list had expired"
