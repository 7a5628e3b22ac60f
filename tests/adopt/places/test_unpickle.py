"""Pickles of plain data are read, and nothing that a pickle can be made to do is done."""

from __future__ import annotations

import collections
import datetime as dt
import os
import pickle
import pickletools
import sys
import time
import uuid
from contextlib import suppress
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup
from tests.adopt.places.pickled_attacks import (
    ATTACKS,
    DATETIME,
    GETATTR,
    TIMEZONE,
    TOUCHED,
    UUID_,
    ZONE,
    in_utc,
    name,
    program,
    text,
)
from tests.adopt.places.pickled_bombs import BOMBS

from moored.adopt.place import UnreadableRow
from moored.adopt.unpickle import unpickle

PROTOCOLS = [3, 4, 5]
BERLIN = ZoneInfo("Europe/Berlin")
SHARED = uuid.uuid4()

PLAIN: dict[str, Any] = {
    "constants": [None, True, False],
    "ints": [0, -1, 255, 256, 65_536, 2**31, -(2**63), 2**64, 10**4_000],
    "floats": [0.5, -1e300, float("inf")],
    "text": ["", "Zoë 🛒", "x" * 70_000, "\ud800"],
    "bytes": [b"", b"\x00\xff", b"x" * 70_000],
    "containers": [[], {}, (), set(), frozenset(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "sets": [{1, "a", (1, (2.5, None))}, frozenset([frozenset([1])]), {SHARED, dt.date(2026, 1, 2)}],
    "keys": {1: "a", (1, 2): "b", None: "c", 1.5: "d", b"x": "e", Decimal(1) / 3: "f"},
    "long": list(range(3_000)),
    "wide": {f"name {number}": number for number in range(3_000)},
    "dates": [dt.date.min, dt.date.max, dt.datetime.min, dt.datetime.max],  # noqa: DTZ901 - applications have them
    "aware": [dt.datetime.now(dt.UTC), dt.datetime.now(dt.timezone(dt.timedelta(hours=-2.5), "there"))],
    "zones": [dt.datetime(2026, 1, 2, tzinfo=BERLIN), dt.datetime(2026, 7, 2, tzinfo=BERLIN)],
    "times": [dt.time.min, dt.time.max, dt.time(1, 2, tzinfo=dt.UTC)],
    "spans": [dt.timedelta.min, dt.timedelta.max, dt.timedelta(-1, 3, 4)],
    "uuids": [SHARED, SHARED, uuid.uuid1(), uuid.UUID(int=0)],
    "decimals": [Decimal("9.90"), Decimal("-0.00"), Decimal("Infinity"), Decimal("1E+9999")],
    "ordered": collections.OrderedDict(b=1, a=2),
    "default": collections.defaultdict(list, a=[1]),
    "counting": collections.defaultdict(int),
    "_flashes": [("message", "saved"), ("message", Markup("<b>bold</b>"))],
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", PLAIN)
def test_plain_data_is_read(name: str, protocol: int) -> None:
    value = {name: PLAIN[name]}
    found = unpickle(pickle.dumps(value, protocol))
    assert found == pickle.loads(pickle.dumps(value, protocol))
    assert type(found[name]) is (dict if isinstance(value[name], dict) else list)


def test_what_equality_does_not_tell_is_kept() -> None:
    late = dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN)
    value = {"late": late, "time": dt.time(2, 30, fold=1), "html": Markup("<b>"), "not": float("nan")}
    found = unpickle(pickle.dumps(value, 5))
    assert (found["late"].fold, found["time"].fold) == (1, 1)
    assert found["late"].tzinfo is BERLIN
    assert type(found["html"]) is Markup
    assert found["not"] != found["not"]
    shared: list[Any] = []
    found = unpickle(pickle.dumps({"a": shared, "b": shared}, 5))
    assert found["a"] is found["b"]


LEAVES: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.datetimes(timezones=st.sampled_from([None, dt.UTC, BERLIN])),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(allow_nan=False),
)
KEYS: Any = st.one_of(
    st.text(), st.integers(-(2**63), 2**64 - 1), st.uuids(), st.tuples(st.text(), st.dates())
)
VALUES: Any = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(KEYS, inner),
        st.tuples(inner, inner),
        st.frozensets(KEYS),
        st.sets(KEYS),
    ),
    max_leaves=30,
)


@given(VALUES, st.sampled_from(PROTOCOLS))
def test_any_plain_data_is_read(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert unpickle(data) == value
    assert unpickle(pickletools.optimize(data)) == value


# --- Nothing else ---------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_else_is_read(attack: str) -> None:
    modules = set(sys.modules)
    with pytest.raises(UnreadableRow) as caught:
        unpickle(ATTACKS[attack])
    assert not os.path.exists(TOUCHED)  # noqa: PTH110
    assert set(sys.modules) - modules <= {"zoneinfo"}
    assert "touch" not in str(caught.value)


def test_a_date_in_a_zone_is_one_step_from_the_attacks_by_getattr() -> None:
    assert unpickle(in_utc(GETATTR, ZONE, text("_unpickle"), b"\x86R")).tzinfo is ZoneInfo("UTC")


def test_classes_are_as_they_were() -> None:
    before = {key: id(value) for key, value in vars(uuid.UUID).items()}
    for attack in ATTACKS.values():
        with pytest.raises(UnreadableRow):
            unpickle(attack)
    assert {key: id(value) for key, value in vars(uuid.UUID).items()} == before


def test_names_are_shown_only_if_they_look_like_names() -> None:
    with pytest.raises(UnreadableRow, match=r"with subprocess\.Popen, which"):
        unpickle(ATTACKS["subprocess"])
    for odd in ("<script>", "a b", "x" * 200, "new\nline"):
        with pytest.raises(UnreadableRow, match="with something, which"):
            unpickle(program(name(odd, "x")))


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_take_for_ever_is_refused_soon(bomb: str) -> None:
    began = time.process_time()
    with pytest.raises(UnreadableRow):
        unpickle(BOMBS[bomb])
    assert time.process_time() - began < 30  # it is a matter of seconds, or of centuries


def test_a_place_in_the_memo_takes_no_memory_for_those_before_it() -> None:
    assert unpickle(program(b"Nr\xff\xff\xff\xff")) is None


# --- Anything ---------------------------------------------------------------------------------------

PIECES: Any = st.one_of(
    st.sampled_from([opcode.code.encode("latin-1") for opcode in pickletools.opcodes]),
    st.sampled_from(
        [b"K\x01", b"h\x00", b"\x94", b"(", b")", b"]", b"}", b"\x8f", b"\x85", b"\x86", b"\x93", b"R"]
    ),
    st.sampled_from([DATETIME, UUID_, TIMEZONE, name("builtins", "set"), name("builtins", "getattr")]),
    st.sampled_from([name("zoneinfo", "ZoneInfo"), name("collections", "defaultdict"), text("_unpickle")]),
    st.binary(max_size=12),
)


@given(st.lists(PIECES, max_size=40))
@example([b"\x8f", b"(", b"K\x01", b"\x90"])
def test_any_program_is_read_as_plain_data_or_refused(pieces: list[bytes]) -> None:
    try:
        value = unpickle(program(*pieces))
    except UnreadableRow:
        return
    assert pickle.loads(pickle.dumps(value)) == value or "nan" in repr(value)


@given(VALUES, st.data())
def test_damaged_pickles_are_read_as_plain_data_or_refused(value: Any, data: st.DataObject) -> None:
    raw = bytearray(pickle.dumps(value, data.draw(st.sampled_from(PROTOCOLS))))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadableRow):
        unpickle(bytes(raw))
