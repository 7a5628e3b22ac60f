"""URLs: which engine, where, and with which options.

``sqlite:///shop.db`` (relative), ``sqlite:////var/lib/shop.db`` (absolute),
``redis://user:password@host:6379/0?wait=1``, ``rediss://…`` (TLS), ``unix:///run/redis.sock``,
``memory:``.  Options stand behind ``?``; ``deadline`` (seconds) is understood by every engine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from msgspec import Struct

from moored.errors import ConfigurationError
from moored.spelling import WrongWord, did_you_mean

# One line for each engine: scheme → module:class.
ENGINES = {
    "memory": "moored.engines.memory:MemoryEngine",
    "sqlite": "moored.engines.sqlite:SqliteEngine",
    "redis": "moored.engines.redis:RedisEngine",
    "rediss": "moored.engines.redis:RedisEngine",
    "unix": "moored.engines.redis:RedisEngine",
}

# Databases for which an engine is planned, by the schemes that are usual; docs/status.md has them.
PLANNED = ("postgresql", "postgres", "mysql", "mariadb", "mongodb", "memcached")

# Schemes of files, whose names may have an @; "" is that of a plain path.
WITHOUT_USER = ("sqlite", "")

_HOST_AND_PORT = re.compile(r"[\w.-]+:\d{2,5}(/\d*)?")  # to which somebody forgot the scheme


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ValueError("a number of seconds above 0")
    return value


def whole(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise ValueError("a whole number, 0 or more")
    return int(text)


COMMON: dict[str, Callable[[str], Any]] = {"deadline": seconds}


class Url(Struct, frozen=True):
    """A URL taken apart; ``options`` are parsed.

    Its text never shows the password; of the options it shows the prefix, which is a part of
    where state is.
    """

    parts: SplitResult
    options: Mapping[str, Any]

    @property
    def scheme(self) -> str:
        """The part before the colon."""
        return self.parts.scheme

    @property
    def database(self) -> str:
        """The path, with %-escapes undone."""
        return unquote(self.parts.path)

    def refuse_place(self, why: str) -> None:
        """Raise ConfigurationError if a host or path is named."""
        if self.parts.netloc or self.parts.path:
            raise ConfigurationError(why)

    def __repr__(self) -> str:
        return f"<Url {self}>"

    def __str__(self) -> str:
        prefix = self.options.get("prefix")
        return redacted(self.parts) + (f"?prefix={quote(prefix, safe=':')}" if prefix else "")


def redacted(url: str | SplitResult) -> str:
    """The URL without user, password and options, safe to show and to log.

    Nothing before the last @ of a host or path is shown: in a malformed URL that is where the
    password may be.
    """
    if isinstance(url, str):
        parts = _parts(url)
        if parts is None or "#" in url:
            return "a URL that cannot be read"
    else:
        parts = url
    host = parts.netloc.rpartition("@")[2]
    _, at, path = parts.path.rpartition("@")
    if not parts.scheme:
        return path
    if at:
        return f"{parts.scheme}:…@{path}"
    if not host and not path.startswith("/"):
        return f"{parts.scheme}:{path}"
    return f"{parts.scheme}://{host}{path}"


def default_url() -> str:
    """``MOORED_URL``, or SQLite in the user's state folder (XDG base directory specification)."""
    if url := os.environ.get("MOORED_URL"):
        return url
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return sqlite_in(Path(home) / "moored")


def sqlite_in(folder: Path) -> str:
    """The URL of the SQLite file in a folder, where no other is named."""
    return sqlite_url(folder / "moored.db")


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    from urllib.parse import quote

    return f"sqlite:///{quote(str(path.absolute()))}"


def parse(url: str, extra: Mapping[str, object] | None = None) -> tuple[type[Any], Url]:
    """The engine's class and the URL; ``extra`` are options given beside the URL.

    Raises ConfigurationError for schemes, options and values that are unknown, with a
    suggestion, and where the engine's driver is not installed.
    """
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise ConfigurationError(
            f"the state's URL is text such as 'sqlite:///shop.db', not {type(url).__name__}."
        )
    parts = _split(url)
    engine = _engine(parts.scheme, url)
    known = {**COMMON, **engine.options}
    pairs = [*parse_qsl(parts.query, keep_blank_values=True)]
    pairs += [(name, str(value)) for name, value in (extra or {}).items() if value is not None]
    options: dict[str, Any] = {}
    for name, text in pairs:
        if name not in known:
            raise ConfigurationError(
                f"{parts.scheme}: has no option {name!r}.{did_you_mean(name, known, '{}')}"
                f" Its options: {', '.join(sorted(known))}."
            )
        if name in options:
            raise ConfigurationError(f"the option {name!r} is given twice; keep one.")
        try:
            options[name] = known[name](text)
        except ValueError as error:
            given = "" if _is_secret(name) else f", not {text!r}"
            hint = error.hint if isinstance(error, WrongWord) and given else ""
            raise ConfigurationError(f"the option {name!r} must be {error}{given}.{hint}") from None
    return engine, Url(parts, options)


def _split(url: str) -> SplitResult:
    """The parts of a URL.  What is wrong with them is not shown: it may be half of a password."""
    parts = _parts(url)
    if parts is None:
        raise ConfigurationError(
            "the state's URL cannot be read: its host or port is malformed. A user name and password stand"
            " between // and @, as in redis://user:password@localhost:6379/0; in them, and in the path of a"
            " socket, characters other than letters, digits, - . _ ~ are written as %-escapes (%2F for /, %40"
            " for @)."
        )
    if "#" in url:
        raise ConfigurationError(
            "the state's URL has a #, and what follows it would be ignored. In a path or password, write %23."
        )
    return parts


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # looked at because that raises ValueError
    except ValueError:
        return None
    # Did a / or ? in a password end the host too early, or was it written without the //?
    names = [pair.partition("=")[0] for pair in parts.query.split("&")]
    elsewhere = [parts.path, *names] if parts.netloc or parts.scheme not in WITHOUT_USER else names
    if any("@" in part for part in elsewhere):
        return None
    return parts


def _engine(scheme: str, url: str) -> type[Any]:
    if scheme not in ENGINES:
        meant = f" Did you mean redis://{url}?" if _HOST_AND_PORT.fullmatch(url) else ""
        if not scheme:
            what = f"the state's URL {redacted(url)!r} has no scheme.{meant}"
        elif scheme.partition("+")[0] in PLANNED:
            what = f"{scheme}: cannot be used yet (docs/status.md says what can)."
        else:
            what = f"there is no engine for {scheme}:.{meant or did_you_mean(scheme, ENGINES, '{}:')}"
        raise ConfigurationError(
            f"{what} Give one of {', '.join(name + ':' for name in ENGINES)} - for example"
            " sqlite:///shop.db or redis://localhost:6379/0."
        )
    module, _, name = ENGINES[scheme].partition(":")
    try:
        engine: type[Any] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "moored":
            raise
        raise ConfigurationError(
            f"{scheme}: needs the package {error.name!r}, which is not installed:"
            f" pip install 'moored[{module.rpartition('.')[2]}]'."
        ) from None
    return engine


def _is_secret(option: str) -> bool:
    return option == "username" or "password" in option
