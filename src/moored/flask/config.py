"""The settings of Moored in Flask: names, meanings and checks, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from moored.codec import DEEPEST
from moored.errors import ConfigurationError
from moored.flask.secrets import app_secrets
from moored.flask.values import (
    above_zero,
    levels,
    milliseconds,
    milliseconds_or_none,
    names,
    on_or_off,
    rules,
    some,
    switch,
    text,
    url,
    word,
)
from moored.kinds.sessions.settings import SessionSettings
from moored.spelling import WrongWord, did_you_mean
from moored.web.environment import PREFIX, Elsewhere

HOUR: Final = 3_600_000  # milliseconds
LIFETIME: Final = "PERMANENT_SESSION_LIFETIME"
USUAL: Final = SessionSettings()


class Setting(Struct, frozen=True):
    """One setting: what its value must be, its default, and what it is for.

    ``otherwise`` says in words what holds where there is no value and the default is None.
    """

    check: Callable[[object], Any]
    default: Any
    meaning: str
    otherwise: str = ""


SETTINGS: dict[str, Setting] = {
    "MOORED_URL": Setting(url, None, "where state is kept", "moored.db in the instance folder"),
    "MOORED_SESSION_STORE": Setting(
        word("engine", "signed-cookie", "sealed-cookie"),
        "engine",
        "where sessions are: in the engine, or in the cookie itself, readable (signed) or not (sealed)",
    ),
    "MOORED_ADOPT": Setting(
        some("flask-session", "flask-cookie"),
        None,
        "whose live sessions to take over",
        "Flask-Session's in its place (drop-in), else nobody's",
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
        "seconds without use after which a session ends",
        LIFETIME,
    ),
    "MOORED_SESSION_ABSOLUTE": Setting(
        milliseconds, USUAL.absolute, "seconds after which a session ends whatever its use"
    ),
    "MOORED_SESSION_MAX_BYTES": Setting(above_zero, USUAL.largest, "the largest session in bytes"),
    "MOORED_SESSION_MAX_FIELDS": Setting(above_zero, USUAL.most, "the most fields a session may have"),
    "MOORED_SESSION_MAX_DEPTH": Setting(
        levels, USUAL.depth, f"how deeply a value may be nested, at most {DEEPEST}"
    ),
    "MOORED_SESSIONS_PER_SUBJECT": Setting(
        above_zero, USUAL.each, "sessions of one user; the oldest over it is ended"
    ),
    "MOORED_IDENTITY_FIELDS": Setting(
        names,
        USUAL.identity,
        "fields whose change is a sign-in or sign-out; an empty list: only login() and logout()",
    ),
    "MOORED_FRESH_ON_LOGIN": Setting(names, tuple(USUAL.fresh_on_login), "fields that a sign-in removes"),
    "MOORED_MERGE": Setting(rules, USUAL.merge, "merge rules by path"),
    "MOORED_ON_OUTAGE": Setting(
        word("refuse", "anonymous"),
        "refuse",
        "when the engine is away: refuse (503), or serve without a session",
    ),
    "MOORED_LOGIN_CROSS_SITE": Setting(
        word("warn", "refuse", "allow"), "warn", "what becomes of a sign-in that another site caused"
    ),
}


# Those that are used when the app is set up; all others are when its first request comes.
AT_SET_UP: Final = (
    "MOORED_URL",
    "MOORED_SESSION_STORE",
    "MOORED_ADOPT",
    "MOORED_ALONGSIDE",
    "MOORED_ADOPT_PICKLE",
)

# Flask-Session's that are used then, in its place and where its sessions are adopted.
OF_FLASK_SESSION: Final = (
    "SESSION_TYPE",
    "SESSION_PERMANENT",
    "SESSION_USE_SIGNER",
    "SESSION_KEY_PREFIX",
    "SESSION_ID_LENGTH",
    "SESSION_SERIALIZATION_FORMAT",
    "SESSION_REDIS",
    "SESSION_FILE_DIR",
    "SESSION_FILE_MODE",
    "SESSION_CACHELIB",
    "SESSION_SQLALCHEMY",
    "SESSION_SQLALCHEMY_BIND_KEY",
    "SESSION_SQLALCHEMY_SCHEMA",
    "SESSION_SQLALCHEMY_SEQUENCE",
    "SESSION_SQLALCHEMY_TABLE",
)

# Flask's own that are used here and that Flask does not look at itself.
OF_FLASK: dict[str, Callable[[object], object]] = {
    "SESSION_COOKIE_NAME": text,
    "SESSION_COOKIE_SECURE": switch,
    "SESSION_COOKIE_HTTPONLY": switch,
    "SESSION_COOKIE_PARTITIONED": switch,
    "SESSION_REFRESH_EACH_REQUEST": switch,
}


class Source(StrEnum):
    """Who said where the state of an app is."""

    CODE = "the app's code"
    APP = "MOORED_URL of the app"
    ENVIRONMENT = "MOORED_URL in the environment"
    FLASK_SESSION = "Flask-Session's settings"
    DEFAULT = "default"


class Settings(Struct, frozen=True, kw_only=True):
    """What an app's configuration says.  ``url`` and ``adopt`` are None where it says nothing of them.

    ``alongside`` is in milliseconds.
    """

    url: str | None
    session_store: str
    adopt: tuple[str, ...] | None
    alongside: int
    adopt_pickle: bool
    sessions: SessionSettings
    on_outage: str
    renews: bool
    cross_site: str


def read(config: Mapping[str, Any]) -> Settings:
    """What a configuration says, checked.

    Raises ConfigurationError for a value that cannot be, and for a ``MOORED_`` name that is
    none of ours.
    """
    found = values(config)
    app_secrets(config)
    return Settings(
        url=found["MOORED_URL"],
        session_store=found["MOORED_SESSION_STORE"],
        adopt=found["MOORED_ADOPT"],
        alongside=found["MOORED_ALONGSIDE"],
        adopt_pickle=found["MOORED_ADOPT_PICKLE"],
        sessions=SessionSettings(
            idle=found["MOORED_SESSION_IDLE"] or _checked(LIFETIME, config[LIFETIME], milliseconds),
            absolute=found["MOORED_SESSION_ABSOLUTE"],
            largest=found["MOORED_SESSION_MAX_BYTES"],
            most=found["MOORED_SESSION_MAX_FIELDS"],
            depth=found["MOORED_SESSION_MAX_DEPTH"],
            each=found["MOORED_SESSIONS_PER_SUBJECT"],
            identity=found["MOORED_IDENTITY_FIELDS"],
            fresh_on_login=frozenset(found["MOORED_FRESH_ON_LOGIN"]),
            merge=found["MOORED_MERGE"],
        ),
        on_outage=found["MOORED_ON_OUTAGE"],
        renews=bool(config["SESSION_REFRESH_EACH_REQUEST"]),
        cross_site=found["MOORED_LOGIN_CROSS_SITE"],
    )


def values(config: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each of ``SETTINGS``, or its default.  Raises ConfigurationError."""
    for name in map(str, config):
        if name.startswith(PREFIX) and name not in SETTINGS:
            raise ConfigurationError(f"there is no setting {name}.{_suggestion(name)}")
    found = {}
    for name, setting in SETTINGS.items():
        value = config.get(name)
        found[name] = setting.default if value is None else _checked(name, value, setting.check)
    for name, check in OF_FLASK.items():
        _checked(name, config.get(name), check)
    return found


