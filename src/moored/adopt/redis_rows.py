"""Flask-Session's rows in Redis: a string under the prefix and the id.

Moored's own records may be in the same database under the same prefix.  They are hashes, and
have a colon behind the prefix, which no id has.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any, Final

import redis

from moored.adopt.formats import Format, row
from moored.adopt.place import MARKED, Replaced, Row
from moored.adopt.sids import ByKey, Sids
from moored.engines.redis_connector import Connector
from moored.engines.redis_pool import Stack
from moored.engines.redis_replies import says
from moored.engines.redis_resp import ReplyError, pack
from moored.errors import ConfigurationError, MooredError, OutcomeUnknown, Unavailable

PATIENCE: Final = 2.0  # seconds for one exchange, connecting included
CONNECTIONS: Final = 50
COUNT: Final = 1_000  # keys that the server looks at in one step of a scan
LOOKS: Final = 20  # such steps until it is no longer known soon whether there is a row

# Flask-Session takes an empty string for no session.  An error means that nothing was done: there
# is one write, and it is last.
REPLACE: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
_TRANSIENT: Final = ("LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS")
_MOVED_AWAY: Final = ("READONLY", "MASTERDOWN", "NOAUTH")  # another server may be the right one now
_GLOB: Final = str.maketrans({character: f"\\{character}" for character in "*?[]\\"})


class RedisRows(ByKey):
    """Connects as ``client`` does, on connections of its own; the client is left as it is."""

    def __init__(self, client: redis.Redis, sids: Sids, form: Format) -> None:
        self._connector = Connector.from_client(client)
        self.name: str = f"Flask-Session on {self._connector.place}"
        self._limit = min(client.connection_pool.max_connections, CONNECTIONS)
        self._sids, self._form = sids, form
        self._stack = Stack(self._connector.open, self._limit)

    # --- The protocol of a place --------------------------------------------------------------

    def read(self, row_id: str) -> Row | None:
        """The session under a key."""
        raw, left = self._ask(pack(["GET", row_id]) + pack(["PTTL", row_id]), 2)
        if isinstance(raw, ReplyError):
            if says(str(raw), "WRONGTYPE"):
                return None
            raise self._refused(raw)
        if isinstance(left, ReplyError):
            raise self._refused(left)
        if not raw or left == -2:
            return None
        return row(self._form, raw, None if left < 0 else int(time.time() * 1000) + left)

    def replace(
        self, row_id: str, before: bytes | None, values: Mapping[str, Any] | None, ttl: int
    ) -> Replaced | None:
        """Compare and set, by a script on the server."""
        raw = None if values is None else self._form.dump(values)
        words: list[bytes | str | int] = ["EVAL", REPLACE, 1, row_id, before or b"", raw or b"", ttl]
        (reply,) = self._ask(pack(words), 1, changes=True)
        if isinstance(reply, ReplyError):
            if says(str(reply), "WRONGTYPE"):
                return None
            raise self._refused(reply)
        return Replaced(raw) if reply == 1 else None

    def mark(self, row_id: str, before: bytes, ttl: int) -> bool:
        """Put our mark in the place of what is stored."""
        return self.replace(row_id, before, MARKED, ttl) is not None

    def ids(self) -> Iterator[str]:
        """The keys that look like Flask-Session's, as a scan finds them."""
        cursor = b"0"
        while True:
            cursor, found = self._scan(cursor)
            yield from found
            if cursor == b"0":
                return

    def is_empty(self) -> bool:
        """Is there no such key?"""
        cursor = b"0"
        for _ in range(LOOKS):
            cursor, found = self._scan(cursor)
            if found or cursor == b"0":
                return not found
        return False

    def close(self) -> None:
        """Close the connections; the place can be used again."""
        stack, self._stack = self._stack, Stack(self._connector.open, self._limit)
        if stack.pid == os.getpid():
            stack.close()

    # --- The server -----------------------------------------------------------------------------

    def _scan(self, cursor: bytes) -> tuple[bytes, list[str]]:
        pattern = self._sids.prefix.translate(_GLOB) + "*"
        words: list[bytes | str | int] = ["SCAN", cursor, "MATCH", pattern, "COUNT", COUNT, "TYPE", "string"]
        (reply,) = self._ask(pack(words), 1)
        if isinstance(reply, ReplyError):
            raise self._refused(reply)
        keys = [key.decode("utf-8", "replace") for key in reply[1]]
        return reply[0], [key for key in keys if self._sids.in_key(key) is not None]

    def _ask(self, packet: bytes, count: int, changes: bool = False) -> list[Any]:
        ends = monotonic() + PATIENCE
        if self._stack.pid != os.getpid():  # forked: the parent's connections are not ours
            self._stack = Stack(self._connector.open, self._limit)
        stack = self._stack
        try:
            connection = stack.take(ends)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{self.name} refuses the connection. Correct what SESSION_REDIS connects with."
            ) from error
        except MooredError as error:
            raise Unavailable(
                f"{self.name} cannot be reached; nothing was changed. Look whether the server runs and"
                " SESSION_REDIS leads to it."
            ) from error
        try:
            replies = connection.exchange(packet, count, ends)
        except OSError as error:
            stack.discard(connection)
            stack.distrust()
            lost = f"the connection to {self.name} was lost ({str(error) or 'timed out'})"
            if changes:
                raise OutcomeUnknown(f"{lost} after a change was sent. Read the session again.") from error
            raise Unavailable(f"{lost}; nothing was changed. Try again.") from error
        except BaseException:
            stack.discard(connection)
            raise
        stack.give_back(connection)
        return replies

    def _refused(self, reply: ReplyError) -> Unavailable:
        text = str(reply)  # it may end in the key
        if any(says(text, word) for word in _MOVED_AWAY):
            self._stack.distrust()
        word = next((word for word in _TRANSIENT if says(text, word)), None)
        if word is not None:
            return Unavailable(f"{self.name} is not ready ({word}); nothing was changed. Try again.")
        return Unavailable(
            f"{self.name} refused a command ({text.partition(' ')[0]}); nothing was changed. Look at the"
            " server, and whether its user may get, pttl, eval, set, del and scan the keys of the prefix.",
            outage=False,
        )
