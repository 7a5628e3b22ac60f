"""Random commands that aim at records as they are, and often miss; and what they can be answered.

A generator that looks fine can reach only tombstones: so every pair of a command and an answer
is counted (``named``), and ``PAIRS`` says which must be reached.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from moored.commands import (
    LEASE_TOKEN,
    LEASE_UNTIL,
    Acquire,
    Add,
    Bury,
    Command,
    Drop,
    Grant,
    Op,
    Page,
    Patch,
    Put,
    Read,
    Record,
    Refused,
    Scan,
    Take,
    Taken,
    Written,
)
from moored.model import HORIZON, LIMIT

PAIRS = {
    "Read": "None Record Tombstone",
    "Put": "Written Overtaken dead version held late unknown again corrupt",
    "Patch": ("Written Overtaken missing dead held version match stale late unknown forgotten again corrupt"),
    "Bury": "True False match version late unknown again",
    "Drop": "True False match version late unknown",
    "Add": "int dead bounds late unknown forgotten again corrupt",
    "Take": "allowed refused dead late unknown again corrupt",
    "Acquire": "Grant Record held missing dead late unknown again corrupt",
    "Scan": "Page more",
}

# Names that meet those of Redis's own layout, patterns and separators.
NAMES = ("a", "b", "c", "v", "o:", "é", "")
KEYS = ("k0", "k1", "k2", "k*", "k[1]", "k?\\")
VALUES = (b"", b"1", b"\x00;:\xff\r\n", b"-", b"=", b"y" * 70)
RATES = (
    ((100_000, 5),),
    ((100_000, 5),),
    ((100_000, 5),),
    ((100_000, 9),),
    ((100_000, 5), (7000, 9)),
    ((500, 1), (333, 40)),
    ((3_600_000_000, 3),),
)
TTLS = (None, 50, 5000, 90_000)
NO_NUMBERS = (b"x", b"", b"1.5", b"0x1F", b"1e3", b"12\x00")


class CommandsAtRandom:
    """Commands, operation ids and the clock of one run; ``records`` are those of the model."""

    def __init__(self, seed: int, records: Mapping[str, Record]) -> None:
        self.now = 4_000_000_000_000_000  # far ahead, so that a server's own clock never interferes
        self._random, self._records = random.Random(seed), records
        self._number = 0
        self._sent: list[tuple[Command[Any], Op]] = []
        self._trapped: Command[Any] | None = None

    def step(self) -> list[tuple[Command[Any], Op]]:
        """Time passes; then one command, sometimes several, some of them sent before."""
        r = self._random
        self._number += 1
        self.now += r.choice((0, 3, 400, 3000, 3000))
        if self._number % 4000 == 0:
            self.now += HORIZON + 10_000_000
        return [self._one() for _ in range(r.choice((1,) * 15 + (2, 3)))]

    def _one(self) -> tuple[Command[Any], Op]:
        r = self._random
        if self._sent and r.random() < 0.2:
            command, op = r.choice(self._sent[-30:])
            return command, replace(op, again=r.random() < 0.8)
        return self._with_op(self.command())

    def _with_op(self, command: Command[Any]) -> tuple[Command[Any], Op]:
        r = self._random
        since = self.now - r.choice((0,) * 14 + (2000, 5_000_000, 5_000_000, HORIZON, HORIZON + 1))
        record = self._records.get(command.key)
        again = r.random() < (0.9 if command.key == "firm" else 0.2)
        if record is not None and record.ops and r.random() < 0.15:
            since, again = r.choice(record.ops[:4]).version, True
        until = self.now + r.choice((2_000_000,) * 20 + (-1, 0))
        self._number += 1  # ids of which one is the end of another
        self._sent.append((command, Op(f"{self._number:x}", since, until, again)))
        return self._sent[-1]

    def command(self) -> Command[Any]:
        """Any command on one of a few keys."""
        r = self._random
        if r.random() < 0.15:
            key = r.choice(("hot", "firm"))
            return r.choice((Add(key), Patch(key, {"a": b"1"})))
        kind = r.choice((Read, Put, Put, Patch, Patch, Patch, Patch, Bury, Drop, Add, Take, Acquire, Acquire))
        if self._trapped and r.random() < 0.5:
            step_in, self._trapped = self._trapped, None
            return step_in
        if r.random() < 0.03:
            return self._trap()
        if r.random() < 0.01:
            return Scan(r.choice(("", "k", "k*", "k[", "k?\\", "n", "nothing")), "", r.choice((1, 2, 5, 100)))
        if r.random() < 0.9 and kind in (Add, Take):
            key = f"n{r.randrange(3)}" if kind is Add else f"t{r.randrange(2)}"
        else:
            key = r.choice((*KEYS, "n0", "t0", "n0", "t0") if r.random() < 0.25 else KEYS[:3])
        record = self._records.get(key)
        if kind is Add:
            return self._add(key)
        if kind is Take:
            rates = r.choice(RATES)
            return Take(key, rates, r.choice((-2, 0, 1, 1, 3)))
        if kind is Read:
            return Read(key, r.choice((None, ("a", "", "é"))))
        if kind is Put:
            return Put(
                key, self._fields(), self._stamp(), self._version(record), r.choice((None, 50, 5000, 90_000))
            )
        if kind is Bury:
            note = r.choice((b"", b"why"))
            return Bury(key, self._match(record), self._version(record), r.choice((1, 5, 30)), note)
        if kind is Drop:
            return Drop(key, self._match(record), self._version(record))
        if kind is Acquire:
            unless = r.choice((None, None, None, "", "c"))
            return Acquire(key, r.choice(("me", "é")), r.choice((1, 5, 40)), unless, r.random() < 0.4)
        return self._patch(key, record)

    def _trap(self) -> Command[Any]:
        """What the next command on that key stumbles over."""
        junk = self._random.choice(NO_NUMBERS)
        add, take = Add("n0"), Take("t0", ((100_000, 5),))
        traps: tuple[tuple[Command[Any], Command[Any]], ...] = (
            (Put("n0", {"n": junk}, {}, None, 20), add),
            (Put("t0", {"t100000": junk}, {}, None, 20), take),
            (Put("k0", {LEASE_UNTIL: junk}), Put("k0", {}, {}, 7)),
            (Bury("n0", {}, None, 20), add),
            (Bury("t0", {}, None, 20), take),
        )
        trap, self._trapped = self._random.choice(traps)
        return trap

    def _add(self, key: str) -> Add:
        r = self._random
        if r.random() < 0.1:
            by = r.choice((LIMIT, -LIMIT, LIMIT - 1, 1 - LIMIT, 2**52 + 1))
            return Add("big", by, r.choice((None, -(2**60), -LIMIT)), r.choice((None, 2**60, LIMIT - 1)))
        low, high = r.choice((None, -5, 3)), r.choice((None, 12))
        return Add(key, r.randint(-3, 5), low, high, r.choice((None, 400)))

    def _patch(self, key: str, record: Record | None) -> Patch:
        r = self._random
        match = self._match(record)
        if record is not None and LEASE_TOKEN in record.fields and r.random() < 0.5:
            match[LEASE_TOKEN] = record.fields[LEASE_TOKEN]
        unset = tuple(name for name in (*NAMES, "s", "f") if r.random() < 0.1)
        newer = r.choice(
            (("f", r.randrange(5), True), ("f", r.randrange(5), False), ("f", 2, False), ("s", LIMIT, True))
        )
        within = r.choice((None, None, "s", "f", "never"))
        ttl = r.choice((None, 30, 5000))
        return Patch(
            key,
            self._fields(),
            unset,
            self._stamp(),
            match,
            newer if r.random() < 0.5 else None,
            self._version(record),
            ttl,
            within,
        )

    def _fields(self) -> dict[str, bytes]:
        r = self._random
        fields = {name: r.choice(VALUES) for name in NAMES if r.random() < 0.3}
        if r.random() < 0.1:
            fields["f"] = b"3"
        if r.random() < 0.1:
            name = r.choice(("n", "f", "s", "t100000", LEASE_UNTIL, LEASE_TOKEN))
            fields[name] = r.choice((*NO_NUMBERS, b"-3", b"%d" % (self.now // 1000 + 20)))
        return fields

    def _stamp(self) -> dict[str, int]:
        return {"s": self._random.choice((3, 100, 9000))} if self._random.random() < 0.3 else {}

    def _match(self, record: Record | None) -> dict[str, bytes | None]:
        r = self._random
        match: dict[str, bytes | None] = {}
        for name in r.sample(NAMES, r.choice((0, 0, 1, 1, 3))):
            held = record.fields.get(name) if record else None
            match[name] = held if r.random() < 0.85 else r.choice((None, b"other", b""))
        return match

    def _version(self, record: Record | None) -> int | None:
        stands = record.version if record else 0
        return self._random.choice((None, None, None, stands, stands, 0, 7))


def named(
    command: Command[Any], op: Op, before: Record | None, answer: Any, now: int
) -> set[tuple[str, str]]:
    """The pairs that an answer counts for; ``before`` is the record that was there and alive.

    ``again``: a repeat, and recognised; ``forgotten``: it could not be told any more.
    """
    if isinstance(answer, Refused):
        name = answer.reason
    elif isinstance(answer, Written):
        name = "Overtaken" if answer.overtaken else "Written"
    elif isinstance(answer, Record):
        name = "Tombstone" if answer.dead else "Record"
    elif isinstance(answer, Taken):
        name = "allowed" if answer.allowed else "refused"
    elif isinstance(answer, Page):
        name = "more" if answer.cursor else "Page"
    elif isinstance(answer, Exception):
        name = "corrupt"
    elif isinstance(answer, Grant):
        name = "Grant"
    else:
        name = str(answer) if isinstance(answer, bool) or answer is None else "int"
    kind = type(command).__name__
    names = {(kind, name)}
    if before is not None and any(entry.id == op.id for entry in before.ops):
        names.add((kind, "again"))
    if name == "unknown" and op.since >= now - HORIZON:
        names.add((kind, "forgotten"))
    return names
