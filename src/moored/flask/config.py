"""The settings of Moored in Flask: names, meanings and checks, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from datetime import timedelta
from typing import Any

from flask import Flask
from msgspec import Struct

from moored.codec import DEEPEST
from moored.errors import ConfigurationError, MisuseError
from moored.flask.secrets import app_secrets
from moored.kinds.sessions.settings import DAY, FRESH_ON_LOGIN, IDENTITY, SessionSettings
from moored.merge import Rules
from moored.spelling import WrongWord, did_you_mean
from moored.url import one_of
from moored.web.environment import PREFIX

HOUR = 3_600_000  # milliseconds


def milliseconds(value: object) -> int:
    """A duration in seconds or as a timedelta, above 0."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e10:
        raise ValueError("a number of seconds above 0, or a timedelta")
    return int(value * 1000)


def milliseconds_or_none(value: object) -> int:
    """A duration in seconds or as a timedelta; 0 for none."""
    if not isinstance(value, bool) and value in (0, timedelta()):
        return 0
    try:
        return milliseconds(value)
    except ValueError:
        raise ValueError("a number of seconds, 0 for none, or a timedelta") from None


def above_zero(value: object) -> int:
    """A whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a whole number above 0")
    return value


def levels(value: object) -> int:
    """A number of nested containers that the codec can store."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= DEEPEST:
        raise ValueError(f"a whole number from 1 to {DEEPEST}")
    return value


def switch(value: object) -> None:
    """On or off; text is refused because Python takes all of it for on, "False" too."""
    if value not in (True, False, None):
        raise ValueError("True or False")


def on_or_off(value: object) -> bool:
    """On or off."""
    switch(value)
    return bool(value)


def names(value: object) -> tuple[str, ...]:
    """A list of field names."""
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError("a list of field names")  # noqa: TRY004 - like every check
    if not all(isinstance(name, str) for name in value):
        raise ValueError("a list of field names")
    return tuple(value)


def text(value: object) -> str:
    """Text; whether it may be the name of a cookie is looked at later."""
    if not isinstance(value, str):
        raise ValueError("text")  # noqa: TRY004 - like every check
    return value


def url(value: object) -> str:
    """The text of a URL, which is looked into later."""
    if not isinstance(value, str) or not value:
        raise ValueError("text such as 'sqlite:///shop.db'")
    return value


def rules(value: object) -> Rules:
    """Merge rules by path."""
    if not isinstance(value, Mapping):
        raise ValueError('a mapping of paths to rules, such as {"cart.*": "sum"}')  # noqa: TRY004
    return Rules.parse(value)


def word(*words: str) -> Callable[[object], str]:
    """One of a few words."""
    parse = one_of(*words)

    def check(value: object) -> str:
        return parse(value if isinstance(value, str) else "")  # "" is none of them, and like none

    return check


def some(*words: str) -> Callable[[object], tuple[str, ...]]:
    """A list of a few words; one of them alone will do, and an empty list is none."""

    def check(value: object) -> tuple[str, ...]:
        given = (value,) if isinstance(value, str) else value
        choice = f"a list of {' and '.join(map(repr, words))}"
        if not isinstance(given, (list, tuple)):
            raise ValueError(choice)  # noqa: TRY004 - like every check
        for one in given:
            if one not in words:
                raise WrongWord(choice, one, words)
        return tuple(given)

    return check


class Setting(Struct, frozen=True):
    """One setting: what its value must be, its default, and what it is for."""

    check: Callable[[object], Any]
    default: Any
    meaning: str


SETTINGS: dict[str, Setting] = {
    "MOORED_URL": Setting(url, None, "where state is kept; default: moored.db in the instance folder"),
    "MOORED_SESSION_STORE": Setting(
        word("engine", "signed-cookie", "sealed-cookie"),
        "engine",
        "where sessions are: in the engine, or in the cookie itself, readable (signed) or not (sealed)",
    ),
    "MOORED_ADOPT": Setting(
        some("flask-session", "flask-cookie"),
        None,
        "whose live sessions to take over; default: Flask-Session's in its place (drop-in), else nobody's",
    ),
    "MOORED_ALONGSIDE": Setting(
        milliseconds_or_none,
        HOUR,
        "seconds from the first worker with Moored for which workers without it may still serve",
    ),
    "MOORED_ADOPT_PICKLE": Setting(
        on_or_off, False, "read adopted sessions that were pickled, with an unpickler for plain values only"
    ),
    "MOORED_SESSION_IDLE": Setting(
        milliseconds,
        None,
        "seconds without use after which a session ends; default: PERMANENT_SESSION_LIFETIME",
    ),
    "MOORED_SESSION_ABSOLUTE": Setting(
        milliseconds, 90 * DAY, "seconds after which a session ends whatever its use; default: 90 days"
    ),
    "MOORED_SESSION_MAX_BYTES": Setting(above_zero, 2 * 1024 * 1024, "the largest session in bytes"),
    "MOORED_SESSION_MAX_FIELDS": Setting(above_zero, 16_384, "the most fields a session may have"),
    "MOORED_SESSION_MAX_DEPTH": Setting(levels, 32, "how deeply a value may be nested, at most 128"),
    "MOORED_SESSIONS_PER_SUBJECT": Setting(
        above_zero, 50, "sessions of one user; the oldest over it is ended"
    ),
    "MOORED_IDENTITY_FIELDS": Setting(
        names,
        IDENTITY,
        "fields whose change is a sign-in or sign-out; an empty list: only login() and logout()",
    ),
    "MOORED_FRESH_ON_LOGIN": Setting(names, tuple(FRESH_ON_LOGIN), "fields that a sign-in removes"),
    "MOORED_MERGE": Setting(rules, Rules({}), "merge rules by path"),
    "MOORED_ON_OUTAGE": Setting(
        word("refuse", "anonymous"),
        "refuse",
        "when the engine is away: refuse (503), or serve without a session",
    ),
    "MOORED_LOGIN_CROSS_SITE": Setting(
        word("warn", "refuse", "allow"), "warn", "what becomes of a sign-in that another site caused"
    ),
}


