"""The counter: what was acknowledged is counted once, what failed never."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulation.scene import scene

from moored.commands import Sleep
from moored.errors import BreakerOpen, MooredError, OutcomeUnknown, OutOfBounds, Unavailable
from moored.kinds.counter import Counter, add, value
from moored.model import REMEMBERED
from moored.testing.simulate import Outcome, Story, World


def _counted(world: World, out: Mapping[str, Outcome], others: int = 0) -> int:
    """What was acknowledged is counted, what failed is not, and no total was handed out twice."""
    total = world.run(value("n")) - others
    sure = [one.value for one in out.values() if one.acknowledged]
    assert len(set(sure)) == len(sure), "a total was handed out twice"
    most = len(sure) + sum(one.unsure for one in out.values())
    assert len(sure) <= total <= most, f"{total} after {len(sure)} to {most} additions"
    return total


@scene
def adds_count_once(world: World) -> Story:
    """A counter counts what was acknowledged once, what failed never."""
    counter = Counter(world.binding, "n")
    out = yield {name: counter.add() for name in "abc"}
    _counted(world, out)


@scene
def adds_in_a_crowd(world: World) -> Story:
    """More writers than a record remembers: still counted once, or reported unknown."""

    async def crowd() -> None:
        for _ in range(REMEMBERED):
            await add("n")

    world.events = {"crowd": lambda: world.run(crowd()), "another crowd": lambda: world.run(crowd())}

    async def later() -> None:
        await Sleep(100)
        await world.call(value("n"))

    out = yield {"a": world.call(add("n")), "b": world.call(add("n")), "later": later()}
    del out["later"]
    _counted(world, out, REMEMBERED * (world.fired["crowd"] + world.fired["another crowd"]))


@scene
def adds_while_the_clock_goes_forward(world: World) -> Story:
    """The server's clock is set forward, further than any deadline and than a record remembers."""
    world.events = {"clock forward": lambda: world.set_clock(90_000)}
    out = yield {name: world.call(add("n")) for name in "abc"}
    _counted(world, out)


@scene
def adds_while_the_clock_goes_back(world: World) -> Story:
    """The server's clock is set back, further than a record remembers."""
    world.events = {"clock back": lambda: world.set_clock(-90_000)}
    out = yield {name: world.call(add("n")) for name in "abc"}
    _counted(world, out)


@scene
def adds_within_bounds(world: World) -> Story:
    """``max=`` lets two through, whoever asks at once; who is refused has changed nothing."""
    out = yield {name: world.call(add("n", high=2)) for name in "abc"}
    total = _counted(world, out)
    assert total <= 2
    if all(one.acknowledged or isinstance(one.error, OutOfBounds) for one in out.values()):
        assert total == 2


@scene
def adds_while_the_engine_is_away(world: World) -> Story:
    """The breaker opens while nothing reaches the engine, and lets through again when something does."""
    world.faults = ()
    world.events = {"outage": lambda: world.cut(1_200)}
    met: list[tuple[float, MooredError | None]] = []

    async def adder() -> None:
        for _ in range(20):
            error: MooredError | None = None
            try:
                await world.call(add("n"))
            except MooredError as caught:
                error = caught
            met.append((world.clock.client(), error))
            await Sleep(170)

    world.share("a", "b")
    yield {"a": adder(), "b": adder()}
    assert world.run(value("n")) == [error for _, error in met].count(None)
    failed = [at for at, error in met if isinstance(error, Unavailable)]
    if failed:
        later = [error for at, error in met if at > failed[0] + 2.4]
        assert later.count(None) == len(later), "the breaker did not close again"
    if len(failed) > 12:
        assert any(isinstance(error, BreakerOpen) for _, error in met), "the breaker did not open"


@scene
def resolve_tells_the_truth(world: World) -> Story:
    """``resolve()``: "done" only if it was, "not done" only if it never will be; questions change nothing."""

    async def adder() -> str:
        try:
            await world.call(add("n"))
        except OutcomeUnknown as error:
            answer: str = await error.resolve()
            return answer
        except Unavailable:
            return "not done"
        return "done"

    out = yield {"a": adder(), "b": adder(), "reader": world.call(value("n"))}
    assert not isinstance(out.pop("reader").error, OutcomeUnknown), "a question changed something"
    total = world.run(value("n"))
    told = [one.value if one.acknowledged else "unknown" for one in out.values()]
    assert told.count("done") <= total <= 2 - told.count("not done"), f"{total} after {told}"


@scene
def nothing_happens_after_the_deadline(world: World) -> Story:
    """What a hung server carries out long after everybody gave up has no effect."""
    world.faults = ("late", "stalled")
    seen: list[int] = []

    async def patient() -> None:
        await Sleep(3_000)
        seen.append(await world.call(value("n")))

    yield {"a": world.call(add("n")), "patient": patient()}
    if seen:
        assert world.run(value("n")) == seen[0], "an abandoned command took effect"
