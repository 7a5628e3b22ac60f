"""Dates with a time, and times, as text and back: ISO 8601 with the suffixes of RFC 9557."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Final, TypeVar

from moored.codec.faults import FaultError

_ZONE: Final = re.compile(r"[\w.+/-]+", re.ASCII)
_MOMENT: Final = re.compile(rf"([^\[]+)(?:\[({_ZONE.pattern})\])?(\[_fold=1\])?", re.ASCII)
_EXACT_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d):(\d\d)\.(\d{6})$", re.ASCII)

M = TypeVar("M", datetime, time)


def moment_text(value: datetime | time) -> bytes:
    """The text of a moment; raises FaultError where its zone does not tell its offset."""
    kind = datetime if isinstance(value, datetime) else time
    text = kind.isoformat(value)  # type: ignore[arg-type] # of the same kind
    if value.tzinfo is not None and type(value.tzinfo) is not timezone:
        from zoneinfo import ZoneInfo

        zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
        if zone is not None and _ZONE.fullmatch(zone):
            text += f"[{zone}]"
        elif value.utcoffset() is None:
            raise FaultError(f"a {kind.__name__} whose tzinfo has no offset cannot be stored; use ZoneInfo")
    return f"{text}[_fold=1]".encode() if value.fold else text.encode()


def read_datetime(text: bytes) -> datetime:
    """The datetime of a text; raises ValueError."""
    written, zone = _moment(datetime, text)
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


def read_time(text: bytes) -> time:
    """The time of a text; raises ValueError."""
    written, zone = _moment(time, text)
    return written if zone is None else written.replace(tzinfo=zone)


def _moment(kind: type[M], text: bytes) -> tuple[M, tzinfo | None]:
    """A datetime or time with the offset that is written there, if any, and its ZoneInfo."""
    match = _MOMENT.fullmatch(text.decode("ascii"))
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
    return moment.replace(fold=1 if fold else 0), _zone(key) if key else None


def _zone(key: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder in the package tzdata
        return None
