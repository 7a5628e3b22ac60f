"""Asking an engine without a policy around it: each command gets an operation id of its own."""

from __future__ import annotations

import itertools
import os
from typing import Any

from moored.commands import Command, Op
from moored.engines.redis import RedisEngine
from moored.url import parse

FAR = 2**60  # no command is ever late
_numbers = itertools.count()
_engines: list[RedisEngine] = []


def new_op(*, again: bool = False) -> Op:
    return Op(f"{os.getpid():x}-{next(_numbers):x}", FAR, FAR, again)


def ask(engine: RedisEngine, *commands: Command[Any], timeout: float = 5.0) -> list[Any]:
    return engine.execute(commands, tuple(new_op() for _ in commands), timeout)


async def aask(engine: RedisEngine, *commands: Command[Any], timeout: float = 5.0) -> list[Any]:
    return await engine.aexecute(commands, tuple(new_op() for _ in commands), timeout)


def engine_of(url: str, **options: Any) -> RedisEngine:
    engine, parsed = parse(url, options)
    assert engine is RedisEngine
    _engines.append(RedisEngine.from_url(parsed))
    return _engines[-1]


def close_engines() -> None:
    """Close all that ``engine_of`` has made."""
    while _engines:
        _engines.pop().close()
