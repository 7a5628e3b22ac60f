"""Typed values to bytes: a walk that replaces what MessagePack has no type for."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec.msgpack import Encoder, Ext

from moored.codec.extensions import BY_TYPE, FROZENSET, LONG_INT, MARKUP, SET, TUPLE, Extension
from moored.codec.faults import FaultError, step, type_name
from moored.codec.limits import DEEPEST, DEPTH, INTS, KEYS, MOST, SCALARS
from moored.errors import TooLargeError

# A long int or a surrogate makes the encoder raise, and both are so rare that every int and str
# is looked at only then.
_WITHOUT_DOUBT: Final = SCALARS - {int, str}
_WIDE: Final = 10_000

_pack = Encoder().encode
_are_scalars = SCALARS.issuperset  # bound, because a method of an imported name is found more slowly
_are_keys = KEYS.issuperset


def encode(value: object, *, path: str = "", depth: int = DEPTH) -> bytes:
    """The bytes of ``value``; ``path`` is the name that errors call it by.

    ``depth`` limits nested containers, up to ``DEEPEST``.  Raises EncodingError for what cannot
    be stored, and TooLargeError for what is nested deeper, contains itself, has more than
    ``MOST`` members or is a longer int; both say where in the value, and nothing of what it
    holds but keys.
    """
    room = min(depth, DEEPEST)
    fault: FaultError | None = None
    try:
        return _pack(value if _is_plain(value, room) else _marked(value, room, _Walk(SCALARS)))
    except FaultError as error:
        fault = error
    except RecursionError:
        fault = FaultError("nested deeper than the stack has room for", TooLargeError)
    except (OverflowError, UnicodeEncodeError):
        pass
    # Outside of the handlers, so that no error that holds the value is chained.
    if fault is None:
        return _encode_wary(value, path, room)
    raise fault.at(path)


def _encode_wary(value: object, path: str, room: int) -> bytes:
    try:
        return _pack(_marked(value, room, _Walk(_WITHOUT_DOUBT)))
    except FaultError as error:
        fault = error
    except OverflowError:
        fault = FaultError("a part of more than 4 GiB cannot be stored", TooLargeError)
    raise fault.at(path)


def _is_plain(value: object, room: int) -> bool:
    """Whether the encoder stores all of ``value`` rightly: true of nearly all, so found out first.

    By levels, which is fastest.  A wide level is not worth it, and may be a value that contains
    itself more than once, whose levels grow without end.
    """
    level: list[Any] = [value]
    left = MOST
    while not _are_scalars(map(type, level)):
        if room <= 0 or len(level) > _WIDE:
            return False
        room -= 1
        members: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                if not _are_keys(map(type, item)):
                    return False
                more = item.values()
            elif kind is list:
                more = item
            elif kind in SCALARS:
                continue
            else:
                return False
            left -= len(more)
            if left < 0:
                return False
            members += more
        level = members
    return True


class _Walk:
    """One walk through a value: what it passes over, and how many members it may still meet.

    A value that holds the same containers many times takes little memory, but may be an
    endless walk (YAML's aliases make such: "a billion laughs").
    """

    __slots__ = ("as_is", "left")

    def __init__(self, as_is: frozenset[type]) -> None:
        self.as_is, self.left = as_is, MOST

    def enter(self, members: int) -> None:
        self.left -= members
        if self.left < 0:
            raise FaultError(
                f"more than {MOST:,} members, counting those of shared containers each time;"
                " store it in parts",
                TooLargeError,
            )


def _marked(value: Any, room: int, walk: _Walk) -> Any:
    """``value`` itself if the encoder stores it rightly, else a copy of which that is true."""
    kind = type(value)
    as_is = walk.as_is
    if kind in as_is:
        return value
    if kind is dict:
        if as_is is not SCALARS or not _are_keys(map(type, value)):
            value = _with_plain_keys(value)
        members = value.values()
    elif kind is list:
        members = value
    else:
        for base in kind.__mro__:
            if base in _MARKERS:
                return _MARKERS[base](value, room, walk)
        raise FaultError(_refusal(kind))
    if room <= 0:
        raise FaultError("nested deeper than the limit, or contains itself; make it flatter", TooLargeError)
    walk.enter(len(value))
    if as_is.issuperset(map(type, members)):
        return value
    replaced: list[tuple[Any, Any]] = []
    for key, member in value.items() if kind is dict else enumerate(value):
        if type(member) not in as_is:
            try:
                marked = _marked(member, room - 1, walk)
            except FaultError as fault:
                fault.steps.append(step(key))
                raise
            if marked is not member:
                replaced.append((key, marked))
    if replaced:
        value = value.copy()
        for key, marked in replaced:
            value[key] = marked
    return value


def _with_plain_keys(value: dict[Any, Any]) -> dict[Any, Any]:
    plain: dict[Any, Any] = {}
    for key, member in value.items():
        kind = type(key)
        if issubclass(kind, str):
            plain[_plain_str(key)] = member
        elif issubclass(kind, int) and kind is not bool:
            number = int.__int__(key)
            if number not in INTS:
                raise FaultError("an int key beyond 64 bits cannot be stored; use a str")
            plain[number] = member
        else:
            raise FaultError(f"a key of type {type_name(kind)} cannot be stored; use str or int keys")
    if len(plain) != len(value):
        raise FaultError("different keys would be stored as the same one; use plain str or int keys")
    return plain


def _plain_str(value: str) -> str:
    text = str.__str__(value)  # what it holds, whatever a subclass shows
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FaultError("text with a lone surrogate cannot be stored; store it as bytes") from None
    return text


def _mark_str(value: str, _room: int, _walk: _Walk) -> object:
    text = _plain_str(value)
    markup = getattr(sys.modules.get("markupsafe"), "Markup", None)  # not loaded: nothing is Markup
    if markup is not None and isinstance(value, markup):
        return Ext(MARKUP.code, MARKUP.dump(text))
    return text


def _mark_int(value: int, _room: int, _walk: _Walk) -> object:
    number = int.__int__(value)
    return number if number in INTS else Ext(LONG_INT.code, LONG_INT.dump(number))


def _mark_tuple(value: tuple[Any, ...], room: int, walk: _Walk) -> Ext:
    return Ext(TUPLE, _pack(_marked([*tuple.__iter__(value)], room, walk)))


def _mark_set(code: int, members: Iterable[Any], room: int, walk: _Walk) -> Ext:
    try:
        marked = _marked([*members], room, walk)
    except FaultError as fault:
        if fault.steps:
            fault.steps[-1] = "{…}"  # members have no place
        raise
    return Ext(code, _pack([msgspec.Raw(packed) for packed in sorted(map(_pack, marked))]))


def _extended(extension: Extension) -> Callable[[Any, int, _Walk], Ext]:
    code, dump = extension.code, extension.dump

    def mark(value: Any, _room: int, _walk: _Walk) -> Ext:
        try:
            return Ext(code, dump(value))
        except (FaultError, RecursionError):
            raise
        except Exception as error:
            # Subclasses and time zones are others' code.
            raised = type(error).__name__
            raise FaultError(
                f"a value of type {type_name(type(value))} raised {raised} when it was read"
            ) from None

    return mark


_MARKERS: Final[dict[type, Callable[[Any, int, _Walk], Any]]] = {
    str: _mark_str,
    int: _mark_int,
    float: lambda value, _room, _walk: float.__float__(value),
    bytes: lambda value, _room, _walk: bytes.__bytes__(value),
    list: lambda value, room, walk: _marked([*list.__iter__(value)], room, walk),
    dict: lambda value, room, walk: _marked(dict(dict.items(value)), room, walk),
    # It keeps an order of its own.
    OrderedDict: lambda value, room, walk: _marked(dict(OrderedDict.items(value)), room, walk),
    tuple: _mark_tuple,
    set: lambda value, room, walk: _mark_set(SET, set.__iter__(value), room, walk),
    frozenset: lambda value, room, walk: _mark_set(FROZENSET, frozenset.__iter__(value), room, walk),
    **{kind: _extended(extension) for kind, extension in BY_TYPE.items()},
}

_ADVICE: Final[dict[type, str]] = {Enum: "its value", bytearray: "bytes", memoryview: "bytes"}
_PLAIN: Final = "plain values (str, numbers, bytes, lists, dicts, sets, dates, UUIDs)"


def _refusal(kind: type) -> str:
    advice = next((_ADVICE[base] for base in kind.__mro__ if base in _ADVICE), _PLAIN)
    return f"a value of type {type_name(kind)} cannot be stored; store {advice} instead"
