"""Redis's wire protocol (RESP2 and RESP3), as far as a client needs it.

Replies are read by hiredis where it is installed, else by ``PythonReader``: the same, slower.
Source: Redis serialization protocol specification, redis.io/docs/reference/protocol-spec.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, Protocol


class Missing:
    """What a reader answers while a reply has not arrived in full."""


MISSING: Final = Missing()


class ReplyError(Exception):
    """An error that the server answered; a value among other replies, never raised."""


class ProtocolError(ConnectionError):
    """What arrived is not Redis's protocol."""


class ReplyReader(Protocol):
    """Takes bytes as they arrive and hands out replies."""

    def feed(self, data: Any, offset: int, length: int, /) -> None:
        """Take ``length`` bytes of ``data`` from ``offset`` on."""

    def gets(self) -> Any:
        """The next reply, or MISSING.  Raises ProtocolError."""


class PythonReader:
    """Bulk strings are bytes, so are simple ones; maps are dicts, sets lists, absence is None."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        self._reply = self._read()

    def feed(self, data: bytes | bytearray, offset: int, length: int, /) -> None:
        """Take ``length`` bytes of ``data`` from ``offset`` on."""
        self._data += memoryview(data)[offset : offset + length]

    def gets(self) -> Any:
        """The next reply, or MISSING.  Raises ProtocolError."""
        try:
            next(self._reply)
        except StopIteration as done:
            self._reply = self._read()
            if self._at == len(self._data):
                self._data, self._at = bytearray(), 0
            return done.value
        except (ValueError, TypeError) as error:
            raise ProtocolError(f"not a reply of Redis: {error}") from None
        return MISSING

    def _line(self) -> Generator[None, None, bytes]:
        while (end := self._data.find(b"\r\n", self._at)) < 0:
            yield
        line = bytes(self._data[self._at : end])
        self._at = end + 2
        return line

    def _bulk(self, length: int) -> Generator[None, None, bytes]:
        while len(self._data) < self._at + length + 2:
            yield
        bulk = bytes(self._data[self._at : self._at + length])
        self._at += length + 2
        return bulk

    def _read(self) -> Generator[None, None, Any]:
        line = yield from self._line()
        kind, rest = line[:1], line[1:]
        match kind:
            case b"$" | b"=" | b"!":
                if rest == b"-1":
                    return None
                bulk = yield from self._bulk(int(rest))
                if kind == b"!":
                    return ReplyError(bulk.decode("utf-8", "replace"))
                return bulk[4:] if kind == b"=" else bulk  # "=" has a format like "txt:" before the text
            case b":" | b"(":
                return int(rest)
            case b"*" | b"~" | b">" | b"%":
                if rest == b"-1":
                    return None
                items: list[Any] = []
                count = int(rest) * (2 if kind == b"%" else 1)
                while len(items) < count:
                    items.append((yield from self._read()))
                return dict(zip(items[::2], items[1::2], strict=True)) if kind == b"%" else items
            case b"-":
                return ReplyError(rest.decode("utf-8", "replace"))
            case b"+":
                return rest
            case b"_":
                return None
            case b"#":
                return rest == b"t"
            case b",":
                return float(rest)
        raise ValueError(f"it begins with {kind!r}")


try:
    from hiredis import Reader
except ImportError:
    Reader = None  # type: ignore[assignment, misc]


def new_reader() -> ReplyReader:
    """A reader for one connection."""
    if Reader is not None:
        return Reader(protocolError=ProtocolError, replyError=ReplyError, notEnoughData=MISSING)
    return PythonReader()


def pack(words: list[bytes | str | int]) -> bytes:
    """A command as the server reads it."""
    packed = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, int):
            data = b"%d" % word
        elif isinstance(word, str):
            data = word.encode()
        else:
            data = word
        packed.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(packed)
