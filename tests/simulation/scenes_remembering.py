"""Remember-me cookies: whose session was ended does not come back by the cookie of its browser."""

from __future__ import annotations

from msgspec.structs import replace
from tests.simulation.browser import (
    SETTINGS,
    alive,
    encoded,
    member,
    proved,
    read,
    sessions_of,
    visitor,
)
from tests.simulation.scene import scene

from moored.commands import Record
from moored.kinds.sessions import Sessions
from moored.kinds.sessions.browsers import browsers_of
from moored.kinds.sessions.ending import everywhere
from moored.kinds.sessions.gate import Gate, signing_in
from moored.kinds.sessions.record import Credential, Session, session_key
from moored.kinds.sessions.saving import Saved, load
from moored.kinds.sessions.settings import SessionSettings
from moored.kinds.sessions.signing import forget_identity, login, logout
from moored.kinds.sessions.subjects import listed, subject_key
from moored.seal import KeyRing
from moored.testing.simulate import Story, World
from moored.web.remember import proven, value_for

RING = KeyRing(["a secret of the application's own"])


class Browser:
    """One that remembers ann: the session that she signed in to there, and its remember-me cookie."""

    def __init__(self, world: World, *, named: bool = True) -> None:
        self.other: Credential = member(world, "ann")  # another device of hers, which is never ended
        self.world = world
        gate = world.run(signing_in("ann"))
        saved = world.run(login(None, {}, replace(gate, wanted=named), SETTINGS))
        self.session: Session = saved.session
        self.cookie: Credential | None = saved.credential
        self.value: str = value_for(gate, saved.session.browser, RING)

    async def come_back(self, settings: SessionSettings = SETTINGS) -> Saved[Credential] | None:
        """A request that has nothing but the remember-me cookie; None if that is not good."""
        gate = await self.world.call(signing_in("ann"))
        shown = proven(self.value, gate, RING)
        if shown is None:
            return None
        return await self.world.call(login(None, {}, gate.by_cookie(shown.browser), settings))

    def is_good(self) -> bool:
        """Would the cookie sign her in now?"""
        gate = self.world.run(signing_in("ann"))
        return proven(self.value, gate, RING) is not None

    def sessions(self) -> set[str]:
        """The living sessions that are of this browser, without a step."""
        return {
            name
            for name in sessions_of(self.world, "ann")
            if (record := alive(self.world, session_key(name))) is not None
            and record.fields.get("@browser", b"").decode() == self.session.browser
        }

    async def revoke(self) -> bool:
        """End the session that was signed in to, as the list of devices does."""
        sessions = Sessions(self.world.binding, "")
        return await self.world.call(sessions.revoke(self.session.selector, subject="ann"))


@scene
def a_revoked_browser_stays_out(world: World) -> Story:
    """Neither its cookie, nor a session that the cookie was just beginning, outlives the revocation."""
    browser = Browser(world)
    out = yield {
        "revoke": browser.revoke(),
        "one tab": browser.come_back(),
        "another": browser.come_back(),
    }
    if out["revoke"].acknowledged:
        assert not browser.is_good(), "a remember-me cookie outlived the end of its session"
        assert sessions_of(world, "ann") <= {browser.other.selector}, "a remembered sign-in escaped"
        assert out["revoke"].value, "it was alive"
    names = set(world.run(listed("ann")))
    assert sessions_of(world, "ann") <= names, "a living session is not on the list"
    assert browser.other.selector in names, "her other device was signed out"


@scene
def a_session_that_a_cookie_began(world: World) -> Story:
    """Ending it ends the cookie, and the session that began before it in that browser."""
    browser = Browser(world)
    later = world.run(browser.come_back())
    assert later is not None
    sessions = Sessions(world.binding, "")
    out = yield {
        "revoke": world.call(sessions.revoke(later.session.selector)),
        "tab": browser.come_back(),
    }
    if out["revoke"].acknowledged:
        assert not browser.is_good(), "a remember-me cookie outlived the end of its session"
        assert not browser.sessions(), "a session of that browser outlived it"


@scene
def what_has_expired_is_forgotten_too(world: World) -> Story:
    """The session is gone, and off the list: revoking it ends the cookie, unless that began a later one."""
    browser = Browser(world)
    world.evict(browser.session.key)
    world.jump(70_000)
    world.faults = ("unanswered", "late", "crash")
    out = yield {"list": world.call(listed("ann")), "revoke": browser.revoke(), "tab": browser.come_back()}
    if out["revoke"].acknowledged:
        assert not out["revoke"].value, "it was not alive"
        record = world.run(read(subject_key("ann")))
        there = browsers_of(record).get(browser.session.browser) if record is not None else None
        assert there is None or there.selector != browser.session.selector, "the cookie was not ended"


@scene
def a_cookie_that_names_no_browser(world: World) -> Story:
    """It is refused once any of the user's sessions is revoked, also while it is signing them in."""
    browser, gone = Browser(world, named=False), member(world, "ann")
    done: list[bool] = []

    async def revoke() -> None:
        await world.call(Sessions(world.binding, "").revoke(gone.selector, subject="ann"))
        done.append(True)

    def check(key: str, before: Record | None, after: Record | None) -> None:
        if done and key == subject_key("ann") and before is not None and after is not None:
            new = {name for name in after.fields if name[:2] == "s."} - before.fields.keys()
            assert not new, "a remembered sign-in escaped"

    world.watchers.append(check)
    out = yield {"revoke": revoke(), "tab": browser.come_back()}
    if out["revoke"].acknowledged:
        assert not browser.is_good(), "a cookie that may be of the ended session's browser is good"
    assert out["tab"].value is None or out["tab"].value.session.browser, "what it began names no browser"


