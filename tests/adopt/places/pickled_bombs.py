"""Small pickles that would take for ever to read, or all memory there is."""

from __future__ import annotations

import pickle
import struct
import sys
import uuid

from tests.adopt.places.pickled_attacks import name, program, text

DOUBLED = 60
SET, ZONE = name("builtins", "set"), name("zoneinfo", "ZoneInfo._unpickle")
MODULUS = sys.hash_info.modulus  # numbers that differ by it have one hash


def laughs(begin: bytes) -> bytes:
    """A pair of the same, which is a pair of the same, and so on; all stay on the stack."""
    pairs = [b"h" + bytes([number]) + b"h" + bytes([number]) + b"\x86\x94" for number in range(DOUBLED)]
    return begin + b"\x94" + b"".join(pairs)


def tower(start: int) -> bytes:
    """Frozen sets of two others, floor by floor; ``start`` is the first place in the memo."""
    parts = [b"(K\x01\x91\x94", b"(K\x02\x91\x94"]
    for floor in range(start, start + 80, 2):
        pair = b"h" + bytes([floor]) + b"h" + bytes([floor + 1])
        parts += [b"(", pair, b"\x91\x94", b"(", pair, b"K\x03\x91\x94"]
    return b"".join(parts)


def made_a_set(items: list[object]) -> bytes:
    return program(SET, pickle.dumps(items, 3)[2:-1], b"\x85R")


BOMBS: dict[str, bytes] = {
    "shared lists": program(b"(", laughs(b"]"), b"t"),
    "shared tuples as a key": program(b"}(", laughs(b")"), b"Nu"),
    "shared tuples in a set": program(b"\x8f(", laughs(b")"), b"\x90"),
    "equal towers of sets": program(b"\x8f(", tower(0), tower(82), b"\x90"),
    "colliding numbers": made_a_set([number * MODULUS for number in range(40_000)]),
    "colliding UUIDs": made_a_set([uuid.UUID(int=number * MODULUS) for number in range(20_000)]),
    "deep tuples": program(b")", b"\x85" * 400_000),
    "a deep tuple as a key": program(b"})", b"\x85" * 400_000, b"Ns"),
    "a list in itself": program(b"]\x94h\x00a"),
    "a dict in itself": program(b"}\x94", text("a"), b"h\x00s"),
    "one list made a set many times": program(
        b"(](", b"K\x01" * 50_000, b"e\x94", SET, b"\x94h\x00\x85R", b"h\x01h\x00\x85R" * 50_000, b"t"
    ),
    "a million sets": program(b"(", b"\x8f" * 1_100_000, b"t"),
    "a long number": program(b"\x8b", struct.pack("<i", 1_000_000), b"\x7f" * 1_000_000),
    "a long Decimal": program(
        name("decimal", "Decimal"), b"X", struct.pack("<I", 100_000), b"1" * 100_000, b"\x85R"
    ),
    "zones by the thousand": program(
        b"(", ZONE, b"\x94", text("UTC"), b"K\x01\x86R", (b"h\x00" + text("UTC") + b"K\x01\x86R") * 9999, b"t"
    ),
}  # fmt: skip
