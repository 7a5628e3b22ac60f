"""Typed values to bytes and back.

Values are MessagePack.  What MessagePack has no type for is an extension type; the codes are
part of the stored format and never change their meaning:

====  =========  =============================================================================
code  type       payload
====  =========  =============================================================================
1     tuple      MessagePack array
2     set        MessagePack array, members in the order of their encoded bytes
3     frozenset  as set
4     int        beyond 64 bits: big-endian two's complement
5     Decimal    its text; finite
6     UUID       16 bytes
7     datetime   ISO 8601, then ``[Europe/Paris]`` for a ZoneInfo, ``[_fold=1]`` (RFC 9557)
8     date       ISO 8601
9     time       as datetime
10    timedelta  MessagePack array of days, seconds, microseconds
11    Markup     UTF-8
====  =========  =============================================================================

None, bool, int, float, str, bytes, list and dict are MessagePack's own.

- What ``encode`` takes, ``decode`` gives back equal and of the same type, and encoding that
  again gives the same bytes.
- Subclasses (OrderedDict, defaultdict, namedtuple, IntEnum, StrEnum, ...) are stored as the
  plain type, with what they hold as such.
- Keys of mappings are str, or int of 64 bits.  bool is refused: True and 1 are the same key.
- Mappings keep their order, because programs show them in it.  Mappings that are equal but
  ordered differently have different bytes.
- Sets of the same members have the same bytes in every process.
- An int has at most 4,300 digits, because Python makes no text of a longer one.
- Of a zone its key is kept if it is a ZoneInfo, else its offset.  If the key is unknown when
  decoding, the offset stays; a time has none then.  If the zone's rules have changed since, the
  instant stays and the local time moves.
- Markup becomes str if markupsafe is not installed when decoding.
- MessagePack's own timestamps, which others write, are read as datetime in UTC.
"""

from __future__ import annotations

import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from types import GenericAlias
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec.msgpack import Decoder, Encoder, Ext

from moored.errors import CorruptRecord, EncodingError, TooLargeError

DEEPEST: Final = 128  # nested containers: the most that ``encode`` allows and ``decode`` reads
MOST: Final = 1_000_000  # members of all containers of a value together, shared ones each time


def encode(value: object, *, path: str = "", depth: int = 32) -> bytes:
    """The bytes of ``value``; ``path`` is the name that errors call it by.

    ``depth`` limits nested containers, up to ``DEEPEST``.  Raises EncodingError for what cannot
    be stored, and TooLargeError for what is nested deeper, contains itself, has more than
    ``MOST`` members or is a longer int; both say where in the value, and nothing of what it
    holds but keys.
    """
    room = min(depth, DEEPEST)
    fault: _FaultError | None = None
    try:
        return _pack(value if _is_plain(value, room) else _marked(value, room, _Walk(_AS_IS)))
    except _FaultError as error:
        fault = error
    except RecursionError:
        fault = _FaultError("nested deeper than the stack has room for", TooLargeError)
    except (OverflowError, UnicodeEncodeError):
        pass
    # Outside of the handlers, so that no error that holds the value is chained.
    if fault is None:
        return _encode_wary(value, path, room)
    raise fault.at(path)


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


# --- Encoding: a walk that replaces what MessagePack has no type for ----------------------

_pack = Encoder().encode

# What the encoder stores rightly without a look.  A long int or a surrogate makes it raise, and
# both are so rare that every int and str is looked at only then.
_AS_IS: Final = frozenset({type(None), bool, int, float, str, bytes})
_AS_IS_WARY: Final = _AS_IS - {int, str}
_KEYS: Final = frozenset({int, str})
_INTS: Final = range(-(2**63), 2**64)  # those of MessagePack
_LONG_INTS: Final = range(1 - 10**4300, 10**4300)
_WIDE: Final = 10_000
_PATH_STEPS: Final = 8
_KEY_LENGTH: Final = 40


