"""``SESSION_REDIS``: the client that an application of Flask-Session's lends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moored.errors import ConfigurationError

if TYPE_CHECKING:
    import redis


def lent_redis(config: Mapping[str, Any]) -> redis.Redis | None:
    """The client, or None where none is lent.  Raises ConfigurationError for anything else."""
    client = config.get("SESSION_REDIS")
    if client is None:
        return None
    import redis

    if isinstance(client, redis.Redis):
        return client
    raise ConfigurationError(
        f"SESSION_REDIS must be a redis.Redis client, not {type(client).__name__}. For a URL, use MOORED_URL."
    )
