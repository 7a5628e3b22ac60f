"""When values are the same: with their types, all the way down."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, time
from decimal import Decimal
from typing import Any, Final

# Values of these types are equal only to values of the same type, and those are the same.
PLAIN: Final = frozenset({str, bytes, int, type(None)})
_SIZED: Final = (dict, list, tuple, set, frozenset)
_ABSENT: Final = object()


def same(one: Any, other: Any) -> bool:
    """Whether the values are the same with their types, all the way down.

    Stops at the first difference and builds nothing that grows with lists and mappings, so
    that values of any size can be compared.
    """
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in PLAIN:
        return bool(one == other)
    if isinstance(one, _SIZED):
        if len(one) != len(other):
            return False
        if not one:
            return True
    if isinstance(one, dict):
        # The members are compared once, in whichever order: with more comparisons at each
        # level there would be twice as many at every level below.
        for key, there in zip(one, other, strict=True):
            if not same(key, there):
                return _same_by_key(one, other)
        one, other = one.values(), other.values()
    elif isinstance(one, (set, frozenset)):
        plain = PLAIN.issuperset(map(type, one)) and PLAIN.issuperset(map(type, other))
        return bool(one == other if plain else identity(one) == identity(other))
    elif not isinstance(one, (list, tuple)):
        return bool(_leaf(one) == _leaf(other))
    for here, there in zip(one, other, strict=True):
        if here is not there and not same(here, there):
            return False
    return True


def _same_by_key(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    """Whether mappings of one size have the same members, in whichever order."""
    plain = PLAIN.issuperset(map(type, one)) and PLAIN.issuperset(map(type, other))
    # The keys as the other has them: of keys that are equal the types may differ, or not (NaN).
    keys = None if plain else {identity(key): key for key in other}
    for key, here in one.items():
        there = other.get(key if keys is None else keys.get(identity(key), _ABSENT), _ABSENT)
        if there is _ABSENT or not same(here, there):
            return False
    return True


def identities(items: list[Any]) -> list[Hashable]:
    """The identity of each."""
    return [identity(item) for item in items]


def identity(value: Any) -> Any:
    """Equal for values that are the same with their types, all the way down.

    It takes as much memory as the value: for members of containers that are merged.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if isinstance(value, _SIZED) and not value:
        return kind
    if isinstance(value, dict):
        return kind, frozenset((identity(key), identity(member)) for key, member in value.items())
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(identity, value))
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(identity, value))
    return kind, _leaf(value)


def _leaf(value: Any) -> Any:
    # == passes over digits, time zones and folds, and denies NaN
    return repr(value) if isinstance(value, (float, Decimal, datetime, time)) else value
