"""The bytes in which Flask-Session 0.8 and cachelib keep a session."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from moored.adopt.place import MARK, MOVED, Row, UnreadableRow
from moored.adopt.unpickle import unpickle
from moored.errors import EncodingError

LARGEST: Final = 16 * 1024 * 1024  # bytes of a session that is read


class Format(Protocol):
    """To bytes and back."""

    def dump(self, values: Mapping[str, Any]) -> bytes:
        """The bytes of a session.  Raises EncodingError for what the format cannot carry."""
        ...

    def load(self, raw: bytes) -> Any:
        """What the bytes hold.  Raises UnreadableRow."""
        ...


class Msgspec:
    """MessagePack or JSON, as SESSION_SERIALIZATION_FORMAT says.

    Reads, like Flask-Session, the other one too, and with ``allow_pickle`` what versions
    before 0.7 pickled.  What has no type in either (a tuple, a set, a Decimal, in JSON bytes
    and dates) is written as Flask-Session does, that is as the nearest that there is.
    """

    def __init__(self, name: Literal["msgpack", "json"], *, allow_pickle: bool) -> None:
        packed: tuple[Any, Any] = msgspec.msgpack.Encoder(enc_hook=_plain_text), msgspec.msgpack.Decoder()
        json: tuple[Any, Any] = msgspec.json.Encoder(enc_hook=_plain_text), msgspec.json.Decoder()
        self._first, self._second = (packed, json) if name == "msgpack" else (json, packed)
        self._allow_pickle = allow_pickle

    def dump(self, values: Mapping[str, Any]) -> bytes:
        """The bytes of a session.  Raises EncodingError."""
        try:
            raw: bytes = self._first[0].encode(dict(values))
            return raw
        except Exception as error:
            kind = type(error).__name__
        raise _cannot_be_written(kind)

    def load(self, raw: bytes) -> Any:
        """What the bytes hold.  Raises UnreadableRow."""
        for _, decoder in (self._first, self._second):
            try:
                return decoder.decode(raw)
            except RecursionError:
                break
            except Exception:  # noqa: S112 - the next one may do
                continue
        else:
            return _unpickled(raw, self._allow_pickle)
        raise UnreadableRow("it is nested too deep.")


class Pickle:
    """Pickles, as cachelib writes them."""

    def __init__(self, *, allow_pickle: bool) -> None:
        self._allow_pickle = allow_pickle

    def dump(self, values: Mapping[str, Any]) -> bytes:
        """The bytes of a session.  Raises EncodingError."""
        try:
            return pickle.dumps(dict(values), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            kind = type(error).__name__
        raise _cannot_be_written(kind)

    def load(self, raw: bytes) -> Any:
        """What the bytes hold.  Raises UnreadableRow."""
        return _unpickled(raw, self._allow_pickle)


def row(form: Format, raw: bytes, expires: int | None) -> Row:
    """The row that ``raw`` holds; ``expires`` in milliseconds since 1970.  Raises UnreadableRow."""
    if len(raw) > LARGEST:
        raise UnreadableRow(f"it is larger than {LARGEST // 1024 // 1024} MiB.")
    values = form.load(raw)
    if type(values) is not dict:
        raise UnreadableRow("it is no mapping.")
    moved = values.get(MARK) == MOVED
    if moved:
        del values[MARK]
    return Row(raw, values, expires, moved=moved)


def _unpickled(raw: bytes, allowed: bool) -> Any:
    if allowed:
        return unpickle(raw)
    if raw[:1] == b"\x80" and raw[-1:] == b".":
        raise UnreadableRow("it is a pickle. To read pickles of plain data, set MOORED_ADOPT_PICKLE = True.")
    raise UnreadableRow("it is damaged, or Flask-Session did not write it.")


def _plain_text(value: object) -> str:
    """Markup, which msgspec does not take for the text that it is."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError


def _cannot_be_written(kind: str) -> EncodingError:
    return EncodingError(
        f"the session holds a value that Flask-Session's format cannot carry ({kind}). While workers of"
        " Flask-Session still serve, keep to what it could store."
    )
