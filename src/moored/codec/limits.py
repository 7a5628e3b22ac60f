"""What needs no extension type, and how much of everything there may be, for encoding and decoding alike."""

from __future__ import annotations

from typing import Final

DEEPEST: Final = 128  # nested containers: the most that ``encode`` allows and ``decode`` reads
DEPTH: Final = 32  # the same, where nobody says how many
MOST: Final = 1_000_000  # members of all containers of a value together, shared ones each time

SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})  # what holds no other values
KEYS: Final = frozenset({int, str})
INTS: Final = range(-(2**63), 2**64)
