"""Carrying sessions over from another library: nobody is signed out, nobody comes back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.simulation.browser import SETTINGS, TEN_MINUTES, Edit, appending, changed, read, setting, values_of
from tests.simulation.scene import scene

from moored.adopt.old import OldRows
from moored.adopt.place import MARKED, Replaced, Row
from moored.adopt.session import OldProof, OldSession
from moored.adopt.store import Adopting
from moored.adopt.window import Window
from moored.commands import Read
from moored.kinds.sessions.ending import everywhere
from moored.kinds.sessions.record import Session
from moored.kinds.sessions.saving import Saved
from moored.kinds.sessions.subjects import Origin
from moored.seal import KeyRing
from moored.testing.simulate import Story, World
from moored.web.store import Moved, ServerSide

HOUR = 3_600_000  # milliseconds


class Shelf:
    """A place for rows in memory; what it promises is what ``moored.adopt.place`` says."""

    name = "a shelf"

    def __init__(self, **rows: dict[str, Any]) -> None:
        self._numbers = itertools.count()
        self.rows: dict[str, tuple[bytes, Mapping[str, Any]]] = {
            name: (self._raw(), values) for name, values in rows.items()
        }

    def _raw(self) -> bytes:
        return b"%d" % next(self._numbers)

    def row_id(self, cookie: str) -> str | None:
        return cookie

    def new_id(self) -> str:
        return f"new{next(self._numbers)}"

    def cookie_of(self, row_id: str) -> str:
        return row_id

    def read(self, row_id: str) -> Row | None:
        if row_id not in self.rows:
            return None
        raw, values = self.rows[row_id]
        return Row(raw, dict(values), moved=values is MARKED)

    def replace(
        self, row_id: str, before: bytes | None, values: Mapping[str, Any] | None, ttl: int
    ) -> Replaced | None:
        there = self.rows.get(row_id)
        if (None if there is None else there[0]) != before:
            return None
        if values is None:
            del self.rows[row_id]
            return Replaced(None)
        raw = self._raw()
        self.rows[row_id] = raw, values
        return Replaced(raw)

    def mark(self, row_id: str, before: bytes, ttl: int) -> bool:
        return self.replace(row_id, before, MARKED, ttl) is not None

    def ids(self) -> Iterator[str]:
        return iter(list(self.rows))

    def is_empty(self) -> bool:
        return not self.rows

    def close(self) -> None:
        pass


class Slow(OldRows):
    """Rows in a store that takes its time: anything may happen before it carries a question out."""

    async def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        await Read("the way to the shelf")
        return await super()._ask(call, *arguments)


def adopting(world: World, shelf: Shelf, length: int) -> tuple[Adopting, OldProof]:
    """Sessions that are being moved, and the cookie of the one called ``old``."""
    ring = KeyRing(["the secret of these scenes"])
    old = Slow(shelf, SETTINGS, lambda: ring)
    store = Adopting(
        ServerSide(SETTINGS, lambda: ring), [old], Window("shelf", length, lambda: False, clock=lambda: 0.0)
    )
    store.window._ends, store.window._closed = float(length), not length  # it has been learned
    proof = old.proof("old")
    assert proof is not None
    return store, proof


async def old_worker(world: World, shelf: Shelf, values: dict[str, Any]) -> bool:
    """A worker of the old library saves this; false if it comes after the mark, and does not."""
    await world.call(read("the way to the shelf"))
    if shelf.rows["old"][1] is MARKED:
        return False
    shelf.rows["old"] = shelf._raw(), values
    return True


async def looked(store: Adopting, proof: OldProof) -> Session | None:
    """The live session that the old cookie proves."""
    found = await store.look(proof)
    if isinstance(found, Moved):
        found = found.session
    return found if isinstance(found, Session) else None


async def request(world: World, store: Adopting, proof: OldProof, change: Edit) -> Saved[Any] | None:
    """A request with the old cookie that changes something; None if it found no session."""
    session = await world.call(looked(store, proof))
    return None if session is None else await world.call(store.save(session, changed(session, change)))


async def sign_out(world: World, store: Adopting, proof: OldProof) -> bool:
    """A request with the old cookie that signs out."""
    session = await world.call(looked(store, proof))
    return session is not None and await world.call(store.logout(session))


def _two_add(world: World, length: int) -> Story:
    store, proof = adopting(world, Shelf(old={"cart": ["x"], "user_id": 7}), length)
    out = yield {name: request(world, store, proof, appending("cart", name)) for name in "ab"}
    session = world.run(looked(store, proof))
    assert session is not None, "the move has signed somebody out"
    assert isinstance(session, OldSession) == bool(length)
    assert session.subject == "7"
    cart = values_of(session)["cart"]
    for one in out.values():
        assert not one.acknowledged or one.value is not None, "a request was served without its session"
    kept = [name for name, one in out.items() if one.acknowledged and not one.value.dropped]
    assert {"x", *kept} <= set(cart), f"of {kept} only {cart} is there"
    assert len(cart) == len(set(cart)), "what was added once is there twice"
    for name, one in out.items():
        assert not one.acknowledged or not one.value.dropped, f"the change of {name} was dropped"


@scene
def two_requests_carry_one_session_over(world: World) -> Story:
    """Both go on with the same record, and nothing of either is lost."""
    return _two_add(world, 0)


@scene
def two_requests_beside_old_workers(world: World) -> Story:
    """While old workers are serving, rows are merged as records are."""
    return _two_add(world, HOUR)


def _sign_out_beside_a_save(world: World, length: int) -> Story:
    shelf = Shelf(old={"user_id": 7})
    store, proof = adopting(world, shelf, length)
    out = yield {"out": sign_out(world, store, proof), "late": request(world, store, proof, setting(a=1))}
    if out["out"].acknowledged and out["out"].value:
        assert world.run(looked(store, proof)) is None, "the late request has signed somebody in again"
        world.clock.elapsed += (TEN_MINUTES + 1) * 1000
        assert world.run(looked(store, proof)) is None, "the session came back when its tombstone had gone"


@scene
def a_sign_out_while_a_session_is_carried_over(world: World) -> Story:
    """It stays ended, whatever else was under way with the old cookie, and for good."""
    return _sign_out_beside_a_save(world, 0)


@scene
def a_sign_out_beside_old_workers(world: World) -> Story:
    """It stays ended while old workers are serving, too."""
    return _sign_out_beside_a_save(world, HOUR)


@scene
def everywhere_reaches_sessions_that_are_not_here_yet(world: World) -> Story:
    """Signed out everywhere, nobody gets in by a session that was not carried over before."""
    store, proof = adopting(world, Shelf(old={"user_id": 7}), 0)
    out = yield {
        "everywhere": world.call(everywhere("7")),
        "request": request(world, store, proof, setting(a=1)),
    }
    if out["everywhere"].acknowledged:
        assert world.run(looked(store, proof)) is None, "a session escaped"


@scene
def a_planted_cookie_beside_old_workers(world: World) -> Story:
    """Who signs in gets another cookie: the one from before proves nobody."""
    store, proof = adopting(world, Shelf(old={"cart": ["x"]}), HOUR)

    async def sign_in() -> Saved[Any] | None:
        session = await world.call(looked(store, proof))
        if session is None:
            return None
        gate = await world.call(store.signing_in("7"))
        change = changed(session, setting(user_id=7))
        return await world.call(store.login(session, change, gate, cleared=False, origin=Origin()))

    out = yield {"victim": sign_in(), "attacker": request(world, store, proof, setting(a=1))}
    kept = out["attacker"].acknowledged and out["attacker"].value and not out["attacker"].value.dropped
    there = world.run(looked(store, proof))
    assert there is None or there.subject is None, "the planted cookie proves somebody"
    if out["attacker"].acknowledged and out["attacker"].value:
        assert out["attacker"].value.credential is None, "a superseded request sent a cookie"
    if out["victim"].acknowledged and out["victim"].value:
        session = world.run(looked(store, out["victim"].value.credential))
        assert session is not None, "an acknowledged sign-in is dead"
        assert session.subject == "7"
        assert values_of(session)["cart"] == ["x"]
        assert not kept or "a" in values_of(session), "an acknowledged change is gone"


def _old_worker_beside_requests(world: World, values: dict[str, Any]) -> tuple[Story, Adopting, OldProof]:
    shelf = Shelf(old={"user_id": 7, "cart": ["x"]})
    store, proof = adopting(world, shelf, 0)

    def story() -> Story:
        out = yield {
            "old": old_worker(world, shelf, values),
            "a": request(world, store, proof, setting(a=1)),
            "b": request(world, store, proof, setting(b=1)),
        }
        if not (out["old"].acknowledged and out["old"].value):
            return
        session = world.run(looked(store, proof))
        assert session is not None, "the move has signed somebody out"
        there = {name: value for name, value in values_of(session).items() if name not in "ab"}
        assert there == values, f"an old worker left {values}, and there is {there}"
        assert session.subject == session.owner == (str(values["user_id"]) if "user_id" in values else None)
        for name in "ab":
            if out[name].acknowledged and out[name].value and not out[name].value.dropped:
                assert name in values_of(session), f"the change of {name} is gone"

    return story(), store, proof


@scene
def an_old_worker_signs_out_while_a_session_is_carried_over(world: World) -> Story:
    """What an old worker writes before the row is marked is carried over: nobody is signed in again."""
    story, _, _ = _old_worker_beside_requests(world, {"cart": ["y"]})
    yield from story


@scene
def an_old_worker_signs_somebody_else_in_while_a_session_is_carried_over(world: World) -> Story:
    """The record is that person's then, and ended when they sign out everywhere."""
    story, store, proof = _old_worker_beside_requests(world, {"user_id": 8})
    yield from story
    world.run(everywhere("8"))
    session = world.run(looked(store, proof))
    assert session is None or session.subject == "7", "a session escaped"


@scene
def an_old_worker_writes_after_a_sign_out(world: World) -> Story:
    """What it writes late, to a row that has gone, lets nobody in here, then or ten minutes later."""
    shelf = Shelf(old={"user_id": 7})
    store, proof = adopting(world, shelf, HOUR)

    async def late() -> None:
        await world.call(read("the way to the shelf"))
        shelf.rows["old"] = shelf._raw(), {"user_id": 7, "late": True}

    out = yield {"out": sign_out(world, store, proof), "old": late()}
    if out["out"].acknowledged and out["out"].value:
        assert world.run(looked(store, proof)) is None, "a late write has signed somebody in again"
        world.clock.elapsed += (TEN_MINUTES + 1) * 1000
        assert world.run(looked(store, proof)) is None, "a late write lets somebody in when its time has come"