def in_config(config: Mapping[str, Any]) -> Elsewhere:
    """The settings that are read from ``app.config`` only."""
    made = {name for name, value in config.items() if value is not None}
    return Elsewhere(SETTINGS.keys() - {"MOORED_URL"}, made, "Flask applications", "app.config")


class Snapshot:
    """The settings that were used when an app was set up; ``more`` are names of others' among them."""

    def __init__(self, config: Mapping[str, Any], more: Iterable[str] = ()) -> None:
        self._names = tuple(dict.fromkeys((*AT_SET_UP, *more)))
        self._values = self._of(config)

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise ConfigurationError, naming them, if some are others now: these would count for nothing."""
        now = self._of(config)
        if late := [name for name in self._names if now[name] != self._values[name]]:
            them = "it" if len(late) == 1 else "them"
            raise ConfigurationError(
                f"{', '.join(late)} changed after Moored(app) had used {them}, and would count for nothing:"
                f" set {them} before that line."
            )

    def _of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: config.get(name) for name in self._names}
        # A list may be added to later.
        return {name: copy(value) if isinstance(value, list) else value for name, value in found.items()}


def _checked(name: str, value: object, check: Callable[[object], Any]) -> Any:
    try:
        return check(value)
    except ValueError as error:
        # A URL may hold a password.
        shown = type(value).__name__ if name == "MOORED_URL" and value else repr(value)
        hint = error.hint if isinstance(error, WrongWord) else ""
        raise ConfigurationError(f"{name} must be {error}, not {shown}.{hint}") from None


def _suggestion(name: str) -> str:
    if name == "MOORED_SECRET":
        return " Set SECRET_KEY, or MOORED_SECRET in the environment."
    return did_you_mean(name, SETTINGS, "{}", beginning=PREFIX) or f" There are {', '.join(SETTINGS)}."
