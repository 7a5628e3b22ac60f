"""The codec: what goes in comes out, of the same type; what cannot is refused by name."""

from __future__ import annotations

import collections
import enum
import random
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup

from moored.codec import DEEPEST, MOST, decode, encode
from moored.errors import CorruptRecord, EncodingError, MisuseError, TooLargeError

PARIS = ZoneInfo("Europe/Paris")
SECRET = "correct horse battery staple"


def typed(value: Any) -> Any:
    """Compares with the types, in the order of the keys, and by bits what has several zeros or NaNs."""
    kind = type(value)
    if kind is float:
        return kind, struct.pack(">d", value)
    if kind is dict:
        return kind, [(typed(key), typed(member)) for key, member in value.items()]
    if kind in (list, tuple):
        return kind, [typed(member) for member in value]
    if kind in (set, frozenset):
        return kind, sorted((typed(member) for member in value), key=repr)
    if kind in (datetime, time):
        zone = getattr(value.tzinfo, "key", None)
        return kind, value.isoformat(), value.fold, type(value.tzinfo), zone
    if kind is Decimal:
        return kind, value.as_tuple()
    return kind, value


# --- Round trips ------------------------------------------------------------------------------

texts = st.text(max_size=20)
offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
zones: st.SearchStrategy[tzinfo | None] = st.none() | st.just(UTC) | offsets | st.timezones()


