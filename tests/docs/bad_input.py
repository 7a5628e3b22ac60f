"""The registry of bad input: for each row of ``docs/bad-input.md`` a function that tries it.

A row's function answers what happened, written as the cell of the table is: messages in code
spans, with the test's own folder, port and selectors replaced by fixed words.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from moored.errors import MooredError
from moored.testing.servers import RedisServer
from moored.url import sqlite_url

ENGINES = ("sqlite", "redis")


class Ground:
    """Where one row is tried: a folder of its own, a Redis server, and what was logged."""

    def __init__(self, folder: Path, request: pytest.FixtureRequest, log: pytest.LogCaptureFixture) -> None:
        self.folder, self._request, self._log = folder, request, log
        self._words: dict[str, str] = {str(folder): "/srv/shop"}
        self._stack = ExitStack()
        log.set_level(logging.WARNING)

    def closing(self, close: Callable[[], object]) -> None:
        """Call this at the end."""
        self._stack.callback(close)

    def close(self) -> None:
        """Give everything back."""
        self._stack.close()

    # --- Engines --------------------------------------------------------------------------------

    def url(self, engine: str) -> str:
        """A URL that nobody else uses."""
        if engine == "sqlite":
            return sqlite_url(self.folder / "shop.db")
        if engine == "redis":
            self.call(f"127.0.0.1:{self.redis.port}", "localhost:6379")
        found = self._request.getfixturevalue(f"{engine}_url")
        assert isinstance(found, str)
        return found

    @property
    def redis(self) -> RedisServer:
        """The server of ``url("redis")``, which other tests use as well."""
        server = self._request.getfixturevalue("redis_server")
        assert isinstance(server, RedisServer)
        return server

    def own_redis(self, *args: str, password: str | None = None) -> RedisServer:
        """A server that this row may stop, pause or fill."""
        server = self._stack.enter_context(RedisServer(*args, password=password))
        self.call(f"127.0.0.1:{server.port}", "localhost:6379")
        return server

    # --- What was said --------------------------------------------------------------------------

    def call(self, text: str, word: str) -> None:
        """Call something that differs from run to run by a fixed word."""
        self._words[text] = word

    def fixed(self, text: str) -> str:
        """The text with those words in it."""
        for found, word in self._words.items():
            text = text.replace(found, word)
        return text

    def refusal(self, attempt: Callable[[], object]) -> str:
        """The error that the attempt ends in."""
        with pytest.raises(MooredError) as caught:
            attempt()
        return code(self.fixed(f"{type(caught.value).__name__}: {caught.value}"))

    def logged(self) -> str:
        """What was logged since this was last asked: the messages, joined, each once."""
        messages = dict.fromkeys(self.fixed(record.getMessage()) for record in self._log.records)
        self._log.clear()
        return " ".join(code(message) for message in messages)


def code(text: str) -> str:
    """A code span."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


Row = Callable[[Ground], str]
ROWS: dict[str, Row] = {}


def row(id: str) -> Callable[[Row], Row]:
    """Register the function of a row."""

    def register(function: Row) -> Row:
        assert id not in ROWS, f"{id} is there twice"
        ROWS[id] = function
        return function

    return register


def joined(answers: dict[str, str]) -> str:
    """What all engines answered; or what each did, if they differ."""
    if len(set(answers.values())) == 1:
        return next(iter(answers.values()))
    return "; ".join(f"{engine}: {answer}" for engine, answer in answers.items())
