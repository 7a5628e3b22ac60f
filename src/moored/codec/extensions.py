"""The extension types: the codes of containers, and of all others also the payload there and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from moored.codec.faults import FaultError
from moored.codec.moments import moment_text, read_datetime, read_time
from moored.errors import TooLargeError

TUPLE: Final = 1
SET: Final = 2
FROZENSET: Final = 3


class Extension(Struct, frozen=True):
    """The extension type of something that holds no other values.

    ``dump`` makes the payload and raises FaultError for a value that cannot be stored, ``load``
    raises any exception for a payload that ``dump`` does not make.  Errors say ``name``.
    """

    code: int
    name: str
    dump: Callable[[Any], bytes]
    load: Callable[[bytes], object]


_LONG_INTS: Final = range(1 - 10**4300, 10**4300)


def _dump_int(number: int) -> bytes:
    if number not in _LONG_INTS:
        raise FaultError("an int of more than 4300 digits cannot be stored; store it as bytes", TooLargeError)
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def _load_int(payload: bytes) -> int:
    number = int.from_bytes(payload, "big", signed=True)
    if number not in _LONG_INTS:
        raise ValueError("too long")
    return number


def _dump_decimal(value: Decimal) -> bytes:
    if not value.is_finite():
        which = "NaN" if value.is_nan() else "Infinity"
        raise FaultError(f"a Decimal {which} cannot be stored; store None or a string instead")
    return Decimal.__str__(value).upper().encode()  # the context may ask for a small "e"


def _load_decimal(payload: bytes) -> Decimal:
    number = Decimal(payload.decode("ascii"))
    if not number.is_finite():
        raise ValueError("not finite")
    return number


_pack = Encoder().encode
_unpack_duration = Decoder(tuple[int, int, int]).decode


def _dump_duration(value: timedelta) -> bytes:
    return _pack((value.days, value.seconds, value.microseconds))


def _load_markup(payload: bytes) -> str:
    text = payload.decode()
    try:
        from markupsafe import Markup
    except ModuleNotFoundError:
        return text
    return Markup(text)  # noqa: S704 - it was Markup when it was stored


LONG_INT: Final = Extension(4, "int", _dump_int, _load_int)
MARKUP: Final = Extension(11, "Markup", str.encode, _load_markup)
BY_TYPE: Final[dict[type, Extension]] = {
    Decimal: Extension(5, "Decimal", _dump_decimal, _load_decimal),
    UUID: Extension(6, "UUID", lambda value: value.bytes, lambda payload: UUID(bytes=payload)),
    datetime: Extension(7, "datetime", moment_text, read_datetime),
    date: Extension(
        8,
        "date",
        lambda value: date.isoformat(value).encode(),
        lambda payload: date.fromisoformat(payload.decode("ascii")),
    ),
    time: Extension(9, "time", moment_text, read_time),
    timedelta: Extension(
        10, "timedelta", _dump_duration, lambda payload: timedelta(*_unpack_duration(payload))
    ),
}
