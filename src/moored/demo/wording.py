"""Prices, times and devices as the pages write them."""

from __future__ import annotations

from datetime import UTC, datetime


def euros(cents: int) -> str:
    """An amount of money."""
    return f"€\u00a0{cents // 100:,}.{cents % 100:02}"


def ago(when: datetime) -> str:
    """How long ago that is.  "Last seen" is written at most every three minutes here."""
    seconds = (datetime.now(UTC) - when).total_seconds()
    return "just now" if seconds < 200 else f"{_span(seconds)} ago"


def until(when: datetime) -> str:
    """How long it is until then."""
    return f"in {_span(max(0, (when - datetime.now(UTC)).total_seconds()))}"


def clock(when: datetime) -> str:
    """The instant itself."""
    return f"{when:%d %b %Y, %H:%M} UTC"


def _span(seconds: float) -> str:
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        count = round(seconds / size)
        if count >= 2 or (count and word == "minute"):
            return f"{count} {word}{'s' if count > 1 else ''}"
    return "less than a minute"


BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def device(agent: str) -> str:
    """A name for a User-Agent that its owner recognises."""
    browser = next((name for mark, name in BROWSERS if f"{mark}/" in agent), "")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return " on ".join(filter(None, (browser, system))) or agent[:30] or "Unknown device"


# Why a session ended, as Moored notes it, and as its owner is told.
ENDINGS = {
    "signed out": "You signed out here.",
    "revoked": "It was signed out from another device.",
    "signed out everywhere": "You signed out everywhere, from here or from another device.",
    "revoked by an operator": "Those who run this shop ended it.",
    "over the maximum": "There were too many sessions, and this was the oldest.",
}


def ending(reason: str) -> str:
    """Why a session ended, for its owner."""
    return ENDINGS.get(reason, f"It ended: {reason}.")
