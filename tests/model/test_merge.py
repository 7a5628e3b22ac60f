"""What merging promises, promise by promise, then for values at random."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections import Counter
from copy import deepcopy
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moored.errors import ConfigurationError, ConflictError
from moored.merge import DEPTH, MEMBERS, MISSING, NO_RULES, Missing, Rules, _Merging, merge
from moored.merge_compare import identity, same
from moored.merge_rules import RULES

NAN = float("nan")


def typed(value: Any) -> Any:
    """Compares with the types, in the order of the keys, and NaN with itself."""
    if isinstance(value, dict):
        return dict, [(typed(key), typed(member)) for key, member in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [typed(member) for member in value]
    if isinstance(value, (set, frozenset)):
        return type(value), Counter(typed_leaf(member) for member in value)
    return typed_leaf(value)


def typed_leaf(value: Any) -> Any:
    return type(value), repr(value)


def unordered(value: Any) -> Any:
    """The same without the order of the keys."""
    if isinstance(value, dict):
        members = ((repr(typed(key)), unordered(member)) for key, member in value.items())
        return dict, sorted(members, key=lambda member: member[0])
    if isinstance(value, (list, tuple)):
        return type(value), [unordered(member) for member in value]
    return typed(value)


def check(
    base: Any,
    mine: Any,
    theirs: Any,
    merged: Any,
    conflicts: list[str],
    declared: dict[str, str] | None = None,
) -> None:
    noted: list[str] = []
    rules = Rules.parse(declared or {})
    result = merge(base, mine, theirs, rules, ("f",), noted)
    assert (typed(result), noted) == (typed(merged), conflicts)


# --- MISSING ----------------------------------------------------------------------------


def test_missing_is_one_of_a_kind_and_prints_its_name() -> None:
    assert repr(MISSING) == "MISSING"
    assert list(Missing) == [MISSING]
    assert deepcopy(MISSING) is MISSING


# --- Mappings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        pytest.param({"a": 1}, {"a": 1, "m": 2}, {"a": 1, "t": 3}, {"a": 1, "t": 3, "m": 2}, id="new keys"),
        pytest.param({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 3}, {"a": 2, "b": 3}, id="changed"),
        pytest.param({"a": 1, "b": 1}, {"b": 1}, {"a": 1, "b": 3}, {"b": 3}, id="mine removed"),
        pytest.param({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1}, {"a": 2}, id="theirs removed"),
        pytest.param({"a": 1, "b": 1}, {"b": 1}, {"a": 1}, {}, id="each removed one"),
        pytest.param(
            {"a": {"x": 1}}, {"a": {"x": 1, "m": 2}}, {"a": {"x": 3}}, {"a": {"x": 3, "m": 2}}, id="deep"
        ),
        pytest.param(MISSING, {"m": 1}, {"t": 2}, {"t": 2, "m": 1}, id="both made it"),
        pytest.param(None, {"m": 1}, {"t": 2}, {"t": 2, "m": 1}, id="both put it in place of another value"),
    ],
)
def test_mappings_merge_by_key_recursively(base: Any, mine: Any, theirs: Any, merged: Any) -> None:
    check(base, mine, theirs, merged, [])


def test_keys_keep_their_type_and_1_is_another_key_than_its_text() -> None:
    check({1: "a"}, {1: "a", "1": "m"}, {1: "a", 2: "t"}, {1: "a", 2: "t", "1": "m"}, [])


def test_a_merged_mapping_has_the_order_of_theirs_and_then_what_is_new_in_mine() -> None:
    check(
        {"a": 0, "b": 0},
        {"m": 1, "b": 0, "a": 1},
        {"b": 1, "t": 1, "a": 0},
        {"b": 1, "t": 1, "a": 1, "m": 1},
        [],
    )


def test_keys_that_mine_moved_stay_where_they_were_moved_to_if_theirs_left_the_order_alone() -> None:
    moved = {"b": 1, "a": 0}
    check({"a": 0, "b": 1}, moved, {"a": 2, "b": 1}, {"b": 1, "a": 2}, [])
    check({"a": 0, "b": 1}, {"m": 1, **moved}, {"a": 2, "b": 1}, {"m": 1, "b": 1, "a": 2}, [])
    check({"a": 0, "b": 1}, {"a": 2, "b": 1}, moved, {"b": 1, "a": 2}, [])


def test_of_two_changes_of_one_key_the_later_commit_wins_and_its_path_is_noted() -> None:
    check(
        {"a": {"x": 1}, "b": 1},
        {"a": {"x": 2}, "b": 1},
        {"a": {"x": 3}, "b": 4},
        {"a": {"x": 2}, "b": 4},
        ["f.a.x"],
    )


# --- Sets -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [set, frozenset])
def test_sets_merge_by_added_and_removed_members_and_keep_their_type(kind: type[Any]) -> None:
    check(kind("abc"), kind("bcm"), kind("act"), kind("cmt"), [])
    check(MISSING, kind("m"), kind("t"), kind("mt"), [])
    check(kind("a"), kind("am"), MISSING, kind("m"), [])
    check(kind("a"), MISSING, kind("a"), MISSING, [])


def test_members_of_a_set_that_are_equal_and_not_the_same_count_as_a_change() -> None:
    check({1}, {True}, {1, 2}, {True, 2}, [])
    check({(1, 2)}, {(1.0, 2)}, {(1, 2), "t"}, {(1.0, 2), "t"}, [])
    check(set(), {True}, {1}, {True}, [])


def test_a_set_and_a_frozenset_are_two_kinds_of_value() -> None:
    check(MISSING, {"m"}, frozenset("t"), {"m"}, ["f"])


# --- Lists ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        pytest.param("a", "am", "at", "atm", id="both appended"),
        pytest.param("", "m", "t", "tm", id="both appended to an empty list"),
        pytest.param("a", "ax", "ax", "axx", id="both appended the same"),
        pytest.param("abc", "abcm", "bc", "bcm", id="appended, removed"),
        pytest.param("abc", "bc", "abct", "bct", id="removed, appended"),
        pytest.param("abc", "ac", "bc", "c", id="removed different members"),
        pytest.param("abc", "ac", "ac", "ac", id="both removed the same member"),
        pytest.param("ab", "", "abt", "t", id="emptied, appended"),
        pytest.param("ab", "abm", "", "m", id="appended, emptied"),
        pytest.param("ab", "abm", "tab", "tabm", id="appended, put in front"),
        pytest.param("ab", "mab", "abt", "mabt", id="put in front, appended"),
        pytest.param("ab", "b", "tab", "tb", id="removed, put in front"),
        pytest.param("ab", "mab", "b", "mb", id="put in front, removed"),
        pytest.param("abc", "abm", "bc", "bm", id="replaced, removed another"),
        pytest.param("abc", "bc", "xbc", "xbc", id="removed what the other replaced"),
        pytest.param("ab", "bm", "abt", "bmt", id="removed and appended, appended"),
        pytest.param("ab", "abm", "ba", "bam", id="appended, turned around"),
    ],
)
def test_a_tail_or_a_removal_is_applied_to_what_the_other_side_made(
    base: str, mine: str, theirs: str, merged: str
) -> None:
    check(list(base), list(mine), list(theirs), list(merged), [])


def test_both_made_the_list_and_both_contents_are_there_theirs_first() -> None:
    check(MISSING, ["m"], ["t"], ["t", "m"], [])
    check(MISSING, ["x"], ["x"], ["x", "x"], [])
    check({}, {"l": ["m"]}, {"l": ["t"]}, {"l": ["t", "m"]}, [])
    check(None, ["m"], ["t"], ["t", "m"], [])


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        pytest.param("xx", "x", "x", "", id="of two, each removed one"),
        pytest.param("xxx", "xx", "xx", "x", id="of three, each removed one"),
        pytest.param("xxx", "x", "x", "", id="of three, each removed two"),
        pytest.param("xa", "a", "a", "a", id="both removed the only one"),
        pytest.param("xax", "ax", "ax", "a", id="both removed the first"),
        pytest.param("xx", "x", "nx", "n", id="the other side replaced one"),
    ],
)
def test_removal_is_by_value_as_from_a_multiset(base: str, mine: str, theirs: str, merged: str) -> None:
    check(list(base), list(mine), list(theirs), list(merged), [])


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        pytest.param("xyx", "yx", "xyxt", "yxt", id="the first, appended"),
        pytest.param("xyx", "xy", "xyxt", "xyt", id="the last, appended"),
        pytest.param("xyx", "xy", "nxyx", "nxy", id="the last, put in front"),
        pytest.param("xyxzx", "xyzx", "yxzx", "yzx", id="the second, and the first"),
        pytest.param("xyxzx", "yxzx", "xyzx", "yzx", id="the first, and the second"),
        pytest.param("xyxzx", "xyxz", "yxzx", "yxz", id="the last, and the first"),
    ],
)
def test_of_equal_members_the_one_at_the_place_is_removed(
    base: str, mine: str, theirs: str, merged: str
) -> None:
    check(list(base), list(mine), list(theirs), list(merged), [])


@pytest.mark.parametrize(
    ("base", "mine", "theirs"),
    [
        pytest.param("ab", "mab", "tab", id="both put something in front"),
        pytest.param("ab", "mb", "tb", id="both replaced"),
        pytest.param("abc", "cba", "bac", id="both reordered"),
        pytest.param("ab", "bm", "at", id="both removed and appended"),
    ],
)
def test_of_any_other_two_edits_of_a_list_the_later_commit_wins_and_it_is_noted(
    base: str, mine: str, theirs: str
) -> None:
    check(list(base), list(mine), list(theirs), list(mine), ["f"])


def test_the_same_other_edit_of_a_list_counts_once_and_is_no_conflict() -> None:
    check([2, 1], [1, 3, 2], [1, 3, 2], [1, 3, 2], [])


def test_lists_of_mappings_merge_by_tails_and_removals_as_well() -> None:
    a, b, m, t = ({"id": name, "tags": [name]} for name in "abmt")
    check([a, b], [a, b, m], [b, t], [b, t, m], [])
    check([a, b], [b], [a, b, t], [b, t], [])
    check([a, b], [{**a, "n": 1}, b], [a, b, t], [{**a, "n": 1}, b, t], [])


def test_members_of_a_list_are_the_same_in_any_order_of_keys_and_of_sets() -> None:
    one = {"a": {"c": 1, "d": {"xyz", "abc", "k"}}, "b": 1}
    other = {"b": 1, "a": {"d": {"k", "abc", "xyz"}, "c": 1}}
    check([one, "b"], ["b"], ["t", other, "b"], ["t", "b"], [])
    check([one, "b"], ["m", other, "b"], ["b"], ["m", "b"], [])
    check([(one,), "b"], ["b"], ["t", (other,), "b"], ["t", "b"], [])


def test_members_of_a_list_compare_with_their_types() -> None:
    check([1], [True], [1, 2], [True, 2], [])
    check([[1]], [[True]], [[1], 2], [[True], 2], [])
    check([{"n": 1}, 5], [5], [{"n": 1.0}, 5], [{"n": 1.0}, 5], [])


# --- Removal ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cart", "late", "left"),
    [
        pytest.param(["apple"], ["apple", "pear"], ["pear"], id="list"),
        pytest.param({"apple": 1}, {"apple": 1, "pear": 2}, {"pear": 2}, id="mapping"),
        pytest.param({"apple"}, {"apple", "pear"}, {"pear"}, id="set"),
        pytest.param(frozenset({"apple"}), frozenset({"apple", "pear"}), frozenset({"pear"}), id="frozenset"),
        pytest.param({"l": [1], "s": 1}, {"l": [1, 2], "s": 1}, {"l": [2]}, id="nested"),
        pytest.param([], ["pear"], ["pear"], id="empty"),
    ],
)
def test_checkout_empties_the_cart_and_the_late_item_remains(cart: Any, late: Any, left: Any) -> None:
    check(cart, MISSING, late, left, [])
    check(cart, late, MISSING, left, [])
    check({"cart": cart, "n": 1}, {"n": 1}, {"cart": late, "n": 1}, {"n": 1, "cart": left}, [])
    check({"cart": cart, "n": 1}, {"cart": late, "n": 1}, {"n": 1}, {"n": 1, "cart": left}, [])


@pytest.mark.parametrize("value", [1, "text", None, (1, 2), ["a"], {"a": 1}, {"a"}, [], {}], ids=repr)
def test_what_one_side_removed_and_the_other_left_alone_is_removed(value: Any) -> None:
    check(value, MISSING, value, MISSING, [])
    check(value, value, MISSING, MISSING, [])
    check(value, MISSING, MISSING, MISSING, [])
    check({"a": {"b": value}}, {"a": {}}, {"a": {"b": value, "t": 1}}, {"a": {"t": 1}}, [])


def test_a_container_that_one_side_removed_and_the_other_only_shortened_is_removed() -> None:
    check(["a", "b"], MISSING, ["b"], MISSING, [])
    check({"a": 1, "b": 1}, {"b": 1}, MISSING, MISSING, [])
    check({"a", "b"}, {"b"}, MISSING, MISSING, [])


def test_of_removal_and_change_of_a_scalar_the_later_commit_wins() -> None:
    check(1, MISSING, 2, MISSING, ["f"])
    check(1, 2, MISSING, 2, ["f"])
    check({"a": 1}, MISSING, {"a": 2}, MISSING, ["f.a"])
    check({"a": 1}, {"a": 2}, MISSING, {"a": 2}, ["f.a"])


# --- Scalars ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "mine", "theirs"),
    [
        (1, 2, 3),
        (MISSING, "m", "t"),
        ((1,), (1, 2), (1, 3)),
        (1, True, 1.0),
        (1, ["m"], "t"),
        (["a"], ["a", "m"], "t"),
        (["a"], {"m": 1}, ["a", "t"]),
        (1, ["m"], MISSING),
        (["a"], MISSING, {"t": 1}),
    ],
    ids=repr,
)
def test_of_other_values_the_later_commit_wins_and_it_is_noted(base: Any, mine: Any, theirs: Any) -> None:
    check(base, mine, theirs, mine, ["f"])


def test_tuples_are_values_and_do_not_merge() -> None:
    check((1,), (1, "m"), (1, "t"), (1, "m"), ["f"])


@pytest.mark.parametrize("value", [2, "x", None, True, (1, 2), NAN, Decimal("1.5"), b"x"], ids=repr)
def test_the_same_change_of_a_scalar_counts_once_and_is_no_conflict(value: Any) -> None:
    check("base", value, value, value, [])
    check(MISSING, deepcopy(value), value, value, [])


@pytest.mark.parametrize(
    ("base", "changed"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        (Decimal("1.0"), Decimal("1.00")),
        ([1], [True]),
        ((1,), (1.0,)),
        ({"a": [0]}, {"a": [False]}),
        ([datetime(2024, 10, 27, 2, tzinfo=UTC)], [datetime(2024, 10, 27, 2, fold=1, tzinfo=UTC)]),
        (time(2), time(2, fold=1)),
    ],
    ids=repr,
)
def test_a_change_of_the_type_is_a_change(base: Any, changed: Any) -> None:
    assert base == changed
    check(base, changed, base, changed, [])
    check(base, base, changed, changed, [])


def test_nan_is_the_same_as_nan_when_asking_what_changed() -> None:
    check(NAN, float("nan"), 1.0, 1.0, [])
    check(NAN, 1.0, float("nan"), 1.0, [])
    check([NAN, 1], [float("nan"), 1, 2], [float("nan")], [NAN, 2], [])
    check(Decimal("sNaN"), Decimal("sNaN"), 1, 1, [])


# --- Bounds -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, set, frozenset, dict.fromkeys])
def test_up_to_1000_members_are_merged_and_beyond_that_the_later_commit_wins(kind: Any) -> None:
    full = list(range(MEMBERS - 1))
    check(kind(full), kind([*full, "m"]), kind([*full, "t"]), kind([*full, "t", "m"]), [])
    over = [*full, "a", "b"]
    check(kind(full), kind(over), kind([*full, "t"]), kind(over), ["f"])
    check(kind(full), kind([*full, "m"]), kind(over), kind([*full, "m"]), ["f"])
    check(kind(over), kind(full), kind([*full, "a"]), kind(full), ["f"])
    check(kind(over), kind(over), kind(full), kind(full), [])
    check(kind(over), MISSING, kind([*over, "t"]), MISSING, ["f"])


def nested(depth: int, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = {"k": leaf}
    return leaf


def test_down_to_depth_32_is_merged_and_below_that_the_later_commit_wins() -> None:
    base, mine, theirs = {"a": 1}, {"a": 1, "m": 1}, {"a": 1, "t": 1}
    depth = DEPTH - 1  # the field is the first
    check(
        nested(depth, base),
        nested(depth, mine),
        nested(depth, theirs),
        nested(depth, {"a": 1, "t": 1, "m": 1}),
        [],
    )
    deeper = ".".join(["f"] + ["k"] * DEPTH)
    check(nested(DEPTH, base), nested(DEPTH, mine), nested(DEPTH, theirs), nested(DEPTH, mine), [deeper])


def test_no_value_is_compared_again_at_each_level_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[set[Any]] = []

    def counted(one: Any, other: Any) -> bool:
        if isinstance(one, int):
            compared.append({one, other})
        return same(one, other)

    for module in ("moored.merge", "moored.merge_compare"):
        monkeypatch.setattr(f"{module}.same", counted)
    base, mine, theirs = (nested(DEPTH - 1, {"a": number}) for number in range(3))
    assert merge(base, mine, theirs, path=("f",)) == mine
    assert compared == [{0, 1}, {0, 2}, {1, 2}]  # mine and theirs with the base, and mine with theirs


def empties(count: int, last: Any) -> list[Any]:
    return [{} for _ in range(count)] + [last]


@pytest.mark.parametrize(
    ("base", "mine", "theirs"),
    [
        pytest.param(empties(200_000, 0), empties(200_000, 1), empties(200_000, 2), id="wide"),
        pytest.param([empties(200_000, 0)], [empties(200_000, 1)], [empties(200_000, 2)], id="in a member"),
        pytest.param((empties(200_000, 0),), (empties(200_000, 1),), (empties(200_000, 2),), id="in a tuple"),
    ],
)
def test_comparing_large_values_builds_nothing(base: Any, mine: Any, theirs: Any) -> None:
    merging = _Merging(NO_RULES, [])
    tracemalloc.start()
    try:
        assert merging.value(base, mine, theirs, ("f",)) is mine
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_large_members_are_compared_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def counted(one: Any, other: Any) -> bool:
        nonlocal compared
        compared += 1
        return same(one, other)

    for module in ("moored.merge", "moored.merge_compare"):
        monkeypatch.setattr(f"{module}.same", counted)
    base, mine, theirs = (empties(10_000, number) for number in range(3))
    assert merge(base, mine, theirs) == mine
    assert compared < 3 * 10_010


def test_mappings_in_another_order_are_compared_once_at_each_level() -> None:
    def turned(depth: int, leaf: Any, *, around: bool) -> Any:
        value = leaf
        for _ in range(depth):
            value = {"k": value, "a": 1, "b": 2} if not around else {"k": value, "b": 2, "a": 1}
        return value

    # With two comparisons at each level this would not end.
    assert same(turned(100, 1, around=False), turned(100, 1, around=True))
    assert not same(turned(100, 1, around=False), turned(100, 2, around=True))


def test_much_deeper_values_than_are_merged_do_no_harm() -> None:
    base, mine, theirs = (nested(200, leaf) for leaf in (["a"], ["a", "m"], ["a", "t"]))
    noted: list[str] = []
    assert merge(base, mine, theirs, conflicts=noted) == mine
    assert len(noted) == 1
    assert merge(base, base, theirs) == theirs


# --- Declared rules ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        (10, 11, 15, 16),
        (10, 7, 15, 12),
        (1, 2, 2, 3),
        (MISSING, 2, 3, 5),
        (1, 2.5, 2, 3.5),
        (Decimal("0.10"), Decimal("0.20"), Decimal("0.40"), Decimal("0.50")),
    ],
    ids=repr,
)
def test_sum_counts_both_differences(base: Any, mine: Any, theirs: Any, merged: Any) -> None:
    check(base, mine, theirs, merged, [], {"f": "sum"})


def test_sum_removal_takes_what_was_there_and_what_was_added_meanwhile_stays() -> None:
    check(3, MISSING, 5, 2, [], {"f": "sum"})
    check(3, 5, MISSING, 2, [], {"f": "sum"})
    check(3, MISSING, MISSING, MISSING, [], {"f": "sum"})
    check(3, MISSING, 2, MISSING, ["f"], {"f": "sum"})
    check(3, 2, MISSING, MISSING, ["f"], {"f": "sum"})
    cart = {"apple": 3, "plum": 1}
    check(cart, MISSING, {"apple": 5, "plum": 1, "pear": 1}, {"apple": 2, "pear": 1}, [], {"f.*": "sum"})
    check(cart, {"apple": 5, "plum": 1, "pear": 1}, MISSING, {"apple": 2, "pear": 1}, [], {"f.*": "sum"})


@pytest.mark.parametrize(("rule", "merged"), [("max", 9), ("min", 2)])
def test_max_and_min_keep_the_greater_and_the_lesser(rule: str, merged: int) -> None:
    check(5, 9, 2, merged, [], {"f": rule})
    check(5, 2, 9, merged, [], {"f": rule})
    check(MISSING, 2, 9, merged, [], {"f": rule})
    check(5, 7, 7, 7, [], {"f": rule})


@pytest.mark.parametrize(
    ("rule", "base", "mine", "theirs"),
    [
        ("sum", MISSING, "m", 1),
        ("sum", MISSING, 1, "t"),
        ("sum", "base", 1, 2),
        ("sum", None, 1, 2),
        ("sum", 1, True, 3),
        ("sum", True, 2, 3),
        ("sum", 1, Decimal(2), 2.5),
        ("sum", NAN, 1, 2),
        ("sum", 0.5, 10**400, 2),
        ("sum", 1, Decimal("sNaN"), 2),
        ("sum", [1], [2], [3]),
        ("sum", "base", MISSING, 1),
        ("max", 0, "m", 1),
        ("max", 0, 1, None),
        ("max", 0, {"a": 1}, {"b": 1}),
        ("max", 0, {1}, {2}),
        ("max", 0, NAN, 1.0),
        ("max", 0, 1.0, NAN),
        ("max", 0, Decimal("NaN"), Decimal(1)),
        ("max", 0, MISSING, 1),
        ("max", 0, 1, MISSING),
        ("min", 0, datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),  # noqa: DTZ001 - that is the point
        ("min", 0, (1, "m"), (1, 2)),
        ("union", "base", "m", "t"),
        ("union", [], {"m"}, ["t"]),
        ("union", 1, MISSING, 2),
        ("unique", 1, 2, 3),
    ],
    ids=repr,
)
def test_a_rule_that_the_values_do_not_allow_lets_the_later_commit_win_and_is_noted(
    rule: str, base: Any, mine: Any, theirs: Any
) -> None:
    check(base, mine, theirs, mine, ["f"], {"f": rule})


def test_union_keeps_what_either_side_has() -> None:
    union = {"f": "union"}
    check(["a", "b"], ["b", "m"], ["a", "t"], ["a", "t", "b", "m"], [], union)
    check([], ["x", {"n": 1}], [{"n": 1}, "x", "x"], [{"n": 1}, "x"], [], union)
    check([], [1], [True], [True, 1], [], union)
    check({"a", "b"}, {"b", "m"}, {"a", "t"}, {"a", "b", "m", "t"}, [], union)
    check({"a": 1, "b": 1}, {"b": 2, "m": 1}, {"a": 3, "t": 1}, {"a": 3, "t": 1, "b": 2, "m": 1}, [], union)
    check({"a": 1}, {"a": 2}, {"a": 3, "t": 1}, {"a": 2, "t": 1}, ["f.a"], union)


def test_union_lets_the_whole_container_be_removed() -> None:
    check(["a"], MISSING, ["a", "t"], ["t"], [], {"f": "union"})
    check({"a"}, {"a", "m"}, MISSING, {"m"}, [], {"f": "union"})
    check({"a": 1}, MISSING, {"a": 1, "t": 1}, {"t": 1}, [], {"f": "union"})


def test_unique_keeps_each_item_of_a_list_once() -> None:
    unique = {"f": "unique"}
    check(["a"], ["a", "x"], ["a", "x"], ["a", "x"], [], unique)
    check(["a"], ["a", "m", "x"], ["a", "x", "t"], ["a", "x", "t", "m"], [], unique)
    check(MISSING, [{"n": 1}], [{"n": 1}], [{"n": 1}], [], unique)
    check([], [1, "x"], [True, "x"], [True, "x", 1], [], unique)
    check({"a": 1}, {"a": 1, "m": 1}, {"a": 1, "t": 1}, {"a": 1, "t": 1, "m": 1}, [], unique)


def test_replace_lets_the_later_commit_win_and_that_is_no_conflict() -> None:
    replace = {"f": "replace"}
    check(["a"], ["a", "m"], ["a", "t"], ["a", "m"], [], replace)
    check({"a": 1}, MISSING, {"a": 1, "t": 1}, MISSING, [], replace)
    check(1, 2, 3, 2, [], replace)
    check(1, 1, 3, 3, [], replace)


@pytest.mark.parametrize(
    ("base", "mine", "theirs"),
    [
        (1, 2, 3),
        (1, MISSING, 3),
        (1, 2, MISSING),
        (1, 1.5, True),
        (["a"], ["a", "x"], ["a", "x"]),
        ({"a": 1}, {"a": 1, "m": 1}, {"a": 1, "t": 1}),
    ],
    ids=repr,
)
def test_refuse_refuses_where_both_changed(base: Any, mine: Any, theirs: Any) -> None:
    refuse = Rules.parse({"shop.draft": "refuse"})
    with pytest.raises(ConflictError) as caught:
        merge({"draft": base, "n": 1}, {"draft": mine, "n": 1}, {"draft": theirs, "n": 1}, refuse, ("shop",))
    assert str(caught.value) == (
        "shop.draft was changed by somebody else meanwhile, and is declared 'refuse': "
        "read it again and repeat the change. [MRD-011]"
    )


def test_refuse_does_not_refuse_what_only_one_side_changed_or_both_changed_to_the_same() -> None:
    refuse = {"f": "refuse"}
    check(1, 2, 1, 2, [], refuse)
    check(["a"], ["a"], ["a", "t"], ["a", "t"], [], refuse)
    check({"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}, [], refuse)
    check(1, "same", "same", "same", [], refuse)
    check(1, MISSING, MISSING, MISSING, [], refuse)


def test_a_star_stands_for_one_key_and_a_named_key_wins_over_it() -> None:
    declared = {"*.n": "min", "f.*": "max", "f.n": "sum", "*": "replace"}
    rules = Rules.parse(declared)
    found = {path: rules.of(tuple(path.split("."))) for path in ("f.n", "f.x", "g.n", "g", "g.x", "f.n.x")}
    assert found == {"f.n": "sum", "f.x": "max", "g.n": "min", "g": "replace", "g.x": None, "f.n.x": None}
    assert rules.of(()) is None
    assert Rules.parse(dict(reversed(declared.items()))).of(("f", "n")) == "sum"
    assert NO_RULES.of(("f",)) is None


def test_rules_reach_keys_that_are_numbers_by_their_text() -> None:
    check({7: 1}, {7: 2}, {7: 5}, {7: 6}, [], {"f.7": "sum"})


ALL = "The rules are max, min, refuse, replace, sum, union, unique."
EMPTY = "fits nothing: a path is keys joined by dots, none of them empty."
PARTLY = "fits nothing: '*' stands for one whole key, not for a part."
NO_MAPPING = 'write for example {"cart.*": "sum"}.'


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"cart": "summ"}, f"there is no merge rule 'summ' (for 'cart'). Did you mean 'sum'? {ALL}"),
        ({"cart": "UNIQ"}, f"there is no merge rule 'UNIQ' (for 'cart'). Did you mean 'unique'? {ALL}"),
        ({"cart": "zzz"}, f"there is no merge rule 'zzz' (for 'cart'). {ALL}"),
        ({"cart": None}, f"there is no merge rule None (for 'cart'). {ALL}"),
        ({"cart": ["sum"]}, f"there is no merge rule ['sum'] (for 'cart'). {ALL}"),
        ({"": "sum"}, f"the merge rule for '' {EMPTY}"),
        ({"a..b": "sum"}, f"the merge rule for 'a..b' {EMPTY}"),
        ({"a. ": "sum"}, f"the merge rule for 'a. ' {EMPTY}"),
        ({".a": "sum"}, f"the merge rule for '.a' {EMPTY}"),
        ({"a.b*": "sum"}, f"the merge rule for 'a.b*' {PARTLY}"),
        ({"a.**": "sum"}, f"the merge rule for 'a.**' {PARTLY}"),
        ({7: "sum"}, "a merge rule's path is a string, as in 'cart.*', not int."),
        ("sum", f"merge rules are a mapping of paths to rules, not str: {NO_MAPPING}"),
        (None, f"merge rules are a mapping of paths to rules, not NoneType: {NO_MAPPING}"),
    ],
    ids=repr,
)
def test_wrong_rules_are_told_apart(declared: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Rules.parse(declared)
    assert str(caught.value) == f"{message} [MRD-022]"


def test_every_rule_can_be_declared() -> None:
    assert {Rules.parse({"f": rule}).of(("f",)) for rule in RULES} == RULES


def test_declaring_rules_loads_no_difflib() -> None:
    code = (
        "import sys; from moored.merge import Rules; "
        "Rules.parse({'a': 'sum'}); sys.exit('difflib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


# --- At random --------------------------------------------------------------------------

hashables = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, 2.5, NAN, float("inf")]),
    st.sampled_from([Decimal("1.0"), Decimal("1.00"), Decimal("NaN"), datetime(2024, 1, 1, tzinfo=UTC)]),
    st.text("abc", max_size=2),
    st.binary(max_size=1),
)
scalars = hashables | st.lists(hashables, max_size=2).map(tuple)
keys = st.sampled_from(["a", "b", "c", "1", 1, 2])


def grown(children: st.SearchStrategy[Any], *, lists: bool = True) -> st.SearchStrategy[Any]:
    containers = [
        st.dictionaries(keys, children, max_size=4),
        st.sets(hashables, max_size=3),
        st.frozensets(hashables, max_size=3),
    ]
    if lists:
        containers += [st.lists(children, max_size=4), st.lists(children, max_size=2).map(tuple)]
    return st.one_of(containers)


values = st.recursive(scalars, grown, max_leaves=12)
listless = st.recursive(scalars, lambda children: grown(children, lists=False), max_leaves=12)
fields = values | st.just(MISSING)
rulebooks = st.dictionaries(
    st.sampled_from(["f", "*", "f.a", "f.*", "f.*.*"]), st.sampled_from(sorted(RULES)), max_size=3
).map(Rules.parse)


@given(fields, fields, rulebooks)
def test_what_only_one_side_changed_is_taken_as_it_is(base: Any, changed: Any, rules: Rules) -> None:
    noted: list[str] = []
    mine = merge(base, changed, deepcopy(base), rules, ("f",), noted)
    theirs = merge(base, deepcopy(base), changed, rules, ("f",), noted)
    assert unordered(mine) == unordered(theirs) == unordered(changed)
    assert noted == []
    if isinstance(base, dict) and isinstance(changed, dict) and rules == NO_RULES:
        assert list(mine) == list(theirs) == list(changed)


@given(st.data(), values)
def test_values_are_the_same_where_their_identities_are(data: st.DataObject, one: Any) -> None:
    other = data.draw(values | st.just(deepcopy(one)) | st.just(turned_around(one)))
    assert same(one, other) == (identity(one) == identity(other))


def turned_around(value: Any) -> Any:
    """With the keys of all mappings in the opposite order."""
    if isinstance(value, dict):
        return {key: turned_around(member) for key, member in reversed(value.items())}
    if isinstance(value, list):
        return [turned_around(member) for member in value]
    return value


@given(listless | st.just(MISSING), listless | st.just(MISSING))
def test_the_same_change_of_values_without_lists_counts_once(base: Any, changed: Any) -> None:
    noted: list[str] = []
    assert unordered(merge(base, changed, deepcopy(changed), conflicts=noted)) == unordered(changed)
    assert noted == []


def deface(value: Any) -> None:
    """Changes everything in the value that can be changed."""
    members = list(value.values()) if isinstance(value, dict) else value
    if isinstance(value, (dict, list, tuple)):
        for member in members:
            deface(member)
    if isinstance(value, dict):
        value["defaced"] = True
    elif isinstance(value, list):
        value.append("defaced")
    elif isinstance(value, set):
        value.add("defaced")


@given(fields, fields, fields, rulebooks)
def test_merging_never_fails_and_never_touches_what_it_was_given(
    base: Any, mine: Any, theirs: Any, rules: Rules
) -> None:
    before = typed(base), typed(mine), typed(theirs)
    try:
        merged = merge(base, mine, theirs, rules, ("f",))
    except ConflictError:
        assert "refuse" in str(rules)
    else:
        deface(merged)
    assert (typed(base), typed(mine), typed(theirs)) == before


def test_an_item_that_both_sides_share_is_twice_its_own() -> None:
    item = {"n": [1]}
    merged = merge([], [item], [item])
    merged[0]["n"].append(2)
    assert (merged, item) == ([{"n": [1, 2]}, {"n": [1]}], {"n": [1]})


@st.composite
def histories(draw: st.DrawFn, writers: int) -> tuple[Any, list[Any], Any]:
    """A base, what each writer made of it, and the value with all that they did.

    Writers append to lists, and set and remove keys, each key by one writer only.
    """
    base: dict[Any, Any] = draw(st.dictionaries(keys, values, max_size=4))
    return history(draw, base, writers)


def history(draw: st.DrawFn, base: Any, writers: int) -> tuple[Any, list[Any], Any]:
    if isinstance(base, list):
        tails = [draw(st.lists(values, max_size=3)) for _ in range(writers)]
        return base, [base + tail for tail in tails], base + [item for tail in tails for item in tail]
    if not isinstance(base, dict):
        return base, [base] * writers, base
    made: list[dict[Any, Any]] = [{} for _ in range(writers)]
    whole: dict[Any, Any] = {}
    for key, value in base.items():
        owner = draw(st.none() | st.integers(0, writers - 1))
        if owner is None:
            _, sides, together = history(draw, value, writers)
        else:
            together = draw(fields)
            sides = [value] * writers
            sides[owner] = together
        for side, mapping in zip([*sides, together], [*made, whole], strict=True):
            if side is not MISSING:
                mapping[key] = side
    for writer, mapping in enumerate(made):
        new = draw(st.dictionaries(st.sampled_from([f"new{writer}a", f"new{writer}b"]), values))
        mapping.update(new)
        whole.update(new)
    return base, made, whole


@given(histories(2))
def test_every_append_and_every_change_of_a_different_key_is_there(drawn: tuple[Any, list[Any], Any]) -> None:
    base, (theirs, mine), everything = drawn
    noted: list[str] = []
    assert unordered(merge(base, mine, theirs, conflicts=noted)) == unordered(everything)
    assert noted == []


@given(histories(3))
def test_a_chain_of_three_writers_keeps_everything(drawn: tuple[Any, list[Any], Any]) -> None:
    base, (first, second, third), everything = drawn
    noted: list[str] = []
    stored = merge(base, second, first, conflicts=noted)
    stored = merge(base, third, stored, conflicts=noted)
    assert unordered(stored) == unordered(everything)
    assert noted == []


letters = st.lists(st.sampled_from("xyz"), max_size=8)


def is_in_order(some: list[Any], everything: list[Any]) -> bool:
    rest = iter(everything)
    return all(item in rest for item in some)


@given(st.data(), letters)
def test_any_two_removals_from_a_list_both_count(data: st.DataObject, base: list[str]) -> None:
    masks = st.lists(st.booleans(), min_size=len(base), max_size=len(base))
    mine = [item for item, keep in zip(base, data.draw(masks), strict=True) if keep]
    theirs = [item for item, keep in zip(base, data.draw(masks), strict=True) if keep]
    noted: list[str] = []
    merged = merge(base, mine, theirs, conflicts=noted)
    removed = (Counter(base) - Counter(mine)) + (Counter(base) - Counter(theirs))
    assert Counter(merged) == Counter(base) - removed
    assert is_in_order(merged, base)
    assert noted == []


@given(st.data(), st.lists(st.integers(), unique=True, max_size=8))
def test_who_appends_or_removes_is_heard_whatever_the_other_side_did(
    data: st.DataObject, base: list[object]
) -> None:
    other = data.draw(st.permutations([*base, "new", "newer"]))
    tail = data.draw(st.lists(st.text(max_size=2), min_size=1, max_size=3))
    removed = data.draw(st.sets(st.sampled_from(base), max_size=3)) if base else set()
    kept = [item for item in base if item not in removed]
    noted: list[str] = []
    for mine, theirs in ((base + tail, other), (other, base + tail)):
        merged = merge(base, mine, theirs, conflicts=noted)
        assert Counter(merged) == Counter([*other, *tail])
        assert is_in_order(other, merged)
        assert is_in_order(tail, merged)
    for mine, theirs in ((kept, other), (other, kept)):
        assert merge(base, mine, theirs, conflicts=noted) == [item for item in other if item not in removed]
    assert noted == []
