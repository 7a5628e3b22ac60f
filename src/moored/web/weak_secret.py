"""Secrets that can be guessed: whoever knows one can make what the application signs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from moored.web.remark import Remark
from moored.web.secret import Secret

SHORTEST_STRONG: Final = 16  # bytes
LONGEST_PART: Final = 64  # bytes: nobody repeats a longer one
LEAST_DIFFERENT: Final = 6  # bytes: "xxxxxxxxxxxxxxxx" and "0101010101010101" are long enough, and guessed

# From tutorials and documentation, the last three from our own: everybody has them.
PUBLISHED: Final = frozenset(
    {
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        '_5#y2L"F4Q8z\n\xec]/',
        "A0Zr98j/3yX R~XHH!jmN]LWX/,?RT",
        "this-is-a-secret-key",
        "you-will-never-guess",
        "your-secret-key-here",
        "replace-me-with-something-random",
        "change-this-in-production",
        "super-secret-key-change-me",
        "at least 16 random bytes, from the environment",
        "the new one, of at least 16 bytes",
        "the old one, of at least 16 bytes",
    }
)
MAKE: Final = "`python -c 'import secrets; print(secrets.token_hex(32))'` prints a good one"


def fault(secret: str | bytes) -> str:
    """Why it can be guessed, as the rest of a sentence about it; "" if it cannot."""
    raw = secret.encode(errors="replace") if isinstance(secret, str) else secret
    if raw in {each.encode() for each in PUBLISHED}:
        return "it stands in a tutorial"
    if len(raw) < SHORTEST_STRONG:
        return f"it has fewer than {SHORTEST_STRONG} bytes"
    if len(set(raw)) < LEAST_DIFFERENT or _repeats(raw):
        return "it repeats a few characters"
    return ""


def _repeats(raw: bytes) -> bool:
    """Is it one part again and again, such as "changeme-changeme"?"""
    return any(raw[length:] == raw[:-length] for length in range(1, min(len(raw) // 2, LONGEST_PART) + 1))


def weakness(secrets: Iterable[Secret]) -> Remark | None:
    """What is wrong with a ring of secrets, the active one first; None if nothing is.

    Shows none of them.
    """
    for number, secret in enumerate(secrets):
        if why := fault(secret.value):
            which = "Another secret that is honoured" if number else "The secret"
            return Remark(
                f"{which} ({secret.source}) can be guessed: {why}. Whoever knows it can make what the"
                " application signs.",
                f"Set another of at least {SHORTEST_STRONG} random bytes; {MAKE}.",
            )
    return None