moments = st.builds(
    lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=zones), st.integers(0, 1)
)
times = st.builds(
    lambda at, zone, fold: at.replace(tzinfo=zone, fold=fold), st.times(), zones, st.integers(0, 1)
)
plain_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | texts
    | st.binary(max_size=20)
)
hashable_leaves = (
    plain_leaves
    | st.integers()
    | st.builds(lambda bits, less: 2**bits - less, st.integers(60, 14_000), st.integers(-1, 2**70))
    | moments
    | st.dates()
    | times
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | texts.map(Markup)
)
keys = texts | st.integers(-(2**63), 2**64 - 1)
hashables = st.recursive(
    hashable_leaves,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
values = st.recursive(
    hashables | st.sets(hashables, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)
plain_values = st.recursive(
    plain_leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(plain_values | values)
@example(datetime(2024, 10, 27, 2, 30, tzinfo=PARIS, fold=1))
@example(datetime(2024, 3, 31, 2, 30, tzinfo=PARIS, fold=1))  # skipped by the clocks
@example(datetime(1890, 1, 1, tzinfo=PARIS))  # an offset with seconds
@example(datetime.min)  # noqa: DTZ901
@example(datetime.max.replace(tzinfo=PARIS))
@example(time(12, tzinfo=PARIS))
@example(time(12, tzinfo=timezone(timedelta(microseconds=-1))))
@example(datetime(2024, 1, 1, tzinfo=timezone(timedelta(microseconds=1))))
@example(datetime(2024, 1, 1, 1, 1, 1, 1, tzinfo=timezone(timedelta(hours=-1, microseconds=1))))
@example(timedelta.min)
@example(timedelta.max)
@example(Decimal("-0.00"))
@example(Decimal("1E+999999999999999999"))
@example([2**64, -(2**63) - 1, 2**63, 10**4300 - 1, 1 - 10**4300])
@example({2**64 - 1: 1, -(2**63): 2, "": 3})
@example([True, 1, 1.0, False, 0, 0.0, -0.0])
@example({"b": 1, "a": 2})
@example([[], {}, (), set(), frozenset()])
def test_what_goes_in_comes_out_with_its_type(value: object) -> None:
    stored = encode(value, depth=DEEPEST)
    back = decode(stored)
    assert typed(back) == typed(value)
    assert encode(back, depth=DEEPEST) == stored


def test_encoding_leaves_the_value_alone() -> None:
    value = {"when": [datetime(2024, 1, 1, tzinfo=UTC)], "who": (1, {2})}
    before = typed(value)
    encode(value)
    assert typed(value) == before


WRAPS: dict[str, Callable[[Any], Any]] = {
    "list": lambda inner: [inner],
    "dict": lambda inner: {"k": inner},
    "dict of int": lambda inner: {7: inner},
    "tuple": lambda inner: (inner,),
}


@pytest.mark.parametrize("levels", range(1, 9))
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_every_depth_on_either_side_of_the_fast_decoder(levels: int, wrap: Callable[[Any], Any]) -> None:
    value: Any = "x"
    for _ in range(levels):
        value = wrap(value)
    assert typed(decode(encode(value))) == typed(value)


def test_values_wider_than_the_fast_check() -> None:
    value = [{"n": [n], "t": (n,)} for n in range(20_000)]
    assert typed(decode(encode(value))) == typed(value)
    plain = [{"n": [n]} for n in range(20_000)]
    assert encode(plain) == msgspec.msgpack.encode(plain)


@given(plain_values)
def test_plain_values_are_plain_messagepack(value: object) -> None:
    assert encode(value, depth=DEEPEST) == msgspec.msgpack.encode(value)


# The stored format: these bytes are in people's engines.
FORMAT = [
    ((1, "a"), "d6 01 92 01 a1 61"),
    ({2, 1}, "c7 03 02 92 01 02"),
    (frozenset({2, 1}), "c7 03 03 92 01 02"),
    (2**64, "c7 09 04 01 00 00 00 00 00 00 00 00"),
    (-(2**64), "c7 09 04 ff 00 00 00 00 00 00 00 00"),
    (Decimal("1.50"), "d6 05 31 2e 35 30"),
    (UUID(int=1), "d8 06" + "00" * 15 + "01"),
    (datetime(2024, 1, 2, 3, 4, 5), "c7 13 07" + b"2024-01-02T03:04:05".hex()),  # noqa: DTZ001
    (datetime(2024, 1, 2, tzinfo=UTC), "c7 19 07" + b"2024-01-02T00:00:00+00:00".hex()),
    (
        datetime(2024, 10, 27, 2, 30, tzinfo=PARIS, fold=1),
        "c7 30 07" + b"2024-10-27T02:30:00+01:00[Europe/Paris][_fold=1]".hex(),
    ),
    (date(2024, 1, 2), "c7 0a 08" + b"2024-01-02".hex()),
    (time(3, 4), "d7 09" + b"03:04:00".hex()),
    (time(3, 4, tzinfo=PARIS), "c7 16 09" + b"03:04:00[Europe/Paris]".hex()),
    (timedelta(days=-1, seconds=2, microseconds=3), "d6 0a 93 ff 02 03"),
    (Markup("é"), "d5 0b c3 a9"),
]


@pytest.mark.parametrize(("value", "stored"), FORMAT, ids=[repr(value) for value, _ in FORMAT])
def test_the_stored_format(value: object, stored: str) -> None:
    assert encode(value) == bytes.fromhex(stored)
    assert typed(decode(bytes.fromhex(stored))) == typed(value)


# --- Order ------------------------------------------------------------------------------------

PRINT_SETS = """
from datetime import date
from moored.codec import encode
words = [f"word {n}" for n in range(50)]
members = [*words, b"b", None, 1.5, 2**70, date(2024, 1, 1), ("a", "b"), frozenset(words)]
print(encode([set(members), frozenset(members), {"k": ({*words},)}]).hex())
"""


def test_sets_have_the_same_bytes_whatever_the_hash_seed() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-c", PRINT_SETS],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    ]
    assert len(printed[0]) > 1000
    assert printed[0] == printed[1] == printed[2]


@given(st.lists(hashables, max_size=8), st.randoms(use_true_random=False))
def test_sets_have_the_same_bytes_whatever_the_order_of_adding(
    members: list[Any], shuffled: random.Random
) -> None:
    distinct = list(dict.fromkeys(members))
    first = set(distinct)
    shuffled.shuffle(distinct)
    assert encode(first) == encode(set(distinct))
    assert encode(frozenset(first)) == encode(frozenset(distinct))


def test_mappings_keep_their_order() -> None:
    assert list(decode(encode({"b": 1, "a": 2, 3: 3}))) == ["b", "a", 3]
    assert encode({"b": 1, "a": 2}) != encode({"a": 2, "b": 1})


def test_the_decimal_context_does_not_matter() -> None:
    expected = encode(Decimal("1E+5"))
    with localcontext(capitals=0, prec=1) as context:
        context.clear_traps()
        assert encode(Decimal("1E+5")) == expected
        assert decode(encode(Decimal("1.2345"))) == Decimal("1.2345")
        with pytest.raises(CorruptRecord):
            decode(extension(5, b"1x"))


# --- Subclasses -------------------------------------------------------------------------------


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.StrEnum):
    RED = "red"


class Mixed(str, enum.Enum):  # noqa: UP042 - its str() differs from what it holds
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class LateText(str):
    def __str__(self) -> str:
        return "something else"


class Number(int):
    pass


class Ratio(float):
    pass


class Blob(bytes):
    pass


class Row(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError


class Rows(list[Any]):
    def __iter__(self) -> Any:
        raise RuntimeError


class Moment(datetime):
    pass


class Tags(set[str]):
    pass


class SafeText(Markup):
    pass


def moved() -> collections.OrderedDict[str, int]:
    ordered = collections.OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    return ordered


SUBCLASSES: list[tuple[object, object]] = [
    (Point(1, 2), (1, 2)),
    (Colour.RED, "red"),
    (Mixed.RED, "red"),
    (Level.HIGH, 3),
    (LateText("now"), "now"),
    (Number(5), 5),
    (Number(2**70), 2**70),
    (Ratio(0.5), 0.5),
    (Blob(b"x"), b"x"),
    (Row(a=(1,)), {"a": (1,)}),
    (Rows([1, (2,)]), [1, (2,)]),
    (moved(), {"b": 2, "a": 1}),
    (collections.defaultdict(list, a=[1]), {"a": [1]}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (Tags({"a"}), {"a"}),
    (Moment(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)),
    (SafeText("<b>"), Markup("<b>")),
    ({Colour.RED: 1, Level.HIGH: 2, Markup("m"): 3}, {"red": 1, 3: 2, "m": 3}),
]


@pytest.mark.parametrize(
    ("value", "plain"), SUBCLASSES, ids=[f"{n} {type(v).__name__}" for n, (v, _) in enumerate(SUBCLASSES)]
)
def test_subclasses_are_stored_as_the_plain_type(value: object, plain: object) -> None:
    for wrapped, expected in (value, plain), ([value, {"k": value}], [plain, {"k": plain}]):
        assert typed(decode(encode(wrapped))) == typed(expected)
        assert encode(wrapped) == encode(expected)


# --- What cannot be stored ----------------------------------------------------------------------


class Item:
    def __repr__(self) -> str:
        return SECRET


class Zone(tzinfo):
    def utcoffset(self, _moment: datetime | None) -> timedelta | None:
        return timedelta(hours=2)

    def dst(self, _moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, _moment: datetime | None) -> str | None:
        return None


class NoOffset(Zone):
    def utcoffset(self, _moment: datetime | None) -> timedelta | None:
        return None


class Broken(Zone):
    def utcoffset(self, _moment: datetime | None) -> timedelta | None:
        raise KeyError(SECRET)


class Twin(str):
    """Two of these are never the same key."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def ring() -> list[Any]:
    value: list[Any] = []
    value.append([value, value])
    return value


def nested(levels: int, wrap: Callable[[Any], Any] = lambda v: [v]) -> Any:
    value: Any = ()
    for _ in range(levels - 1):
        value = wrap(value)
    return value


FLATTER = "nested deeper than the limit, or contains itself; make it flatter"
PLAIN = "store plain values (str, numbers, bytes, lists, dicts, sets, dates, UUIDs) instead"
UNKNOWN = f"a value of type {__name__}.Item cannot be stored; {PLAIN}"
REFUSED: list[tuple[object, type[MisuseError], str]] = [
    (
        {"cart": [0, 1, 2, {"price": Decimal("NaN")}]},
        EncodingError,
        "cart[3].price: a Decimal NaN cannot be stored; store None or a string instead",
    ),
    ([Decimal("sNaN")], EncodingError, "[0]: a Decimal NaN cannot be stored; store None or a string instead"),
    (
        Decimal("-Infinity"),
        EncodingError,
        "a Decimal Infinity cannot be stored; store None or a string instead",
    ),
    (Item(), EncodingError, UNKNOWN),
    (object, EncodingError, f"a value of type type cannot be stored; {PLAIN}"),
    ({"a": 1j}, EncodingError, f"a: a value of type complex cannot be stored; {PLAIN}"),
    (bytearray(b"x"), EncodingError, "a value of type bytearray cannot be stored; store bytes instead"),
    (
        [memoryview(b"x")],
        EncodingError,
        "[0]: a value of type memoryview cannot be stored; store bytes instead",
    ),
    (
        {"sort": enum.Enum("Sort", "UP", module="shop").UP},  # type: ignore[attr-defined]
        EncodingError,
        "sort: a value of type shop.Sort cannot be stored; store its value instead",
    ),
    (
        msgspec.msgpack.Ext(1, b""),
        EncodingError,
        f"a value of type msgspec.msgpack.Ext cannot be stored; {PLAIN}",
    ),
    (
        msgspec.Raw(b"\xc1"),
        EncodingError,
        f"a value of type msgspec.Raw cannot be stored; {PLAIN}",
    ),
    ({"a": {True: 1}}, EncodingError, "a: a key of type bool cannot be stored; use str or int keys"),
    ({1.5: 1}, EncodingError, "a key of type float cannot be stored; use str or int keys"),
    ([{(1, 2): 1}], EncodingError, "[0]: a key of type tuple cannot be stored; use str or int keys"),
    ({"a": {2**64: 1}}, EncodingError, "a: an int key beyond 64 bits cannot be stored; use a str"),
    (
        {Twin("a"): 1, Twin("a"): 2},
        EncodingError,
        "different keys would be stored as the same one; use plain str or int keys",
    ),
    (
        {"a": ["\ud800"]},
        EncodingError,
        "a[0]: text with a lone surrogate cannot be stored; store it as bytes",
    ),
    ({"a\udfff": 1}, EncodingError, "text with a lone surrogate cannot be stored; store it as bytes"),
    (
        (Markup("\ud800"),),
        EncodingError,
        "[0]: text with a lone surrogate cannot be stored; store it as bytes",
    ),
    (
        {"n": (1, 10**4300)},
        TooLargeError,
        "n[1]: an int of more than 4300 digits cannot be stored; store it as bytes",
    ),
    (
        [datetime(2024, 1, 1, tzinfo=NoOffset())],
        EncodingError,
        "[0]: a datetime whose tzinfo has no offset cannot be stored; use ZoneInfo",
    ),
    (
        time(1, tzinfo=NoOffset()),
        EncodingError,
        "a time whose tzinfo has no offset cannot be stored; use ZoneInfo",
    ),
    (
        [datetime(2024, 1, 1, tzinfo=Broken())],
        EncodingError,
        "[0]: a value of type datetime.datetime raised KeyError when it was read",
    ),
    (
        {"a b": {3: {"it's": [Item()]}}},
        EncodingError,
        f"""['a b'][3]["it's"][0]: {UNKNOWN}""",
    ),
    (
        {"x" * 60: 1j},
        EncodingError,
        f"['{'x' * 37}…']: a value of type complex cannot be stored; {PLAIN}",
    ),
    (
        {"tags": {"a", (1, frozenset({1j}))}},
        EncodingError,
        f"tags{{…}}[1]{{…}}: a value of type complex cannot be stored; {PLAIN}",
    ),
    (nested(33), TooLargeError, f"[0][0][0][0]…[0][0][0][0]: {FLATTER}"),
    (nested(33, lambda v: {"a": v}), TooLargeError, f"a.a.a.a….a.a.a.a: {FLATTER}"),
    (nested(33, lambda v: (v,)), TooLargeError, f"[0][0][0][0]…[0][0][0][0]: {FLATTER}"),
    (
        nested(33, lambda v: frozenset({v})),
        TooLargeError,
        f"{{…}}{{…}}{{…}}{{…}}…{{…}}{{…}}{{…}}{{…}}: {FLATTER}",
    ),
    (ring(), TooLargeError, f"[0][0][0][0]…[0][0][0][0]: {FLATTER}"),
]


@pytest.mark.parametrize(
    ("value", "error", "message"), REFUSED, ids=[f"{n} {why}" for n, (_, _, why) in enumerate(REFUSED)]
)
def test_what_cannot_be_stored_is_named(value: object, error: type[MisuseError], message: str) -> None:
    with pytest.raises(error) as caught:
        encode(value)
    assert caught.value.args == (message,)
    assert caught.value.__context__ is None  # an error in a chain could hold the value


@pytest.mark.parametrize("safe", [{"a": 2**70}, {}], ids=["wary", "ordinary"])
def test_the_path_begins_with_what_the_caller_calls_the_value(safe: dict[str, Any]) -> None:
    with pytest.raises(EncodingError, match=r"^cart: a value of type complex") as whole:
        encode(1j, path="cart")
    with pytest.raises(EncodingError, match=r"^cart\[1\]\.b\['-'\]: a value of type complex"):
        encode([safe, {"b": {"-": 1j}}], path="cart")
    with pytest.raises(EncodingError, match=r"^cart\[1\]: text with a lone surrogate"):
        encode([safe, "\ud800"], path="cart")
    assert str(whole.value).endswith("[MRD-024]")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cart", "cart"),
        ("größe", "größe"),
        ("c" * 40, "c" * 40),
        ("my cart", "'my cart'"),
        ("7", "'7'"),
        ("a\nWARNING all is well", "'a\\nWARNING all is well'"),
        ("a\x1b[2J\u2028", "'a\\x1b[2J\\u2028'"),
        ("c" * 41, f"'{'c' * 37}…'"),
    ],
)
def test_the_name_of_the_value_cannot_write_into_a_log(name: str, shown: str) -> None:
    with pytest.raises(EncodingError) as whole:
        encode(1j, path=name)
    assert str(whole.value).startswith(f"{shown}: a value of type complex")
    with pytest.raises(EncodingError) as member:
        encode({"a": [1j]}, path=name)
    assert str(member.value).startswith(f"{shown}.a[0]: a value of type complex")


def test_no_message_holds_the_value() -> None:
    for value in (SECRET + "\ud800", Item(), Decimal("NaN123456789"), datetime(2024, 1, 1, tzinfo=Broken())):
        for wrapped in (value, [value], {"k": (value,)}):
            with pytest.raises(MisuseError) as caught:
                encode(wrapped)
            assert SECRET not in str(caught.value)
            assert "123456789" not in str(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("depth", [0, 1, 5, 6, 32, DEEPEST])
def test_depth_counts_nested_containers(wrap: Callable[[Any], Any], depth: int) -> None:
    value: Any = "x"
    for _ in range(depth):
        value = wrap(value)
    assert decode(encode(value, depth=depth)) == value
    with pytest.raises(TooLargeError):
        encode(wrap(value), depth=depth)


def test_depth_has_an_end_that_no_setting_moves() -> None:
    with pytest.raises(TooLargeError):
        encode(nested(DEEPEST + 1), depth=1_000_000)


def test_a_value_that_contains_itself_twice_is_found_out_in_little_memory() -> None:
    value: list[Any] = []
    value.extend([value, value])
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            encode(value, depth=20)  # a million members on the last level
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "wrap", [lambda v: [v, v], lambda v: {"a": v, "b": v}, lambda v: (v, v)], ids=["list", "dict", "tuple"]
)
@pytest.mark.parametrize("leaf", ["x", 2**70, 1j], ids=["plain", "marked", "refused"])
def test_a_value_that_holds_the_same_containers_again_and_again_has_an_end(
    wrap: Callable[[Any], Any], leaf: Any
) -> None:
    value: Any = leaf
    for _ in range(30):  # 2**30 leaves
        value = wrap(value)
    with pytest.raises(EncodingError if leaf == 1j else TooLargeError, match=r"^cart") as caught:
        encode(value, path="cart")
    if leaf != 1j:
        assert "more than 1,000,000 members, counting those of shared containers each time" in str(
            caught.value
        )


def test_a_long_list_that_is_held_many_times_is_found_out_in_little_memory() -> None:
    shared = ["x"] * 20_000
    value = [shared] * 5_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match=r"^cart\[49\]: more than 1,000,000 members"):
            encode(value, path="cart")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000


def test_the_most_members_are_stored_and_one_more_is_not() -> None:
    assert len(encode([0] * MOST)) == MOST + 5
    for value in ([0] * (MOST + 1), [[0] * MOST], {"a": {1: [0] * (MOST - 1)}}):
        with pytest.raises(TooLargeError):
            encode(value)


def test_empty_containers_count_as_a_level() -> None:
    empties: list[object] = [[], {}, (), set(), frozenset()]
    for empty in empties:
        with pytest.raises(TooLargeError):
            encode([empty], depth=1)
        with pytest.raises(TooLargeError):
            encode(empty, depth=0)


def test_a_stack_that_is_nearly_used_up_is_no_recursion_error() -> None:
    value = nested(100)
    stored = encode(value, depth=DEEPEST)
    outcomes: set[object] = set()

    def descend() -> None:
        for call in (lambda: encode(value, depth=DEEPEST), lambda: decode(stored)):
            try:
                outcomes.add(type(call()))
            except (TooLargeError, CorruptRecord) as error:
                outcomes.add(type(error))
        descend()

    with pytest.raises(RecursionError) as caught:
        descend()
    assert caught.traceback[-1].name in {"descend", "<lambda>", "encode", "decode", "at", "__init__"}
    assert outcomes >= {bytes, TooLargeError, CorruptRecord}


# --- Bytes that encode did not write -----------------------------------------------------------


def extension(code: int, payload: bytes) -> bytes:
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(code, payload))


def deep_tuple(levels: int) -> bytes:
    stored = b"\x01"
    for _ in range(levels):
        stored = extension(1, b"\x91" + stored)
    return stored


TOO_DEEP = "is nested deeper than 128 levels"
DAMAGED = [
    (b"", "is truncated"),
    (b"\x92\x01", "is truncated"),
    (b"\xdd\xff\xff\xff\xff", "is truncated"),
    (b"\xdf\xff\xff\xff\xff", "is truncated"),
    (b"\xc6\xff\xff\xff\xff", "is truncated"),
    (b"\xdb\xff\xff\xff\xff", "is truncated"),
    (b"\xc9\xff\xff\xff\xff\x01", "is truncated"),
    (b"\x01\x02", "is followed by other bytes"),
    (b"\xc1", "is malformed"),
    (b"\xa1\xff", "holds text that is not UTF-8"),
    (b"\xa3\xed\xa0\x80", "holds text that is not UTF-8"),  # a surrogate
    (b"\x81\xc0\x01", "has a key that is neither str nor int"),
    (b"\x81\xc3\x01", "has a key that is neither str nor int"),
    (b"\x81\xc4\x01a\x01", "has a key that is neither str nor int"),
    (b"\x81\x91\x01\x01", "has a key that is neither str nor int"),
    (b"\x91\x81\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\x01", "has a key that is neither str nor int"),
    (b"\x81" + extension(11, b"a") + b"\x01", "has a key that is neither str nor int"),
    (b"\x81" + extension(4, b"\x01" + bytes(8)) + b"\x01", "has an int key beyond 64 bits"),
    (b"\x81\x81\x01\x01\x01", "is malformed"),
    (b"\xd4\x00\x00", "has the unknown extension type 0"),
    (b"\x91\xd4\x7f\x00", "has the unknown extension type 127"),
    (b"\xd4\xfb\x00", "has the unknown extension type -5"),
    (b"\xd4\xff\x00", "is malformed"),
    (extension(1, b""), "holds a malformed tuple"),
    (extension(1, b"\x01"), "holds a malformed tuple"),
    (extension(1, b"\x91\x01\x01"), "holds a malformed tuple"),
    (extension(1, b"\x91\xd4\x00\x00"), "has the unknown extension type 0"),
    (extension(2, b"\x91\x90"), "holds a malformed set"),
    (extension(2, b"\x92\x01\x01"), "holds a malformed set"),
    (extension(3, b"\x80"), "holds a malformed frozenset"),
    (extension(4, b"\x7f" * 1800), "holds a malformed int"),
    (extension(5, b"NaN"), "holds a malformed Decimal"),
    (extension(5, b"-Infinity"), "holds a malformed Decimal"),
    (extension(5, b"1E+9999999999999999999999"), "holds a malformed Decimal"),
    (extension(5, b""), "holds a malformed Decimal"),
    (extension(5, b"\xff"), "holds a malformed Decimal"),
    (extension(6, b"x" * 15), "holds a malformed UUID"),
    (extension(7, b"2024-13-01T00:00:00"), "holds a malformed datetime"),
    (extension(7, b"2024-01-01T00:00:00[Europe/Paris]x"), "holds a malformed datetime"),
    (extension(7, b"2024-01-01T00:00:00+01:00[_fold=1][Europe/Paris]"), "holds a malformed datetime"),
    (extension(7, b"2024-01-01T00:00:00[Europe/Paris]"), "holds a malformed datetime"),
    (extension(8, b"2024-01-32"), "holds a malformed date"),
    (extension(9, b"24:61"), "holds a malformed time"),
    (extension(10, b"\x93\x00\x00"), "holds a malformed timedelta"),
    (extension(10, b"\x93\xce\xff\xff\xff\xff\x00\x00"), "holds a malformed timedelta"),
    (extension(11, b"\xff"), "holds a malformed Markup"),
    (b"\x91" * 129 + b"\x01", TOO_DEEP),
    (b"\x91" * 128 + b"\x90", TOO_DEEP),
    (b"\x81\x01" * 129 + b"\x01", TOO_DEEP),
    (b"\x91" * 1_000_000, TOO_DEEP),
    (b"\x81\xa0" * 1_000_000, TOO_DEEP),
    (deep_tuple(129), TOO_DEEP),
    (deep_tuple(3_000), TOO_DEEP),
]


@pytest.mark.parametrize(
    ("stored", "reason"), DAMAGED, ids=[f"{n} {why}" for n, (_, why) in enumerate(DAMAGED)]
)
def test_damage_is_named(stored: bytes, reason: str) -> None:
    with pytest.raises(CorruptRecord) as caught:
        decode(stored)
    remedy = "it is damaged or was not written by Moored; remove it or restore it from a backup"
    assert caught.value.args == (f"A stored value {reason}: {remedy}",)
    assert caught.value.__context__ is None


def is_refused_or_a_value(stored: bytes) -> None:
    try:
        value = decode(stored)
    except CorruptRecord:
        return
    again = encode(value, depth=DEEPEST)  # so a program that only read it can be served
    assert typed(decode(again)) == typed(value)


@given(st.binary(max_size=60))
def test_random_bytes(stored: bytes) -> None:
    is_refused_or_a_value(stored)


@given(st.integers(-128, 127), st.binary(max_size=30), st.sampled_from([b"", b"\x91", b"\x81\xa1a", b"\x81"]))
@example(-1, b"\xff" * 12, b"")
@example(-1, b"\x00" * 4 + b"\x7f" + b"\xff" * 7, b"")
@example(-1, b"\x00" * 4 + b"\x80" + b"\x00" * 7, b"")
@example(-1, b"\x00" * 8, b"\x91")
def test_random_extensions(code: int, payload: bytes, before: bytes) -> None:
    is_refused_or_a_value(before + extension(code, payload))


@given(
    st.sampled_from([5, 7, 8, 9, 10, 11]),
    st.text(alphabet="0123456789-+:.TZWE[]/_=foldEuropParis", max_size=40),
)
def test_random_texts_in_extensions(code: int, payload: str) -> None:
    is_refused_or_a_value(extension(code, payload.encode()))


@given(values, st.data())
def test_damaged_values(value: object, data: st.DataObject) -> None:
    stored = bytearray(encode(value, depth=DEEPEST))
    for _ in range(data.draw(st.integers(1, 3))):
        if stored:
            stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    is_refused_or_a_value(bytes(stored))


@given(values, st.data())
def test_every_cut_and_every_addition_is_noticed(value: object, data: st.DataObject) -> None:
    stored = encode(value, depth=DEEPEST)
    with pytest.raises(CorruptRecord):
        decode(stored[: data.draw(st.integers(0, len(stored) - 1))])
    with pytest.raises(CorruptRecord):
        decode(stored + data.draw(st.binary(min_size=1, max_size=4)))


@pytest.mark.parametrize(
    "stored",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdd\x00\xff\xff\xff" * 100,
        b"\xdf\x0f\xff\xff\xff\xa1a" * 100,
        b"\xdc\xff\xff" * 100,
        extension(1, b"\xdd\x7f\xff\xff\xff"),
        extension(2, b"\xdd\x7f\xff\xff\xff\x01"),
        b"\xc9\xff\xff\xff\xff\x04",
        extension(5, b"1E+999999999999999999"),
    ],
)
def test_short_bytes_take_little_memory(stored: bytes) -> None:
    tracemalloc.start()
    try:
        is_refused_or_a_value(stored)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500_000


# --- Zones and Markup elsewhere -------------------------------------------------------------------


def test_the_offset_stays_where_the_zone_is_unknown() -> None:
    back = decode(extension(7, b"2024-01-01T12:00:00+01:00[Mars/Olympus]"))
    assert typed(back) == typed(datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=1))))
    assert typed(decode(extension(9, b"12:00:00[Mars/Olympus]"))) == typed(time(12))
    for key in (b"Europe", b"../etc/passwd", b"/etc/passwd", b".", b"Europe/../Europe/Paris"):
        back = decode(extension(7, b"2024-01-01T12:00:00+01:00[" + key + b"]"))
        assert type(back.tzinfo) is timezone


def test_a_key_that_is_a_folder_of_the_package_tzdata_is_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "tzdata" / "zoneinfo" / "Mars"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent, folder.parent.parent):
        (package / "__init__.py").touch()
    stored = extension(7, b"2024-01-01T12:00:00+01:00[Mars]")
    assert (
        run(f"import moored.codec as c; print(c.decode({stored!r}))", str(tmp_path))
        == "2024-01-01 12:00:00+01:00"
    )


def test_the_instant_stays_where_the_rules_of_the_zone_have_changed() -> None:
    back = decode(extension(7, b"2024-07-01T12:00:00+05:00[Europe/Paris]"))
    assert typed(back) == typed(datetime(2024, 7, 1, 9, tzinfo=PARIS))
    back = decode(extension(7, b"0001-01-01T00:00:00+05:00[Europe/Paris]"))  # before Python's years in Paris
    assert typed(back) == typed(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))))


def test_other_zones_keep_their_offset() -> None:
    back = decode(encode(datetime(2024, 1, 1, tzinfo=Zone())))
    assert typed(back) == typed(datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2))))


def test_timestamps_of_others_are_read() -> None:
    assert decode(b"\xd6\xff\x00\x00\x00\x01") == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def run(program: str, *paths: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join([*paths, *sys.path])},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def test_markupsafe_is_loaded_only_by_those_who_use_it() -> None:
    stored = encode(Markup("<b>"))
    program = f"""
import sys
from moored.codec import decode, encode
class Text(str): pass
encode(["a", Text("b"), 2**70])
before = "markupsafe" in sys.modules
value = decode({stored!r})
print(before, type(value).__name__, value)
"""
    assert run(program) == "False Markup <b>"
    hidden = 'import sys; sys.modules["markupsafe"] = None' + program  # as if it were not installed
    assert run(hidden) == "True str <b>"
