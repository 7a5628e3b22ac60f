"""Secrets that can be guessed: whoever knows one can make what the application signs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from moored.web.secret import Secret

SHORTEST_STRONG: Final = 16  # bytes
LEAST_DIFFERENT: Final = 6  # bytes: "xxxxxxxxxxxxxxxx" and "0101010101010101" are long enough, and guessed

# From tutorials and documentation: everybody has them.
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
    }
)
MAKE: Final = "`python -c 'import secrets; print(secrets.token_hex(32))'` prints a good one"


def is_weak(secret: str | bytes) -> bool:
    """Is it short, or known to everybody?"""
    raw = secret.encode(errors="replace") if isinstance(secret, str) else secret
    known = {each.encode() for each in PUBLISHED}
    return len(raw) < SHORTEST_STRONG or len(set(raw)) < LEAST_DIFFERENT or raw in known


def weakness(secrets: Iterable[Secret]) -> tuple[str, str] | None:
    """What is wrong with a ring of secrets, the active one first, and what to do; None if nothing is.

    Shows none of them.
    """
    ring = list(secrets)
    weak = next((secret for secret in ring if is_weak(secret.value)), None)
    if weak is None:
        return None
    which = "The secret" if weak is ring[0] else "Another secret that is honoured"
    what = (
        f"{which} ({weak.source}) can be guessed: it is short, or stands in a tutorial. Whoever knows it can"
        " make what the application signs."
    )
    return what, f"Set another of at least {SHORTEST_STRONG} random bytes; {MAKE}."