@scene
def a_password_beside_the_revocation(world: World) -> Story:
    """Who gives the password there meanwhile is in, and what had been copied of the cookie is worthless."""
    browser = Browser(world)
    cookie = browser.cookie

    async def give_the_password() -> Saved[Credential]:
        gate = await world.call(signing_in("ann"))
        assert cookie is not None
        session = await world.call(load(cookie))
        return await world.call(login(session, {}, _remembering(gate, browser), SETTINGS))

    out = yield {"revoke": browser.revoke(), "password": give_the_password()}
    signed = out["password"].value if out["password"].acknowledged else None
    if signed is None:
        return
    gate = world.run(signing_in("ann"))  # whoever reads finishes what was interrupted
    session = proved(world, signed.credential)
    if session is not None:
        assert proven(value_for(gate, session.browser, RING), gate, RING), "it is not remembered"
    if out["revoke"].acknowledged:
        assert not browser.is_good(), "a copied cookie is good again"


def _remembering(gate: Gate, browser: Browser) -> Gate:
    """As the host says it: that which remembers so far, or a new one."""
    shown = proven(browser.value, gate, RING)
    return replace(gate, browser="" if shown is None else shown.browser, wanted=True)


@scene
def a_sign_out_forgets(world: World) -> Story:
    """After a sign-out no copy of the remember-me cookie is good, and no session that it was beginning."""
    browser = Browser(world)

    async def leave() -> bool:
        return await world.call(logout(browser.session))

    out = yield {"leave": leave(), "copy": browser.come_back()}
    if out["leave"].acknowledged and out["leave"].value:
        assert not browser.is_good(), "a copy of the cookie outlived the sign-out"
        assert not browser.sessions(), "a remembered sign-in escaped"


@scene
def taking_the_identity_away_forgets(world: World) -> Story:
    """The same where the data stays; nothing of it names the browser any more."""
    browser = Browser(world)

    async def leave() -> Saved[Credential]:
        return await world.call(forget_identity(browser.session, encoded({"bye": 1}), SETTINGS))

    out = yield {"leave": leave(), "copy": browser.come_back()}
    if out["leave"].acknowledged:
        assert not browser.is_good(), "a copy of the cookie outlived the sign-out"
        assert not browser.sessions(), "a remembered sign-in escaped"
        bare = proved(world, out["leave"].value.credential)
        assert bare is not None, "the data is gone"
        assert not bare.browser


@scene
def signing_out_everywhere_forgets(world: World) -> Story:
    """All browsers but the kept one are off the list, and the cookies of that one too are of an old epoch."""
    browser = Browser(world)
    kept = Browser(world)

    async def victim() -> None:
        await world.call(everywhere("ann", kept.session.selector))

    out = yield {"victim": victim(), "tab": browser.come_back(), "copy": kept.come_back()}
    if out["victim"].acknowledged:
        assert not browser.is_good()
        assert not kept.is_good(), "a copy of the kept browser's cookie outlived the sign-out everywhere"
        record = world.run(read(subject_key("ann")))
        assert record is not None
        assert list(browsers_of(record)) == [kept.session.browser]
        assert sessions_of(world, "ann") <= {kept.session.selector}, "a remembered sign-in escaped"


@scene
def a_new_cookie_is_no_new_session(world: World) -> Story:
    """A request that only renews its session's cookie does not bring it back after its end."""
    browser = Browser(world)

    async def renew() -> Saved[Credential] | None:
        session = browser.session
        gate = await world.call(signing_in("ann"))
        return await world.call(login(session, {}, replace(gate, renews=True), SETTINGS))

    out = yield {"renew": renew(), "revoke": browser.revoke()}
    if out["revoke"].acknowledged:
        renewed = out["renew"].value if out["renew"].acknowledged else None
        assert renewed is None or proved(world, renewed.credential) is None, "the ended session came back"
        assert not browser.sessions()
        assert len(sessions_of(world, "ann")) == 1, "a session that was ended came back under another name"


@scene
def more_browsers_than_are_remembered(world: World) -> Story:
    """Over the maximum the one that was used longest ago is forgotten, and none that is used more."""
    settings = SessionSettings(each=2)
    oldest = Browser(world)
    world.jump(1_000)
    newer = Browser(world)
    world.jump(1_000)
    planted = visitor(world)

    async def enter() -> Saved[Credential]:
        gate = await world.call(signing_in("ann"))
        session = await world.call(load(planted))
        return await world.call(login(session, {}, replace(gate, wanted=True), settings))

    out = yield {"login": enter(), "tab": newer.come_back(settings)}
    record = world.run(read(subject_key("ann")))
    assert record is not None
    assert len(browsers_of(record)) <= 2, "more are remembered than the maximum"
    if out["login"].acknowledged:
        assert not oldest.is_good()
        assert newer.is_good(), "one was forgotten that was used later"
