"""Bytes to typed values; whatever ``encode`` did not make is refused."""

from __future__ import annotations

from collections.abc import Callable
from types import GenericAlias
from typing import Any, Final

import msgspec
from msgspec.msgpack import Decoder

from moored.codec.extensions import BY_TYPE, FROZENSET, LONG_INT, MARKUP, SET, TUPLE
from moored.codec.limits import DEEPEST, INTS, KEYS, SCALARS
from moored.errors import CorruptRecord

_TOO_DEEP: Final = f"is nested deeper than {DEEPEST} levels"
_SIGNS: Final = {"truncated": "is truncated", "trailing": "is followed by other bytes"}
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset})


class _DamageError(Exception):
    """What is wrong with stored bytes, as the end of the sentence "A stored value ..."."""


def decode(data: bytes) -> Any:
    """The value that ``encode`` made ``data`` of; raises CorruptRecord for anything else."""
    try:
        return _unpack_plain(data)
    except Exception:  # noqa: S110 - the general decoder knows all types and names faults
        pass
    try:
        value = _unpack(data)
        _check(value)
        return value
    except _DamageError as error:
        reason = str(error)
    except RecursionError:
        reason = _TOO_DEEP
    except UnicodeDecodeError:
        reason = "holds text that is not UTF-8"
    except (msgspec.DecodeError, TypeError) as error:  # TypeError: a key that has no hash
        reason = next((words for sign, words in _SIGNS.items() if sign in str(error)), "is malformed")
    raise CorruptRecord(
        f"A stored value {reason}: it is damaged or was not written by Moored;"
        " remove it or restore it from a backup"
    )


def _plain_values(depth: int) -> Any:
    """The type of JSON's values, ``depth`` containers deep."""
    values: Any = None | bool | int | float | str
    if depth:
        inner = _plain_values(depth - 1)
        values = values | GenericAlias(list, inner) | GenericAlias(dict, (str, inner))
    return values


# Nearly all values are JSON's and a few levels deep.  This decoder takes exactly those, at the
# speed of the general one but without a walk to check types, keys and depth.
_unpack_plain = Decoder(_plain_values(5)).decode


def _check(value: object) -> None:
    """Refuse keys and a depth that ``encode`` would not have stored."""
    level: list[Any] = [value]
    for room in range(DEEPEST, -1, -1):
        if SCALARS.issuperset(map(type, level)):
            return
        members: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                kinds = {*map(type, item)}
                if not kinds <= KEYS:
                    raise _DamageError("has a key that is neither str nor int")
                if int in kinds and any(type(key) is int and key not in INTS for key in item):
                    raise _DamageError("has an int key beyond 64 bits")
                if not room:
                    raise _DamageError(_TOO_DEEP)
                members += item.values()
            elif kind in _CONTAINERS:
                if not room:
                    raise _DamageError(_TOO_DEEP)
                members += item
        level = members


def _load(code: int, payload: memoryview) -> object:
    name, load = _LOADERS.get(code, ("", None))
    if load is None:
        raise _DamageError(f"has the unknown extension type {code}")
    try:
        return load(bytes(payload))
    except (_DamageError, RecursionError, MemoryError):
        raise
    except Exception:
        raise _DamageError(f"holds a malformed {name}") from None


_unpack = Decoder(ext_hook=_load).decode
_unpack_list = Decoder(list[Any], ext_hook=_load).decode


def _load_set(payload: bytes) -> set[Any]:
    members = _unpack_list(payload)
    loaded = set(members)
    if len(loaded) != len(members):
        raise ValueError("a member is there twice")
    return loaded


_LOADERS: Final[dict[int, tuple[str, Callable[[bytes], object]]]] = {
    TUPLE: ("tuple", lambda payload: tuple(_unpack_list(payload))),
    SET: ("set", _load_set),
    FROZENSET: ("frozenset", lambda payload: frozenset(_load_set(payload))),
    **{each.code: (each.name, each.load) for each in (LONG_INT, MARKUP, *BY_TYPE.values())},
}
