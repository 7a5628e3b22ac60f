"""What the commands promise, whatever is interleaved and whatever goes wrong."""

from __future__ import annotations

from typing import Any

from tests.simulation.scene import scene

from moored.commands import (
    Acquire,
    Bury,
    Drop,
    Grant,
    Patch,
    Put,
    Read,
    Record,
    Refused,
    Sleep,
    Take,
    Taken,
    Written,
)
from moored.testing.simulate import Story, World

TOKEN = "@lease_token"


async def _read(key: str) -> Record | None:
    return await Read(key)


async def _put(key: str, body: bytes, version: int | None = None) -> Written | Refused:
    return await Put(key, {"v": body}, version=version)


async def _drop(key: str, version: int | None = None) -> bool | Refused:
    return await Drop(key, version=version)


@scene
def one_holder(world: World) -> Story:
    """Two leases in a row: each holder has a token of its own, and only the newer one can write."""
    tokens: list[int] = []

    async def holder(name: str) -> int | None:
        for _ in range(6):
            grant = await world.call(_acquire(name))
            if isinstance(grant, Grant):
                break
            await Sleep(2)
        else:
            return None
        tokens.append(grant.token)
        await Sleep(1)
        done = await world.call(_write_leased(name, grant.token))
        return grant.token if isinstance(done, Written) else None

    async def _acquire(name: str) -> Grant | Record | Refused:
        return await Acquire("lock", name, 4)

    async def _write_leased(name: str, token: int) -> Written | Refused:
        return await Patch("lock", {"by": name.encode()}, match={TOKEN: b"%d" % token})

    out = yield {"a": holder("a"), "b": holder("b")}
    assert len(set(tokens)) == len(tokens), "two were given one token"
    record = world.run(_read("lock"))
    winners = {one.value: name for name, one in out.items() if one.acknowledged and one.value}
    if record and winners and not any(one.unsure for one in out.values()):
        assert record.fields["by"].decode() == winners[max(winners)], "an older holder wrote over a newer one"


@scene
def one_claim(world: World) -> Story:
    """A key is claimed by one; a claim that lapsed is not believed in by two."""
    world.events = {"expiry": lambda: world.jump(60)}

    async def claim(name: str) -> bool:
        done = await Put("once", {"by": name.encode()}, version=0, ttl=50)
        return isinstance(done, Written) and not done.overtaken

    out = yield {name: world.call(claim(name)) for name in "ab"}
    believers = [name for name, one in out.items() if one.acknowledged and one.value]
    if len(believers) == 2:
        assert world.fired["expiry"] or world.fired["woken"], "both claimed it"
    record = world.run(_read("once"))
    if record and len(believers) == 1 and not any(one.unsure for one in out.values()):
        assert record.fields["by"].decode() == believers[0]


@scene
def a_drop_spares_the_next_life(world: World) -> Story:
    """A repeated Drop does not remove what was made after it."""
    made = world.run(_put("doc", b"old"))
    assert isinstance(made, Written)
    world.run(_put("other", b"old"))
    out = yield {
        "drop": world.call(_drop("doc", made.version)),
        "put": world.call(_put("doc", b"new", 0)),
        "blind drop": world.call(_drop("other")),
        "blind put": world.call(_put("other", b"new", 0)),
    }
    for name, key in (("put", "doc"), ("blind put", "other")):
        if out[name].acknowledged and isinstance(out[name].value, Written):
            record = world.run(_read(key))
            assert record is not None, "what was made later was removed"
            assert record.fields["v"] == b"new"


@scene
def a_version_never_comes_back(world: World) -> Story:
    """What was read in one life of a key is not written over the next one, lost or dropped in between."""
    world.run(_put("doc", b"1"))
    world.events = {"eviction": lambda: world.evict("doc"), "restart": world.lose}
    lives: list[int] = []

    async def editor() -> bool:
        record = await world.call(_read("doc"))
        if record is None:
            return False
        life = len(lives)
        done = await world.call(_put("doc", record.fields["v"] + b"'", record.version))
        if isinstance(done, Written) and not done.overtaken:
            assert life == len(lives), "an edit of the first life was written over the second"
        return True

    async def maker() -> None:
        if isinstance(await world.call(_put("doc", b"2", 0)), Written):
            lives.append(1)

    yield {"editor": editor(), "maker": maker()}


@scene
def a_tombstone_stays(world: World) -> Story:
    """Where something was ended nothing is written any more, guarded or not."""
    world.run(_put("doc", b"old"))
    buried: list[bool] = []

    async def bury() -> None:
        await world.call(_bury())
        buried.append(True)

    async def _bury() -> Any:
        return await Bury("doc")

    async def write() -> None:
        await Drop("doc")
        await Patch("doc", {"v": b"new"})
        await Put("doc", {"v": b"new"})

    def check() -> None:
        record = world.engine.records.get("doc")
        assert not buried or (record and record.dead), "what was ended was removed or written to"

    world.always = check
    yield {"bury": bury(), "write": world.call(write())}
    check()


@scene
def a_limit_is_spent_once(world: World) -> Story:
    """Two rates in one step; a repeated Take spends nothing."""

    async def take() -> Taken | Refused:
        return await Take("limit", ((10_000_000, 2), (1_000_000, 3)))

    out = yield {name: world.call(take()) for name in "abc"}
    allowed = sum(one.acknowledged and one.value.allowed for one in out.values())
    assert allowed <= 2
    if all(one.acknowledged for one in out.values()):
        assert allowed == 2


@scene
def no_stale_fill(world: World) -> Story:
    """A value that was loaded before an invalidation is not kept after it."""
    source = {"value": b"old"}

    async def reader() -> None:
        lease = await world.call(_lease())
        if isinstance(lease, Grant):
            loaded = source["value"]
            await Sleep(1)  # the load takes time
            await world.call(_fill(loaded, lease.token))

    async def _lease() -> Grant | Record | Refused:
        return await Acquire("cache", "r", 50, unless="body")

    async def _fill(loaded: bytes, token: int) -> None:
        await Patch("cache", {"body": loaded}, match={TOKEN: b"%d" % token})

    async def writer() -> None:
        await Sleep(1)
        source["value"] = b"new"
        await world.call(_invalidate())

    async def _invalidate() -> None:
        await Drop("cache")

    out = yield {"reader": reader(), "writer": writer(), "late reader": reader()}
    record = world.run(_read("cache"))
    if out["writer"].acknowledged and record and "body" in record.fields:
        assert record.fields["body"] == b"new", "a stale value was kept"