class _FaultError(Exception):
    """What cannot be stored; on its way up it gathers the path, innermost step first."""

    def __init__(self, problem: str, error: type[EncodingError | TooLargeError] = EncodingError) -> None:
        super().__init__(problem)
        self.error = error
        self.steps: list[str] = []

    def at(self, path: str) -> EncodingError | TooLargeError:
        steps = self.steps[::-1]
        if path and not _is_name(path):
            path = _shortened(path)  # it may be anybody's text, as keys are
        if len(steps) > _PATH_STEPS:
            steps[_PATH_STEPS // 2 : -_PATH_STEPS // 2] = ["…"]
        place = path + "".join(steps)
        if not path:
            place = place.removeprefix(".")
        return self.error(f"{place}: {self}" if place else str(self))


def _step(key: object) -> str:
    return f".{key}" if _is_name(key) else f"[{_shortened(key)}]"


def _is_name(key: object) -> bool:
    return isinstance(key, str) and len(key) <= _KEY_LENGTH and key.isidentifier()


def _shortened(key: object) -> str:
    text = repr(key)
    return text if len(text) <= _KEY_LENGTH else f"{text[: _KEY_LENGTH - 2]}…{text[-1]}"


def _encode_wary(value: object, path: str, room: int) -> bytes:
    try:
        return _pack(_marked(value, room, _Walk(_AS_IS_WARY)))
    except _FaultError as error:
        fault = error
    except OverflowError:
        fault = _FaultError("a part of more than 4 GiB cannot be stored", TooLargeError)
    raise fault.at(path)


def _is_plain(value: object, room: int) -> bool:
    """Whether the encoder stores all of ``value`` rightly: true of nearly all, so found out first.

    By levels, which is fastest.  A wide level is not worth it, and may be a value that contains
    itself more than once, whose levels grow without end.
    """
    level: list[Any] = [value]
    left = MOST
    while not _AS_IS.issuperset(map(type, level)):
        if room <= 0 or len(level) > _WIDE:
            return False
        room -= 1
        members: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                if not _KEYS.issuperset(map(type, item)):
                    return False
                more = item.values()
            elif kind is list:
                more = item
            elif kind in _AS_IS:
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
            raise _FaultError(
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
        if as_is is not _AS_IS or not _KEYS.issuperset(map(type, value)):
            value = _with_plain_keys(value)
        members = value.values()
    elif kind is list:
        members = value
    else:
        for base in kind.__mro__:
            if base in _MARKERS:
                return _MARKERS[base](value, room, walk)
        raise _FaultError(_refusal(kind))
    if room <= 0:
        raise _FaultError("nested deeper than the limit, or contains itself; make it flatter", TooLargeError)
    walk.enter(len(value))
    if as_is.issuperset(map(type, members)):
        return value
    replaced: list[tuple[Any, Any]] = []
    for key, member in value.items() if kind is dict else enumerate(value):
        if type(member) not in as_is:
            try:
                marked = _marked(member, room - 1, walk)
            except _FaultError as fault:
                fault.steps.append(_step(key))
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
            if number not in _INTS:
                raise _FaultError("an int key beyond 64 bits cannot be stored; use a str")
            plain[number] = member
        else:
            raise _FaultError(f"a key of type {_name(kind)} cannot be stored; use str or int keys")
    if len(plain) != len(value):
        raise _FaultError("different keys would be stored as the same one; use plain str or int keys")
    return plain


def _plain_str(value: str) -> str:
    text = str.__str__(value)  # what it holds, whatever a subclass shows
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _FaultError("text with a lone surrogate cannot be stored; store it as bytes") from None
    return text


def _mark_str(value: str, _room: int, _walk: _Walk) -> object:
    text = _plain_str(value)
    markup = getattr(sys.modules.get("markupsafe"), "Markup", None)  # not loaded: nothing is Markup
    if markup is not None and isinstance(value, markup):
        return Ext(11, text.encode())
    return text


def _mark_int(value: int, _room: int, _walk: _Walk) -> object:
    number = int.__int__(value)
    if number in _INTS:
        return number
    if number not in _LONG_INTS:
        raise _FaultError(
            "an int of more than 4300 digits cannot be stored; store it as bytes", TooLargeError
        )
    return Ext(4, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def _mark_tuple(value: tuple[Any, ...], room: int, walk: _Walk) -> Ext:
    return Ext(1, _pack(_marked([*tuple.__iter__(value)], room, walk)))


def _mark_set(code: int, members: Iterable[Any], room: int, walk: _Walk) -> Ext:
    try:
        marked = _marked([*members], room, walk)
    except _FaultError as fault:
        if fault.steps:
            fault.steps[-1] = "{…}"  # members have no place
        raise
    return Ext(code, _pack([msgspec.Raw(packed) for packed in sorted(map(_pack, marked))]))


def _leaf(code: int, payload: Callable[[Any], bytes]) -> Callable[[Any, int, _Walk], Ext]:
    def mark(value: Any, _room: int, _walk: _Walk) -> Ext:
        try:
            return Ext(code, payload(value))
        except (_FaultError, RecursionError):
            raise
        except Exception as error:
            # Subclasses and time zones are others' code.
            raised = type(error).__name__
            raise _FaultError(
                f"a value of type {_name(type(value))} raised {raised} when it was read"
            ) from None

    return mark


def _decimal_text(value: Decimal) -> bytes:
    if not value.is_finite():
        which = "NaN" if value.is_nan() else "Infinity"
        raise _FaultError(f"a Decimal {which} cannot be stored; store None or a string instead")
    return Decimal.__str__(value).upper().encode()  # the context may ask for a small "e"


def _moment_text(value: datetime | time) -> bytes:
    kind = datetime if isinstance(value, datetime) else time
    text = kind.isoformat(value)  # type: ignore[arg-type] # of the same kind
    if value.tzinfo is not None and type(value.tzinfo) is not timezone:
        from zoneinfo import ZoneInfo

        zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
        if zone is not None and _ZONE.fullmatch(zone):
            text += f"[{zone}]"
        elif value.utcoffset() is None:
            raise _FaultError(f"a {kind.__name__} whose tzinfo has no offset cannot be stored; use ZoneInfo")
    return f"{text}[_fold=1]".encode() if value.fold else text.encode()


def _duration(value: timedelta) -> bytes:
    return _pack((value.days, value.seconds, value.microseconds))


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
    set: lambda value, room, walk: _mark_set(2, set.__iter__(value), room, walk),
    frozenset: lambda value, room, walk: _mark_set(3, frozenset.__iter__(value), room, walk),
    Decimal: _leaf(5, _decimal_text),
    UUID: _leaf(6, lambda value: value.bytes),
    datetime: _leaf(7, _moment_text),
    date: _leaf(8, lambda value: date.isoformat(value).encode()),
    time: _leaf(9, _moment_text),
    timedelta: _leaf(10, _duration),
}

_ADVICE: Final[dict[type, str]] = {Enum: "its value", bytearray: "bytes", memoryview: "bytes"}


def _refusal(kind: type) -> str:
    advice = next((_ADVICE[base] for base in kind.__mro__ if base in _ADVICE), "plain values")
    return f"a value of type {_name(kind)} cannot be stored; store {advice} instead"


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# --- Decoding ------------------------------------------------------------------------------

_TOO_DEEP: Final = f"is nested deeper than {DEEPEST} levels"
_SIGNS: Final = {"truncated": "is truncated", "trailing": "is followed by other bytes"}
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset})
_ZONE: Final = re.compile(r"[\w.+/-]+", re.ASCII)
_MOMENT: Final = re.compile(rf"([^\[]+)(?:\[({_ZONE.pattern})\])?(\[_fold=1\])?", re.ASCII)

