"""Writing straight into an engine, past Moored."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import msgspec
from tests.docs.bad_input import Ground


class Tamper:
    """Somebody with the engine's own tools; ``url`` is that of the state."""

    def __init__(self, ground: Ground, engine: str, url: str) -> None:
        self.engine, self._redis = engine, ground.redis.cli
        self._file = ground.folder / "shop.db"
        self._prefix = parse_qs(urlsplit(url).query).get("prefix", [""])[0]

    def field(self, key: str, name: str, value: bytes | None) -> None:
        """Write a field of a record; None removes it."""
        if self.engine == "redis":
            words = ("HDEL", self._prefix + key, ":" + name)
            self._redis(*words) if value is None else self._redis("HSET", *words[1:], value)
            return

        def edit(body: bytes) -> bytes:
            dead, fields, ops = msgspec.msgpack.decode(body)
            fields.pop(name, None)
            return msgspec.msgpack.encode((dead, fields if value is None else {**fields, name: value}, ops))

        self._body(key, edit)

    def truncate(self, key: str) -> None:
        """Leave a part of the record."""
        if self.engine == "redis":
            self._redis("HDEL", self._prefix + key, "v")
        else:
            self._body(key, lambda body: body[: len(body) // 2])

    def reformat(self, key: str) -> None:
        """Write it as another version might."""
        if self.engine == "redis":
            self._redis("HSET", self._prefix + key, "v", "2.0:17")
        else:
            self._body(key, lambda body: msgspec.msgpack.encode({"format": 2, "body": body}))

    def retype(self, key: str) -> None:
        """Write something of another type in its place."""
        if self.engine == "redis":
            self._redis("DEL", self._prefix + key)
            self._redis("RPUSH", self._prefix + key, "a", "list")
        else:
            self._body(key, lambda body: "text")

    def _body(self, key: str, edit: Callable[[bytes], bytes | str]) -> None:
        with sqlite3.connect(self._file) as db:
            (body,) = db.execute("SELECT body FROM moored_records WHERE key = ?", (key,)).fetchone()
            db.execute("UPDATE moored_records SET body = ? WHERE key = ?", (edit(body), key))
        db.close()
