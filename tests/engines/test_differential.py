"""All engines answer random commands as the model does.

After every step, answers, records and remembered operations must be equal, and every pair of
a command and an answer must have been reached ``FLOOR`` times.  A longer run:
``MOORED_COMMANDS=30000 pytest tests/engines/test_differential.py``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
from msgspec.structs import replace
from tests.engines.commands_at_random import PAIRS, CommandsAtRandom, named

from moored.commands import (
    Acquire,
    Add,
    Bury,
    Command,
    Drop,
    Op,
    Page,
    Patch,
    Put,
    Read,
    Record,
    Scan,
    Step,
    Take,
)
from moored.engines.memory import MemoryEngine
from moored.engines.packing import unpack
from moored.engines.redis import RedisEngine
from moored.engines.redis_replies import record as redis_record
from moored.engines.redis_replies import remembered
from moored.engines.sqlite import SqliteEngine
from moored.engines.sqlite_tables import LOAD
from moored.errors import CorruptRecord
from moored.model import HORIZON, KEPT, LIMIT, REMEMBERED, REPEATS, apply
from moored.testing.servers import RedisServer
from moored.url import parse

COUNT = int(os.environ.get("MOORED_COMMANDS", "6000"))
FLOOR = 5
TIMEOUT = 5.0
CORRUPT = CorruptRecord("")

Sent = list[tuple[Command[Any], Op]]
Clock = Callable[[], int]
NUMBERS = itertools.count()


class Place(Protocol):
    """An engine to be compared: what it answers, and what it holds."""

    def execute(self, step: Step, ops: tuple[Op, ...]) -> list[Any]: ...

    def record(self, key: str) -> Record | None: ...

    def close(self) -> None: ...


class OnSqlite:
    def __init__(self, path: Path, now: Clock) -> None:
        self.engine = SqliteEngine(path, synchronous="normal", clock=now)
        self.engine.connect(TIMEOUT)
        self.raw = sqlite3.connect(path)

    def execute(self, step: Step, ops: tuple[Op, ...]) -> list[Any]:
        return self.engine.execute(step, ops, TIMEOUT)

    def record(self, key: str) -> Record | None:
        row = self.raw.execute(LOAD, (key,)).fetchone()
        return None if row is None else unpack(key, *row)

    def close(self) -> None:
        self.engine.close()
        self.raw.close()


class OnRedis:
    """Redis by blocking calls."""

    def __init__(self, server: RedisServer, prefix: str, now: Clock, protocol: int = 2) -> None:
        engine, url = parse(f"{server.url}?prefix={prefix}&protocol={protocol}")
        assert engine is RedisEngine
        self.engine = RedisEngine.from_url(url, now)
        self.raw = redis.Redis.from_url(server.url)
        self.prefix, self.now = prefix, now

    def execute(self, step: Step, ops: tuple[Op, ...]) -> list[Any]:
        return self.engine.execute(step, ops, TIMEOUT)

    def record(self, key: str) -> Record | None:
        held: Any = self.raw.hgetall(self.prefix + key)
        found = redis_record(key, held, self.now() // 1000)
        return None if found is None else replace(found, at=0, ops=remembered(held[b"o"]))

    def close(self) -> None:
        self.engine.close()
        self.raw.close()


class OnAsyncRedis(OnRedis):
    """Redis by awaited calls."""

    def __init__(self, server: RedisServer, prefix: str, now: Clock) -> None:
        super().__init__(server, prefix, now, protocol=3)
        self.runner = asyncio.Runner()

    def execute(self, step: Step, ops: tuple[Op, ...]) -> list[Any]:
        return self.runner.run(self.engine.aexecute(step, ops, TIMEOUT))

    def close(self) -> None:
        self.runner.close()  # which ends the loop, and with it the connections
        self.raw.close()


class Comparison:
    """The model in memory, and the places that are held equal to it."""

    def __init__(self, server: RedisServer, folder: Path, seed: int) -> None:
        def now() -> int:
            return self.commands.now

        self.memory = MemoryEngine(now)
        self.commands = CommandsAtRandom(seed, self.memory.records)
        self.places: list[Place] = [
            OnRedis(server, f"{folder.name}-blocking:", now),
            OnAsyncRedis(server, f"{folder.name}-*[async]:", now),
            OnSqlite(folder / f"{seed}.db", now),
        ]

    def close(self) -> None:
        for place in self.places:
            place.close()

    def alive(self, key: str) -> Record | None:
        """What the model holds."""
        record = self.memory.records.get(key)
        return None if record is not None and is_past(record, self.commands.now) else record

    def send(self, step: Sent) -> list[set[tuple[str, str]]]:
        """Send a step everywhere; the pairs that it reached."""
        if any(isinstance(command, Scan) for command, _ in step):
            return [self.scan(command) for command, _ in step if isinstance(command, Scan)]
        if len(step) > 1 and self.is_corrupt(step):
            step = step[:1]  # engines differ in what they do with the rest of such a step
        commands, ops = tuple(command for command, _ in step), tuple(op for _, op in step)
        before = [self.alive(command.key) for command in commands]
        expected = outcome(partial(self.memory.execute, commands, ops, TIMEOUT))
        for place in self.places:
            answers = outcome(partial(place.execute, commands, ops))
            assert answers == expected, (type(place).__name__, step, before)
            for command in commands:
                assert self.held(place, command.key) == self.alive(command.key), (
                    type(place).__name__,
                    step,
                    before,
                )
        reached = zip(commands, ops, before, expected, strict=True)
        return [named(*each, self.commands.now) for each in reached]

    def held(self, place: Place, key: str) -> Record | None:
        record = place.record(key)
        return None if record is not None and is_past(record, self.commands.now) else record

    def is_corrupt(self, step: Sent) -> bool:
        """Does a command of the step meet what cannot be read?"""
        records = dict(self.memory.records)
        try:
            for command, op in step:
                new, _ = apply(command, records.get(command.key), self.commands.now, op)
                records |= {command.key: new} if new else {}
        except CorruptRecord:
            return True
        return False

    def scan(self, command: Scan) -> set[tuple[str, str]]:
        """Scan to the end everywhere: the living are there, and nothing that does not belong."""
        living = {key for key in self.memory.records if key.startswith(command.key) and self.alive(key)}
        pairs = {("Scan", "Page")}
        for place in self.places:
            found: set[str] = set()
            cursor: str | None = ""
            while cursor is not None:
                (page,) = place.execute((replace(command, cursor=cursor),), (Op("", 0, 0),))
                assert isinstance(page, Page)
                assert len(set(page.keys)) == len(page.keys)
                found |= set(page.keys)
                cursor = page.cursor or None
                pairs |= {("Scan", "more")} if cursor else set()
            assert all(key.startswith(command.key) for key in found), type(place)
            assert {key for key in found if self.alive(key)} == living, type(place)
        return pairs


def is_past(record: Record, now: int) -> bool:
    return record.expires is not None and record.expires <= now // 1000


def outcome(send: Callable[[], list[Any]]) -> list[Any]:
    """The answers, or what was raised in their place."""
    try:
        return send()
    except CorruptRecord:
        return [CORRUPT]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def comparison(server: RedisServer, tmp_path: Path) -> Iterator[Comparison]:
    comparison = Comparison(server, tmp_path, 0)
    yield comparison
    comparison.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_engines_equal_the_model(server: RedisServer, tmp_path: Path, seed: int) -> None:
    comparison = Comparison(server, tmp_path, seed)
    reached: Counter[tuple[str, str]] = Counter()
    try:
        for _ in range(COUNT):
            for pairs in comparison.send(comparison.commands.step()):
                reached.update(pairs)
    finally:
        comparison.close()
    wanted = {(kind, name) for kind, names in PAIRS.items() for name in names.split()}
    assert set(reached) == wanted
    assert not {pair: times for pair, times in reached.items() if times < FLOOR}


def test_a_record_of_ten_thousand_fields(comparison: Comparison) -> None:
    names = [f"f{number}" for number in range(10_000)]
    now, values = comparison.commands.now, dict.fromkeys(names, b"1")
    stamps, absent = dict.fromkeys(names[:5000], 10), {f"no {name}": None for name in names}
    steps = (
        Put("wide", values, stamps),
        Patch(
            "wide", values, match={**values, **absent, **dict.fromkeys(stamps, b"%d" % (now // 1000 + 10))}
        ),
        Patch("wide", {}, tuple(names), stamps, ttl=1000),
        Patch("wide", {names[0]: b""}, match={**values, names[9_999]: b"1"}),
        Read("wide", tuple(names)),
        Put("wide", values),
        Bury("wide", {**values, names[9_999]: None}),
        Drop("wide", values),
        Put("wide", values),
        Bury("wide", values),
    )
    answers = [comparison.send([(command, op(now))]) for command in steps]
    assert [next(iter(pairs))[1] for (pairs,) in answers] == [
        *("Written", "Written", "Written", "match", "Record", "Written", "match", "True", "Written", "True")
    ]


def test_versions_grow_while_the_clock_steps_back(comparison: Comparison) -> None:
    for command in (
        Put("k", {"a": b"1"}),
        Patch("k", {"a": b"2"}),
        Add("n"),
        Acquire("k"),
        Add("n"),
        Bury("k"),
    ):
        comparison.send([(command, op(comparison.commands.now))])
        comparison.commands.now -= 1_000_000
    assert comparison.send([(Put("k"), op(comparison.commands.now + 9_000_000))]) == [{("Put", "dead")}]


@pytest.mark.parametrize("sign", [1, -1])
def test_totals_count_exactly_up_to_their_limit(comparison: Comparison, sign: int) -> None:
    for by in (LIMIT - 1, 1, 1, LIMIT, -1, 2, 1, -LIMIT, -LIMIT, -1, 1):
        comparison.send([(Add("n", sign * by), op(comparison.commands.now))])
    stands = comparison.alive("n")
    assert stands is not None
    assert stands.fields["n"] == b"%d" % (sign * (1 - LIMIT))


def test_memory_ends_where_it_says(comparison: Comparison) -> None:
    begin = comparison.commands.now
    for _ in range(REMEMBERED):
        comparison.commands.now += 1000
        comparison.send([(Add("n"), op(begin))])
    stands = comparison.alive("n")
    assert stands is not None
    oldest, late = stands.ops[0].version, begin + HORIZON
    for since, now, until, reached in (
        (oldest - 1, late - 1, late, "forgotten"),
        (oldest, late, late, "int"),
        (oldest, oldest + HORIZON + 1, late + HORIZON, "unknown"),
        (oldest + 1, oldest + HORIZON + 1, oldest + HORIZON, "late"),
        (oldest + 1, oldest + HORIZON + 1, oldest + HORIZON + 1, "int"),
    ):
        comparison.commands.now = now
        (pairs,) = comparison.send([(Add("n"), replace(op(since), until=until, again=True))])
        assert ("Add", reached) in pairs


def test_repeats_are_remembered_beside_the_others(comparison: Comparison) -> None:
    begin = comparison.commands.now
    for number in range(REPEATS):
        repeat = replace(op(begin + 1000), until=begin + number, again=True)
        for _ in range(2):
            comparison.send([(Add("n"), op(begin)), (Add("n"), repeat)])
    assert comparison.send([(Add("n"), replace(op(begin + 1000), again=True))]) == [
        {("Add", "unknown"), ("Add", "forgotten")}
    ]
    for after, count in ((-1, REPEATS), (0, REPEATS), (1, REPEATS - 1), (REPEATS, 0)):
        comparison.commands.now = begin + KEPT + after
        comparison.send([(Add("n"), op(comparison.commands.now))])
        stands = comparison.alive("n")
        assert stands is not None
        assert sum(entry.firm > 0 for entry in stands.ops) == count
        assert len(stands.ops) == count + REMEMBERED


def test_a_repeat_with_a_long_deadline_is_forgotten_at_the_horizon(comparison: Comparison) -> None:
    begin = comparison.commands.now
    comparison.send([(Add("n"), replace(op(begin), until=begin + 3 * HORIZON, again=True))])
    for after, count in ((1000, REMEMBERED), (HORIZON, 1), (HORIZON + 1, 1)):
        comparison.commands.now = begin + after
        for _ in range(count):
            comparison.send([(Add("n"), op(comparison.commands.now))])


def test_what_was_done_is_remembered_up_to_the_horizon(comparison: Comparison) -> None:
    begin = comparison.commands.now
    for after, count in ((0, 1), (HORIZON, 2), (HORIZON + 1, 2)):
        comparison.commands.now = begin + after
        comparison.send([(Add("n"), op(comparison.commands.now))])
        stands = comparison.alive("n")
        assert stands is not None
        assert len(stands.ops) == count


def test_a_limit_that_was_lowered_leaves_nothing_to_spare(comparison: Comparison) -> None:
    for rates, cost in (
        (((1000, 9),), 9),
        (((1000, 5),), 1),
        (((1000, 5), (7000, 9)), 1),
        (((1000, 5),), -2),
    ):
        comparison.send([(Take("t", rates, cost), op(comparison.commands.now))])


def op(now: int) -> Op:
    return Op(f"{next(NUMBERS):x}", now, now + 1_000_000)