# Flask's own that are used here and that Flask does not look at itself.
OF_FLASK: dict[str, Callable[[object], object]] = {
    "SESSION_COOKIE_NAME": text,
    "SESSION_COOKIE_SECURE": switch,
    "SESSION_COOKIE_HTTPONLY": switch,
    "SESSION_COOKIE_PARTITIONED": switch,
    "SESSION_REFRESH_EACH_REQUEST": switch,
}


def read(app: Flask) -> dict[str, Any]:
    """Moored's settings in an app's configuration, checked.

    Raises ConfigurationError for a value that cannot be, and for a ``MOORED_`` name that is
    none of ours; MisuseError for what is no Flask application.
    """
    if not isinstance(app, Flask):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise MisuseError(
            f"Moored is given a Flask application, not {type(app).__name__}. A URL stands in MOORED_URL."
        )
    for name in app.config:
        if isinstance(name, str) and name.startswith(PREFIX) and name not in SETTINGS:
            raise ConfigurationError(f"there is no setting {name}.{_suggestion(name)}")
    found = {}
    for name, setting in SETTINGS.items():
        value = app.config.get(name)
        found[name] = setting.default if value is None else _checked(name, value, setting.check)
    for name, check in OF_FLASK.items():
        _checked(name, app.config.get(name), check)
    app_secrets(app.config)
    return found


class Taken:
    """The settings as ``Moored(app)`` finds them; ``more`` are names of others that it reads."""

    def __init__(self, config: Mapping[str, Any], more: Iterable[str] = ()) -> None:
        self._more = {"PERMANENT_SESSION_LIFETIME", *more}
        self._values = self._now(config)

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise ConfigurationError, naming them, if some are others now: these would count for nothing."""
        now, then = self._now(config), self._values
        if names := sorted([name for name in {**then, **now} if now.get(name) != then.get(name)]):
            raise ConfigurationError(
                f"{', '.join(names)} changed after Moored(app) had read the settings, and would count for"
                f" nothing: set {'it' if len(names) == 1 else 'them'} before that line."
            )

    def _now(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: copy(value)  # a list may be added to later
            if isinstance(value, (list, dict, set))
            else value
            for name, value in config.items()
            if name.startswith(PREFIX) or name in self._more
        }


def _checked(name: str, value: object, check: Callable[[object], Any]) -> Any:
    try:
        return check(value)
    except ValueError as error:
        # A URL may hold a password.
        shown = type(value).__name__ if name == "MOORED_URL" and value else repr(value)
        hint = error.hint if isinstance(error, WrongWord) else ""
        raise ConfigurationError(f"{name} must be {error}, not {shown}.{hint}") from None


def session_settings(app: Flask, found: Mapping[str, Any]) -> SessionSettings:
    """The rules for sessions that the settings come to."""
    return SessionSettings(
        idle=found["MOORED_SESSION_IDLE"] or _lifetime(app),
        absolute=found["MOORED_SESSION_ABSOLUTE"],
        largest=found["MOORED_SESSION_MAX_BYTES"],
        most=found["MOORED_SESSION_MAX_FIELDS"],
        depth=found["MOORED_SESSION_MAX_DEPTH"],
        each=found["MOORED_SESSIONS_PER_SUBJECT"],
        identity=found["MOORED_IDENTITY_FIELDS"],
        fresh_on_login=frozenset(found["MOORED_FRESH_ON_LOGIN"]),
        merge=found["MOORED_MERGE"],
    )


def _lifetime(app: Flask) -> int:
    name = "PERMANENT_SESSION_LIFETIME"
    try:
        lifetime: object = app.permanent_session_lifetime
    except (TypeError, OverflowError):  # it is no timedelta, and Flask cannot make one of it
        lifetime = app.config[name]
    checked: int = _checked(name, lifetime, milliseconds)
    return checked


def _suggestion(name: str) -> str:
    if name == "MOORED_SECRET":
        return " Set SECRET_KEY, or MOORED_SECRET in the environment."
    return did_you_mean(name, SETTINGS, "{}", beginning=PREFIX) or f" There are {', '.join(SETTINGS)}."
