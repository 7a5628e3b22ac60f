"""The Redis that sides are run on: the one that is named, one of our own, or none."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager

from msgspec import Struct

from moored.errors import ConfigurationError
from moored.prove.gate import NotRun
from moored.testing.servers import RedisServer
from moored.url import parse

TIMEOUT = 5.0  # seconds


class Ground(Struct, frozen=True):
    """A Redis, with ``prefix`` before all that is written there; ``said`` in words, without the URL."""

    redis: str
    prefix: str
    version: str
    said: str


@contextmanager
def ground(url: str) -> Generator[Ground]:
    """The Redis at ``url``; where that is empty, a new redis-server, if that is installed.

    What was written to the one that was named is removed at the end, and nothing else of it
    is touched.  Raises ConfigurationError for what is no URL of a Redis, NotRun if it
    cannot be reached.
    """
    prefix = f"moored-prove:{secrets.token_hex(4)}:"
    if url:
        if parse(url)[1].scheme not in ("redis", "rediss", "unix"):
            raise ConfigurationError("what is given with --redis must be a redis:, rediss: or unix: URL.")
        version = _version(url)
        try:
            yield Ground(url, prefix, version, "the Redis that was named")
        finally:  # also if it was interrupted
            _remove(url, prefix)
    elif shutil.which("redis-server") is None:
        yield Ground("", prefix, "", "no redis-server is installed, so nothing was run on Redis")
    else:
        with RedisServer() as server:
            yield Ground(server.url, prefix, _version(server.url), "a redis-server of its own")


def _version(url: str) -> str:
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT) as client:
            return str(client.info("server")["redis_version"])
    except (redis.RedisError, ValueError, TypeError) as error:
        raise NotRun(
            f"the Redis that was named cannot be used: {str(error).rstrip('.')}. Look whether it runs, and"
            " whether --redis or MOORED_PROVE_REDIS names it"
        ) from error


def _remove(url: str, prefix: str) -> None:
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT) as client:
            for key in client.scan_iter(f"{prefix}*", count=1000):
                client.unlink(key)
    except redis.RedisError as error:
        raise NotRun(
            f"the keys that begin with {prefix} were not removed from the Redis that was named:"
            f" {str(error).rstrip('.')}"
        ) from error
