"""Records as bytes, for engines that keep one value for each key."""

from __future__ import annotations

import msgspec

from moored.commands import Record, Remembered
from moored.errors import CorruptRecord

Packed = tuple[bool, dict[str, bytes], tuple[Remembered, ...]]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Packed).decode


def pack(record: Record) -> bytes:
    """What is beside version and deadline: tombstone or not, fields, remembered operations."""
    return _encode((record.dead, record.fields, record.ops))


def unpack(key: str, version: int, expires: int | None, body: bytes) -> Record:
    """The record that ``pack`` packed.  Raises CorruptRecord for anything else."""
    try:
        dead, fields, ops = _decode(body)
        if type(version) is not int or type(expires) not in (int, type(None)):
            raise ValueError(version)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError):
        raise CorruptRecord(
            f"the record {key!r} cannot be read: it is damaged, or something other than Moored wrote it."
            " Restore it from a backup, or remove it with the engine's own tools."
        ) from None
    return Record(version, fields, expires, dead, 0, ops)
