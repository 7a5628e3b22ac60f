"""What a record remembers of the steps that made it, at the edges of its memory."""

from __future__ import annotations

from moored.commands import Add, Op, Record, Refused
from moored.model import HORIZON, KEPT, REMEMBERED, REPEATS, apply

START = 1_700_000_000_000_000


class Line:
    """One counter, and a clock that moves on with each step."""

    def __init__(self) -> None:
        self.now = START
        self.record: Record | None = None

    def send(self, op: Op) -> object:
        self.now += 10
        self.record, answer = apply(Add("n"), self.record, self.now, op)
        return answer

    def crowd(self, size: int, again: bool = False) -> None:
        for n in range(size):
            self.send(Op(f"c{self.now}.{n}", self.now, self.now + 2_000_000, again))

    @property
    def total(self) -> int:
        return int(self.record.fields["n"]) if self.record else 0


def first(line: Line, name: str = "mine") -> Op:
    return Op(name, line.now, line.now + 2_000_000)


def again(op: Op) -> Op:
    return Op(op.id, op.since, op.until, again=True)


def test_a_first_copy_needs_no_room_however_many_came_before_it() -> None:
    line = Line()
    mine = first(line)
    line.crowd(10 * REMEMBERED)
    assert line.send(mine) == 10 * REMEMBERED + 1


def test_a_repeat_is_answered_with_its_own_effect() -> None:
    line = Line()
    mine = first(line)
    assert line.send(mine) == 1
    line.crowd(REMEMBERED - 1)
    assert line.send(again(mine)) == 1
    assert line.total == REMEMBERED


def test_a_repeat_that_may_have_been_forgotten_changes_nothing() -> None:
    line = Line()
    mine = first(line)
    line.send(mine)
    line.crowd(REMEMBERED)
    answer = line.send(again(mine))
    assert isinstance(answer, Refused)
    assert answer.reason == "unknown"
    assert line.total == REMEMBERED + 1


def test_a_first_copy_that_arrives_after_its_repeat_is_recognised_whatever_came_between() -> None:
    line = Line()
    mine = first(line)
    assert line.send(again(mine)) == 1
    line.crowd(10 * REMEMBERED)
    assert line.send(mine) == 1
    assert line.total == 10 * REMEMBERED + 1


def test_a_memory_full_of_repeats_takes_no_more_of_them() -> None:
    line = Line()
    line.crowd(REPEATS, again=True)
    mine = first(line)
    answer = line.send(again(mine))
    assert isinstance(answer, Refused)
    assert answer.reason == "unknown"
    other = first(line, "other")
    assert line.send(other) == REPEATS + 1, "first copies go on"
    assert line.send(again(other)) == REPEATS + 1, "and are remembered beside them"


def test_a_repeat_is_kept_until_no_copy_of_it_can_be_carried_out() -> None:
    line = Line()
    mine = first(line)
    line.send(again(mine))
    line.now = mine.until + KEPT - 20
    assert line.send(mine) == 1
    line.now = mine.until + KEPT
    line.crowd(1)
    answer = line.send(mine)
    assert isinstance(answer, Refused)
    assert answer.reason == "late"


def test_everything_is_forgotten_at_the_horizon() -> None:
    line = Line()
    line.crowd(REMEMBERED)
    line.crowd(REPEATS, again=True)
    line.now += HORIZON + 1
    line.send(first(line))
    assert line.record
    assert [entry.id for entry in line.record.ops] == ["mine"]
