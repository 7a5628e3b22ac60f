"""Opening connections, which is redis-py's part.

redis-py knows addresses, TLS, Unix sockets, authentication and Sentinel.  What it adds to
each exchange (retries, health checks, locks, a wrapper around every reply) costs more than
the exchange, and its retries would repeat changes: so its part ends once a connection stands.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

import redis
import redis.asyncio
import redis.connection
from msgspec import Struct
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from moored.engines.redis_connections import AT_LEAST, AsyncConnection, Connection
from moored.engines.redis_replies import failure, refused_login, says
from moored.engines.redis_resp import ReplyError, pack
from moored.errors import ConfigurationError, MooredError, Unavailable
from moored.url import Url

PING = pack(["PING"])

ASYNC_CLASSES: dict[type[Any], type[Any]] = {
    redis.Connection: redis.asyncio.Connection,
    redis.SSLConnection: redis.asyncio.SSLConnection,
    redis.UnixDomainSocketConnection: redis.asyncio.UnixDomainSocketConnection,
}


class Way(Struct, frozen=True):
    """How a server is reached.  ``host`` is None for a Unix socket; ``password``: one is given."""

    place: str
    host: str | None
    tls: bool
    password: bool


class Connector:
    """Opens connections as a URL or a client says."""

    def __init__(self, connection_class: type[Any], settings: Mapping[str, Any]) -> None:
        self._class = connection_class
        # What redis-py's pools and clients add to follow maintenance of Redis Enterprise stays off.
        self._settings = {
            name: value
            for name, value in settings.items()
            if not name.startswith(("maint", "orig_", "oss_cluster", "parser_class"))
        }
        path, host = settings.get("path"), settings.get("host", "localhost")
        where = path or f"{f'[{host}]' if ':' in host else host}:{settings.get('port', 6379)}"
        self.place: str = f"Redis at {where}"

    @classmethod
    def from_url(cls, url: Url) -> Connector:
        """As a ``redis:``, ``rediss:`` or ``unix:`` URL says.  Raises ConfigurationError."""
        parts, path = url.parts, url.database
        if url.scheme == "unix":
            named = len(path) > 1 and path[0] == "/" and not parts.hostname
        else:
            named = path in ("", "/") or (path[0] == "/" and path[1:].isdecimal())
        if not named:
            raise ConfigurationError(
                f"{url} is no place of a Redis server. Examples: redis://localhost:6379/0,"
                " rediss://user:password@redis.example.com:6380/0, unix:///run/redis/redis.sock?db=0."
            )
        settings: dict[str, Any] = redis.connection.parse_url(  # type: ignore[no-untyped-call]
            f"{url.scheme}://{parts.netloc}{parts.path}"
        )
        options = url.options
        tls = [name for name in options if name.startswith("ssl_")]
        if tls and url.scheme != "rediss":
            raise ConfigurationError(f"the option {tls[0]!r} is about TLS: write rediss:, not {url.scheme}:.")
        given = ("db", "username", "password", "protocol", *tls)
        settings |= {name: options[name] for name in given if name in options}
        if url.scheme == "rediss":  # redis-py 5 would not look at the host name
            settings.setdefault("ssl_check_hostname", settings.get("ssl_cert_reqs") != "none")
        return cls(settings.pop("connection_class", redis.Connection), settings)

    @classmethod
    def from_client(cls, client: redis.Redis) -> Connector:
        """As a client of redis-py would; the client itself is left alone."""
        pool: Any = client.connection_pool
        connector = cls(pool.connection_class, pool.connection_kwargs)
        connector._lender = pool  # a Sentinel's connections ask it for the primary
        if service := getattr(pool, "service_name", None):
            connector.place = f"Redis {service!r} of Sentinel"
        return connector

    _lender: Any = None

    @property
    def way(self) -> Way:
        """How the server is reached."""
        settings = self._settings
        return Way(
            self.place,
            None if settings.get("path") else str(settings.get("host") or "localhost"),
            issubclass(self._class, redis.SSLConnection),
            bool(settings.get("password") or settings.get("credential_provider")),
        )

    # --- Blocking ---------------------------------------------------------------------------

    def open(self, ends: float) -> Connection:
        """A connection that has answered.  Raises Unavailable and ConfigurationError; nothing was sent."""
        left = max(ends - monotonic(), AT_LEAST)
        inner = self._settings.get("redis_connect_func")

        def greet(driver: Any) -> None:
            driver._sock.settimeout(max(ends - monotonic(), AT_LEAST))
            if inner is None:
                driver.on_connect()
            else:
                inner(driver)

        driver = self._driver(
            self._class,
            Retry(NoBackoff(), 0),
            {"socket_timeout": left, "socket_connect_timeout": left, "redis_connect_func": greet},
        )
        try:
            driver.connect()
            # There is no public way to be handed the socket.  Without it the driver closes nothing.
            connection = Connection(driver._sock)
            driver._sock = None
            try:
                self._prove(connection.exchange(PING, 1, ends)[0])
            except BaseException:
                connection.close()
                raise
        except Exception as error:
            with suppress(Exception):
                driver.disconnect()
            raise self._unreachable(error) from error
        return connection

    # --- On an event loop ---------------------------------------------------------------------

    async def aopen(self, ends: float) -> AsyncConnection:
        """The same for the running event loop."""
        left = max(ends - monotonic(), AT_LEAST)
        if self._class not in ASYNC_CLASSES:
            raise ConfigurationError(
                f"{self._class.__name__} of the lent client has no counterpart for asyncio: give AsyncState a"
                " URL instead."
            )
        driver = self._driver(
            ASYNC_CLASSES[self._class],
            AsyncRetry(NoBackoff(), 0),
            {"socket_timeout": left, "socket_connect_timeout": left},
        )
        try:
            async with asyncio.timeout(left):
                await driver.connect()
            # As above: from here on the streams are ours.
            connection = AsyncConnection(driver._reader, driver._writer)
            driver._reader = driver._writer = None
            try:
                self._prove((await connection.exchange(PING, 1, ends))[0])
            except BaseException:
                connection.close()
                raise
        except BaseException as error:
            if driver.is_connected:
                with suppress(Exception):
                    await driver.disconnect(nowait=True)
            if not isinstance(error, Exception):
                raise
            raise self._unreachable(error) from error
        return connection

    # --- Both -----------------------------------------------------------------------------------

    def _driver(self, connection_class: Callable[..., Any], retry: Any, more: dict[str, Any]) -> Any:
        accepted = _parameters(connection_class)
        settings = {
            "protocol": 2,  # saves a round trip
            **{name: value for name, value in self._settings.items() if value is not None},
            **more,
            "retry": retry,
            "retry_on_timeout": False,
            "retry_on_error": [],
            "health_check_interval": 0,
        }
        for name in ("driver_info", "lib_name", "lib_version"):
            settings.pop(name, None)
        # Telling the server the library's name would cost two round trips.
        if "driver_info" in accepted:
            settings["driver_info"] = None
        elif "lib_name" in accepted:
            settings |= {"lib_name": None, "lib_version": None}
        if connection_class is not self._class:
            unknown = [name for name, value in settings.items() if value and name not in accepted]
            if unknown:
                raise ConfigurationError(
                    f"the setting {unknown[0]!r} of the lent client has no counterpart for asyncio: give"
                    " AsyncState a URL instead."
                )
            settings = {name: value for name, value in settings.items() if name in accepted}
        return connection_class(**settings)

    def _prove(self, reply: Any) -> None:
        """A server that has no connection left says so where an answer is expected."""
        if isinstance(reply, ReplyError) and not says(str(reply), "NOPERM"):
            raise failure(self.place, "", reply, False) from reply

    def _unreachable(self, error: Exception) -> MooredError:
        if isinstance(error, MooredError):
            return error
        if isinstance(error, redis.AuthenticationError):
            return refused_login(self.place)
        if isinstance(distrust := error.__context__, ssl.SSLCertVerificationError):
            return ConfigurationError(
                f"the certificate of {self.place} cannot be trusted ({distrust.verify_message}). Name the"
                " file of the authority that signed it with ?ssl_ca_certs=, and the host as it is called in"
                " the certificate."
            )
        if type(error) is redis.ResponseError:  # to SELECT, usually
            return ConfigurationError(
                f"{self.place} refuses the connection: {error}. Correct the state's URL."
            )
        why = str(error).rstrip(".") or "timed out"
        return Unavailable(
            f"{self.place} cannot be reached ({why}); nothing was sent. Look whether the server runs and the"
            " state's URL names it."
        )


def _parameters(connection_class: Any) -> set[str]:
    """The names of all settings that a connection class knows, those of its bases included."""
    return {
        name
        for base in connection_class.__mro__
        if "__init__" in vars(base)
        for name in inspect.signature(base.__init__).parameters
    }
