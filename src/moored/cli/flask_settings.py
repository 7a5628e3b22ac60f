"""The settings of a Flask application that concern its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask

from moored.cli.config import DEFAULT, Setting
from moored.flask.adoption import adopting_store
from moored.flask.config import LIFETIME, SETTINGS, values
from moored.flask.values import milliseconds, milliseconds_or_none

HERE = "app.config"
COOKIE = ("NAME", "DOMAIN", "PATH", "SECURE", "HTTPONLY", "SAMESITE", "PARTITIONED")
BYTES = {"MOORED_SESSION_MAX_BYTES"}


def settings(app: Flask) -> Iterator[Setting]:
    """Moored's own, and Flask's about the session cookie."""
    found = values(app.config)
    for name, setting in SETTINGS.items():
        if name == "MOORED_URL":
            continue
        value: Any = found[name]
        source = HERE if app.config.get(name) is not None else DEFAULT
        if name == "MOORED_MERGE":
            value = dict(app.config.get(name) or {})
        if name == "MOORED_ADOPT" and source == DEFAULT and adopting_store(app) is not None:
            value, source = ["flask-session"], "moored.flask.Session"
        if name == "MOORED_FRESH_ON_LOGIN":
            value = sorted(value)
        if name == "MOORED_SESSION_IDLE" and value is None:
            value, source = milliseconds(app.config[LIFETIME]), LIFETIME
        if setting.check in (milliseconds, milliseconds_or_none):
            yield Setting(name, value / 1000, source, "s")
        else:
            yield Setting(name, value, source, "bytes" if name in BYTES else "")
    yield Setting(LIFETIME, milliseconds(app.config[LIFETIME]) / 1000, _source(app, LIFETIME), "s")
    yield _own(app, "SESSION_REFRESH_EACH_REQUEST")
    for name in COOKIE:
        yield _own(app, f"SESSION_COOKIE_{name}")


def _own(app: Flask, name: str) -> Setting:
    value = app.config[name]
    if name == "SESSION_COOKIE_SAMESITE" and value is None:
        value = "Lax"
    return Setting(name, value, _source(app, name))


def _source(app: Flask, name: str) -> str:
    usual = Flask.default_config.get(name)
    return DEFAULT if app.config[name] == usual else HERE
