"""Words for instants, lengths of time, sizes and browsers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def span(length: timedelta) -> str:
    """About how long that is, in its largest unit: "31 d", "5 min"."""
    seconds = round(length.total_seconds())
    return next((f"{round(seconds / unit)} {name}" for unit, name in _UNITS if seconds >= unit), "0 s")


def exactly(seconds: float) -> str:
    """That length of time, in the largest unit in which it is a whole number."""
    for unit, name in _UNITS:
        if seconds and seconds % unit == 0:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:g} s"


def ago(instant: datetime | None, now: datetime | None = None) -> str:
    """How long ago that was, or how long it is until then."""
    if instant is None:
        return "never"
    ahead = instant - (now or datetime.now(UTC))
    if abs(ahead) < timedelta(seconds=2):
        return "now"
    return f"in {span(ahead)}" if ahead > timedelta() else f"{span(-ahead)} ago"


def moment(instant: datetime | None) -> str:
    """An instant in local time, and how long ago it was."""
    if instant is None:
        return "never"
    return f"{instant.astimezone():%Y-%m-%d %H:%M:%S %z} ({ago(instant)})"


def size(count: float) -> str:
    """A number of bytes."""
    if count == 1:
        return "1 byte"
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


def device(agent: str) -> str:
    """What a browser says of itself (RFC 9110, 10.1.5), in two words."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), agent.partition(" ")[0])
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser}, {system}" if system else browser


# The first that is found counts: each browser also names those before it for compatibility.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
