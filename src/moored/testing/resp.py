"""The Redis serialization protocol, as far as tests need it.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2 and RESP3).
"""

from __future__ import annotations

from typing import Any, BinaryIO


def packed(*words: str | bytes | int) -> bytes:
    """A command as a client sends it."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    bulks = (b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%b" % (len(parts), b"".join(bulks))


def read_reply(replies: BinaryIO) -> Any:
    """The next RESP2 reply: str (undecodable bytes as surrogates), int, None or a list of them.

    Raises RuntimeError with the server's message for an error reply, ConnectionError where
    the connection ended before the reply did.
    """
    line = replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the connection ended before a reply was complete.")
    kind, text = line[:1], line[1:-2].decode("utf-8", "surrogateescape")
    if kind == b"-":
        raise RuntimeError(text)
    if kind == b"+":
        return text
    count = int(text)
    if kind == b":":
        return count
    if count < 0:
        return None
    if kind == b"*":
        return [read_reply(replies) for _ in range(count)]
    body = replies.read(count + 2)
    if len(body) < count + 2:
        raise ConnectionError("the connection ended before a reply was complete.")
    return body[:-2].decode("utf-8", "surrogateescape")


def command_name(data: bytes | bytearray, start: int = 0) -> bytes:
    """The name, in capitals, of the complete command that begins at ``start``."""
    if data[start : start + 1] != b"*":
        return bytes(data[start : data.index(b"\n", start)]).split()[0].upper()
    begin = data.index(b"\n", data.index(b"\n", start) + 1) + 1
    return bytes(data[begin : data.index(b"\r", begin)]).upper()


class Framing:
    """Finds where commands or replies end in a stream that comes in pieces of any size.

    Understands RESP2, RESP3 and inline commands.  Attributes and pushes of RESP3 are no
    replies, and are not reported.
    """

    def __init__(self) -> None:
        self._line = b""  # the beginning of a line whose end has not come
        self._bulk = 0  # bytes still to come of a string, its CRLF included
        self._open: list[tuple[int, bool]] = []  # aggregates: values still to come; is it a value itself?

    @property
    def complete(self) -> bool:
        """Whether the stream so far ends at the end of a command or reply."""
        return not (self._line or self._bulk or self._open)

    def feed(self, data: bytes) -> list[int]:
        """The positions in ``data`` at which commands or replies end."""
        ends: list[int] = []
        at = 0
        while at < len(data):
            if self._bulk:
                step = min(self._bulk, len(data) - at)
                self._bulk -= step
                at += step
                ended = not self._bulk and self._value_ended()
            else:
                newline = data.find(b"\n", at)
                if newline < 0:
                    self._line += data[at:]
                    break
                line = self._line + data[at:newline]
                self._line = b""
                at = newline + 1
                ended = self._line_ended(line)
            if ended:
                ends.append(at)
        return ends

    def _line_ended(self, line: bytes) -> bool:
        kind = line[:1]
        if kind in (b"$", b"=", b"!"):
            size = int(line[1:])
            if size >= 0:
                self._bulk = size + 2
                return False
        elif kind in (b"*", b"~", b">", b"%", b"|"):
            count = int(line[1:]) * (2 if kind in (b"%", b"|") else 1)
            if count > 0:
                self._open.append((count, kind not in (b">", b"|")))
                return False
        elif not line.strip():
            return False
        return self._value_ended()

    def _value_ended(self) -> bool:
        while self._open:
            count, is_value = self._open.pop()
            if count > 1:
                self._open.append((count - 1, is_value))
                return False
            if not is_value:
                return False
        return True
