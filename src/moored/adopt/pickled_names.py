"""What the names in a pickle stand for, where it holds plain data.

A name is never imported: it stands for a token here, or for nothing.  Each token has a function
that makes the value, from arguments of exactly the types that picklers write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from moored.adopt.place import UnreadableRow

LONGEST: Final = 4_300  # digits of a number: Python makes no text of longer ones

SetOf = Callable[[Iterable[Any]], set[Any]]
"""Makes a set of members that were looked at before they are hashed."""


class Name:
    """Stands for a name in a pickle; ``make`` takes how sets are made, and the arguments.

    ``cost`` is what it is counted as, in instructions.
    """

    __slots__ = ("cost", "make")

    def __init__(self, make: Callable[..., Any], cost: int = 1) -> None:
        self.make: Callable[..., Any] = make
        self.cost: int = cost


def named(module: object, name: object) -> Name:
    """The token for a name.  Raises UnreadableRow for one that plain data needs not."""
    if type(module) is not str or type(name) is not str:
        raise TypeError
    found = _NAMES.get((module, name))
    if found is None:
        full = f"{module}.{name}"
        what = full if len(full) <= 100 and all(map(str.isidentifier, full.split("."))) else "something"
        raise UnreadableRow(f"it is a pickle with {what}, which is no plain data.")
    return found


def _of(kinds: Iterable[type], values: Iterable[Any]) -> None:
    """Exactly these types, no subclasses."""
    for kind, value in zip(kinds, values, strict=True):
        if type(value) is not kind:
            raise TypeError


def _none(_set_of: SetOf, *_arguments: Any) -> Any:
    raise TypeError


def _set(set_of: SetOf, items: Any) -> set[Any]:
    _of([list], [items])
    return set_of(items)


def _frozenset(set_of: SetOf, items: Any) -> frozenset[Any]:
    return frozenset(_set(set_of, items))


def _ordered_dict(_set_of: SetOf) -> dict[Any, Any]:
    return {}


def _default_dict(_set_of: SetOf, factory: Any = None) -> dict[Any, Any]:
    if not (factory is None or factory is _SET or factory in _FACTORIES.values()):
        raise TypeError
    return {}


# The bytes are those of datetime's own state.  Its constructors believe all of them but the month.


def _date(_set_of: SetOf, state: Any) -> date:
    _of([bytes], [state])
    high, low, month, day = state
    return date(high * 256 + low, month, day)


def _time(_set_of: SetOf, state: Any, zone: Any = None) -> time:
    _of([bytes], [state])
    hour, minute, second, *micros = state
    return time(hour & 127, minute, second, _three(*micros), _zone(zone), fold=hour >> 7)


def _datetime(_set_of: SetOf, state: Any, zone: Any = None) -> datetime:
    _of([bytes], [state])
    high, low, month, day, hour, minute, second, *micros = state
    year, micro = high * 256 + low, _three(*micros)
    return datetime(year, month & 127, day, hour, minute, second, micro, _zone(zone), fold=month >> 7)


def _three(high: int, middle: int, low: int) -> int:
    return (high * 256 + middle) * 256 + low


def _zone(zone: Any) -> tzinfo | None:
    if zone is None or type(zone) is timezone:
        return zone
    from zoneinfo import ZoneInfo

    _of([ZoneInfo], [zone])
    found: tzinfo = zone
    return found


def _timedelta(_set_of: SetOf, days: Any, seconds: Any, micros: Any) -> timedelta:
    _of([int, int, int], [days, seconds, micros])
    return timedelta(days, seconds, micros)


def _timezone(_set_of: SetOf, offset: Any, name: Any = "") -> timezone:
    _of([timedelta, str], [offset, name])
    return timezone(offset, name) if name else timezone(offset)


def _getattr(_set_of: SetOf, owner: Any, name: Any) -> Name:
    """Pickles of zoneinfo.ZoneInfo ask for its ``_unpickle``; nothing else has attributes."""
    if owner is not _ZONE_INFO or type(name) is not str or name != "_unpickle":
        raise UnreadableRow("it is a pickle with builtins.getattr, which is no plain data.")
    return _ZONE_INFO_BY_KEY


def _zone_info(_set_of: SetOf, key: Any, _cached: Any) -> tzinfo:
    from zoneinfo import ZoneInfo

    if type(key) is not str or not _ZONE_KEY.fullmatch(key):
        raise TypeError
    return ZoneInfo(key)


def _uuid(_set_of: SetOf) -> UUID:
    return UUID.__new__(UUID)  # BUILD gives it its number


def _decimal(_set_of: SetOf, text: Any) -> Decimal:
    if type(text) is not str or len(text) > LONGEST:
        raise TypeError
    return Decimal(text)


def _markup(_set_of: SetOf, text: Any) -> str:
    if type(text) is not str:
        raise TypeError
    try:
        from markupsafe import Markup
    except ModuleNotFoundError:
        return text
    return Markup(text)  # noqa: S704 - it was Markup when it was stored


_ZONE_KEY: Final = re.compile(r"[\w+-]+(/[\w+-]+)*", re.ASCII)
_ZONE_INFO: Final = Name(_none)
_ZONE_INFO_BY_KEY: Final = Name(_zone_info, 1_000)  # it may look for a file
_SET: Final = Name(_set)
_FACTORIES: Final = {kind: Name(_none) for kind in ("list", "dict", "int", "str", "float", "bool")}

_NAMES: Final[Mapping[tuple[str, str], Name]] = {
    **{("builtins", kind): name for kind, name in _FACTORIES.items()},
    ("builtins", "set"): _SET,
    ("builtins", "frozenset"): Name(_frozenset),
    ("builtins", "getattr"): Name(_getattr),
    ("collections", "OrderedDict"): Name(_ordered_dict),
    ("collections", "defaultdict"): Name(_default_dict),
    ("datetime", "date"): Name(_date),
    ("datetime", "datetime"): Name(_datetime),
    ("datetime", "time"): Name(_time),
    ("datetime", "timedelta"): Name(_timedelta),
    ("datetime", "timezone"): Name(_timezone),
    ("decimal", "Decimal"): Name(_decimal),
    ("markupsafe", "Markup"): Name(_markup),
    ("uuid", "UUID"): Name(_uuid),
    ("zoneinfo", "ZoneInfo"): _ZONE_INFO,
    ("zoneinfo", "ZoneInfo._unpickle"): _ZONE_INFO_BY_KEY,
}