_EXACT_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d):(\d\d)\.(\d{6})$", re.ASCII)


class _DamageError(Exception):
    """What is wrong with stored bytes, as the end of the sentence "A stored value ..."."""


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
        if _AS_IS.issuperset(map(type, level)):
            return
        members: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                kinds = {*map(type, item)}
                if not kinds <= _KEYS:
                    raise _DamageError("has a key that is neither str nor int")
                if int in kinds and any(type(key) is int and key not in _INTS for key in item):
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
_unpack_duration = Decoder(tuple[int, int, int]).decode


def _load_set(payload: bytes) -> set[Any]:
    members = _unpack_list(payload)
    loaded = set(members)
    if len(loaded) != len(members):
        raise ValueError("a member is there twice")
    return loaded


def _load_int(payload: bytes) -> int:
    number = int.from_bytes(payload, "big", signed=True)
    if number not in _LONG_INTS:
        raise ValueError("too long")
    return number


def _load_decimal(payload: bytes) -> Decimal:
    number = Decimal(payload.decode("ascii"))
    if not number.is_finite():
        raise ValueError("not finite")
    return number


def _load_zone(key: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder in the package tzdata
        return None


M = TypeVar("M", datetime, time)


def _moment(kind: type[M], payload: bytes) -> tuple[M, tzinfo | None]:
    """A datetime or time with the offset that is written there, if any, and its ZoneInfo."""
    match = _MOMENT.fullmatch(payload.decode("ascii"))
    if match is None:
        raise ValueError("no such form")
    iso, key, fold = match.groups()
    exact = _EXACT_OFFSET.search(iso)
    if exact is None:
        moment = kind.fromisoformat(iso)
    else:  # fromisoformat takes an offset of microseconds only for UTC
        sign, hours, minutes, seconds, micros = exact.groups()
        offset = timedelta(0, int(seconds), int(micros), 0, int(minutes), int(hours))
        moment = kind.fromisoformat(iso[: exact.start()]).replace(
            tzinfo=timezone(-offset if sign == "-" else offset)
        )
    return moment.replace(fold=1 if fold else 0), _load_zone(key) if key else None


def _load_datetime(payload: bytes) -> datetime:
    written, zone = _moment(datetime, payload)
    if zone is None:
        return written
    if written.tzinfo is None:
        raise ValueError("a zone but no offset")
    local = written.replace(tzinfo=zone)
    if local.utcoffset() == written.utcoffset():
        return local
    try:
        return written.astimezone(zone)  # the zone's rules have changed since
    except (OverflowError, ValueError):  # there it is not in the years 1 to 9999
        return written


def _load_time(payload: bytes) -> time:
    written, zone = _moment(time, payload)
    return written if zone is None else written.replace(tzinfo=zone)


def _load_markup(payload: bytes) -> str:
    text = payload.decode()
    try:
        from markupsafe import Markup
    except ModuleNotFoundError:
        return text
    return Markup(text)  # noqa: S704 - it was Markup when it was stored


_LOADERS: Final[dict[int, tuple[str, Callable[[bytes], object]]]] = {
    1: ("tuple", lambda payload: tuple(_unpack_list(payload))),
    2: ("set", _load_set),
    3: ("frozenset", lambda payload: frozenset(_load_set(payload))),
    4: ("int", _load_int),
    5: ("Decimal", _load_decimal),
    6: ("UUID", lambda payload: UUID(bytes=payload)),
    7: ("datetime", _load_datetime),
    8: ("date", lambda payload: date.fromisoformat(payload.decode("ascii"))),
    9: ("time", _load_time),
    10: ("timedelta", lambda payload: timedelta(*_unpack_duration(payload))),
    11: ("Markup", _load_markup),
}
