"""Counting records from outside: all keys up to a bound, and a sample of the sessions looked at.

Engines keep no list of what is there, so its size is found by going through the keys, which
costs the engine some work: ``MOST`` and ``SAMPLE`` bound it.  What was not counted in full
says so.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct

from moored.commands import Page, Read, Record, Scan, Together
from moored.kinds.sessions.record import as_datetime, integer, text
from moored.state import State
from moored.web.remember import FIRST

KINDS: Final = {"session": "sessions", "subject": "subjects", "counter": "counters"}
MOST = 100_000  # keys that are counted
PAGE = 1_000  # keys asked for at once
SAMPLE = 1_000  # sessions that are looked at
BATCH = 100  # sessions read in one round trip
RECENT = 10
WINDOWS: Final = {"minute": 60, "ten_minutes": 600, "hour": 3_600, "day": 86_400}  # seconds
FIELDS = ("@subject", "@seen", "@created")


class Seen(Struct, frozen=True):
    """A live session, as far as it is looked at here."""

    selector: str
    subject: str | None
    created: datetime
    last_seen: datetime
    expires: datetime | None


class Census(Struct, frozen=True):
    """What was found.

    ``counted`` are records by kind, ``complete`` if there are no more; ended sessions, which
    are remembered for ten minutes, are among them.  ``adopting``: sessions of another library
    are, or were, taken over.  All else is about the ``looked_at``
    sessions, which are all of them, unless they were ``sampled`` at random: ``used`` is how many
    were used in the last minute, and so on.
    """

    counted: dict[str, int]
    complete: bool
    adopting: bool
    looked_at: int
    sampled: bool
    signed_in: int
    visitors: int
    ended: int
    used: dict[str, int]
    oldest: datetime | None
    newest: datetime | None
    recent: list[Seen]


def take(state: State) -> Census:
    """Go through the keys, and look at sessions.  Raises Unavailable, CorruptRecord."""
    run = state.binding.run
    counts: Counter[str] = Counter()
    selectors: list[str] = []
    cursor, complete, adopting = "", False, False
    keys: set[str] = set()  # Redis may name a key twice
    while not complete and len(keys) < MOST:
        page = run(_page(cursor))
        for key in page.keys:
            if key not in keys:
                keys.add(key)
                kind, _, name = key.partition(":")
                counts[KINDS.get(kind, "others")] += 1
                if kind == "session":
                    selectors.append(name)
                adopting = adopting or (kind == "adoption" and key != FIRST)
        cursor, complete = page.cursor, not page.cursor
    sampled = not complete or len(selectors) > SAMPLE
    if len(selectors) > SAMPLE:
        selectors = random.sample(selectors, SAMPLE)
    found: list[tuple[str, Record]] = []
    for first in range(0, len(selectors), BATCH):
        batch = selectors[first : first + BATCH]
        records = run(_read(batch))
        found += [(name, record) for name, record in zip(batch, records, strict=True) if record is not None]
    return _summed(counts, complete, adopting, sampled, found)


async def _page(cursor: str) -> Page:
    return await Scan("", cursor, PAGE)


async def _read(selectors: Iterable[str]) -> list[Record | None]:
    return await Together(*[Read(f"session:{selector}", FIELDS) for selector in selectors])


def _summed(
    counts: Counter[str], complete: bool, adopting: bool, sampled: bool, found: list[tuple[str, Record]]
) -> Census:
    now = max([record.at for _, record in found], default=0)  # the server's
    alive = [_seen(selector, record) for selector, record in found if not record.dead]
    ages = [(now - _milliseconds(session.last_seen)) / 1000 for session in alive]
    created = [session.created for session in alive]
    recent = sorted(alive, key=lambda session: session.last_seen, reverse=True)[:RECENT]
    return Census(
        {name: counts[name] for name in (*KINDS.values(), *(["others"] if counts["others"] else []))},
        complete,
        adopting,
        len(found),
        sampled,
        sum([session.subject is not None for session in alive]),
        sum([session.subject is None for session in alive]),
        len(found) - len(alive),
        {name: sum([age <= seconds for age in ages]) for name, seconds in WINDOWS.items()},
        min(created, default=None),
        max(created, default=None),
        recent,
    )


def _seen(selector: str, record: Record) -> Seen:
    return Seen(
        selector,
        text(record.fields.get("@subject")),
        as_datetime(integer(record.fields, "@created")),
        as_datetime(integer(record.fields, "@seen")),
        None if record.expires is None else as_datetime(record.expires),
    )


def _milliseconds(instant: datetime) -> float:
    return instant.timestamp() * 1000
