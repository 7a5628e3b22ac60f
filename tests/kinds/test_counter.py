"""The promises of counters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.kinds.place import Place

from moored import AsyncState, CorruptRecord, GoneError, MisuseError, OutOfBounds, State
from moored.commands import Bury, Put


def test_adds_and_answers_the_new_value(place: Place) -> None:
    assert place.do(lambda state: state.counter("n").add()) == 1
    assert place.do(lambda state: state.counter("n").add(41)) == 42
    assert place.do(lambda state: state.counter("n").add(-2)) == 40
    assert place.do(lambda state: state.counter("n").value()) == 40


def test_is_zero_before_the_first_addition(place: Place) -> None:
    assert place.do(lambda state: state.counter("never").value()) == 0


@pytest.mark.parametrize("name", ["", "a b", "ü" * 300, "~x", "k:1", "\n", "*?[a]"])
def test_any_name_will_do(place: Place, name: str) -> None:
    place.do(lambda state: state.counter(name).add(3))
    place.do(lambda state: state.counter(name + "x").add(4))
    assert place.do(lambda state: state.counter(name).value()) == 3


@pytest.mark.parametrize("name", [5, None, b"n"])
def test_names_are_text(place: Place, name: Any) -> None:
    with pytest.raises(MisuseError, match="the name of a counter is text, not"):
        place.do(lambda state: state.counter(name).add())


def test_bounds_refuse_and_change_nothing(place: Place) -> None:
    place.do(lambda state: state.counter("stock").add(2))
    place.do(lambda state: state.counter("stock").add(-2, min=0))
    with pytest.raises(OutOfBounds, match=r"adding -1 to the counter 'stock' would leave 0\.\.; it was not"):
        place.do(lambda state: state.counter("stock").add(-1, min=0))
    with pytest.raises(OutOfBounds):
        place.do(lambda state: state.counter("stock").add(11, max=10))
    assert place.do(lambda state: state.counter("stock").value()) == 0


def test_counts_exactly_to_its_limit(place: Place) -> None:
    limit = 2**53
    assert place.do(lambda state: state.counter("n").add(limit - 1)) == limit - 1
    assert place.do(lambda state: state.counter("n").add()) == limit
    with pytest.raises(OutOfBounds, match=r"±2\*\*53"):
        place.do(lambda state: state.counter("n").add())
    assert place.do(lambda state: state.counter("n").value()) == limit


@pytest.mark.parametrize("by", [1.5, "1", True, None, 2**60])
def test_adds_whole_numbers_only(place: Place, by: object) -> None:
    with pytest.raises(MisuseError, match="whole numbers"):
        place.do(lambda state: state.counter("n").add(by))


def test_a_foreign_record_is_reported(place: Place) -> None:
    place.run(_one(Put("counter:n", {"n": b"many"})))
    with pytest.raises(CorruptRecord):
        place.do(lambda state: state.counter("n").add())
    with pytest.raises(CorruptRecord):
        place.do(lambda state: state.counter("n").value())


def test_a_removed_counter_says_so(place: Place) -> None:
    place.run(_one(Bury("counter:n")))
    with pytest.raises(GoneError):
        place.do(lambda state: state.counter("n").add())
    assert place.do(lambda state: state.counter("n").value()) == 0


def test_a_blocking_call_on_an_event_loop_is_refused(url: str) -> None:
    async def main() -> None:
        with State(url) as state, pytest.raises(MisuseError, match="Use AsyncState"):
            state.counter("n").add()

    asyncio.run(main())


async def _one(command: object) -> object:
    return await command  # type: ignore[misc]


def test_a_state_can_be_closed_and_used_again(url: str) -> None:
    with State(url) as state:
        state.counter("n").add()
        state.close()
        assert state.counter("n").add() in (1, 2)  # memory forgets


def test_awaitable_calls_run_side_by_side(url: str) -> None:
    async def main() -> None:
        async with AsyncState(url) as state:
            totals = await asyncio.gather(*[state.counter("n").add() for _ in range(50)])
            assert sorted(totals) == list(range(1, 51))

    asyncio.run(main())
