"""Settings of the wrong type, cookies that browsers reject, secrets that are missing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, session
from flask_session import Session as FlaskSession
from tests.docs.bad_input import Ground, Row, row
from tests.docs.site import Site
from tests.docs.unprivileged import unprivileged

from moored.flask import Moored, Session
from moored.flask.config import SETTINGS

WRONG: dict[str, Any] = {
    "MOORED_URL": 6379,
    "MOORED_SESSION_STORE": "cookie",
    "MOORED_ADOPT": ["django"],
    "MOORED_ALONGSIDE": "an hour",
    "MOORED_ADOPT_PICKLE": "yes",
    "MOORED_SESSION_IDLE": "an hour",
    "MOORED_SESSION_ABSOLUTE": -5,
    "MOORED_SESSION_MAX_BYTES": "2 MB",
    "MOORED_SESSION_MAX_FIELDS": 0,
    "MOORED_SESSION_MAX_DEPTH": 1000,
    "MOORED_SESSIONS_PER_SUBJECT": True,
    "MOORED_IDENTITY_FIELDS": "user_id",
    "MOORED_FRESH_ON_LOGIN": 5,
    "MOORED_MERGE": ["cart"],
    "MOORED_ON_OUTAGE": "ignore",
    "MOORED_LOGIN_CROSS_SITE": False,
}
assert WRONG.keys() == SETTINGS.keys()

CONFIGS: dict[str, dict[str, Any]] = {
    **{f"type-{name}": {name: value} for name, value in WRONG.items()},
    "value-misspelt": {"MOORED_SESSION_STORE": "signed_cookie"},
    "value-in-list-misspelt": {"MOORED_ADOPT": ["flask-sesion"]},
    "setting-misspelt": {"MOORED_SESION_IDLE": 60},
    "setting-unknown": {"MOORED_COLOUR": "red"},
    "setting-secret": {"MOORED_SECRET": "x" * 32},
    "setting-lifetime": {"PERMANENT_SESSION_LIFETIME": "a day"},
    "setting-lifetime-zero": {"PERMANENT_SESSION_LIFETIME": 0},
    "setting-switch": {"SESSION_COOKIE_SECURE": "False"},
    "merge-unknown-rule": {"MOORED_MERGE": {"cart": "summ"}},
    "merge-half-a-key": {"MOORED_MERGE": {"cart*": "sum"}},
    "merge-empty-key": {"MOORED_MERGE": {"cart..n": "sum"}},
    "secret-type": {"SECRET_KEY": 12345},
    "secret-fallbacks": {"SECRET_KEY_FALLBACKS": "an old secret"},
    "secret-fallbacks-type": {"SECRET_KEY_FALLBACKS": ["an old secret", 12345]},
    "cookie-name": {"SESSION_COOKIE_NAME": "my session"},
    "cookie-name-type": {"SESSION_COOKIE_NAME": 5},
    "cookie-samesite": {"SESSION_COOKIE_SAMESITE": "Loose"},
    "cookie-samesite-misspelt": {"SESSION_COOKIE_SAMESITE": "stricte"},
    "cookie-samesite-none": {"SESSION_COOKIE_SAMESITE": "None"},
    "cookie-partitioned": {"SESSION_COOKIE_PARTITIONED": True},
    "cookie-domain": {"SESSION_COOKIE_DOMAIN": "https://example.com/"},
    "cookie-path": {"SESSION_COOKIE_PATH": "shop"},
    "cookie-host-domain": {"SESSION_COOKIE_NAME": "__Host-id", "SESSION_COOKIE_DOMAIN": "example.com"},
    "cookie-host-path": {"SESSION_COOKIE_NAME": "__Host-id", "SESSION_COOKIE_PATH": "/shop"},
}


def _app(config: dict[str, Any]) -> Flask:
    app = Flask("shop")
    app.config.update({"SECRET_KEY": "a secret of this site's own", "MOORED_URL": "memory:"})
    app.config.update(config)
    return app


def _tried(config: dict[str, Any]) -> Row:
    return lambda ground: ground.refusal(lambda: Moored(_app(config)))


for _id, _config in CONFIGS.items():
    row(_id)(_tried(_config))


@row("setting-late")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.app.config["MOORED_SESSION_STORE"] = "signed-cookie"
    answer = site.client.get("/")
    assert (answer.status_code, b"MOORED" in answer.data) == (500, False)
    site.app.testing = True
    return "at the first request: " + ground.refusal(lambda: site.client.get("/"))


@row("setting-late-of-sessions")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.app.config["MOORED_SESSION_MAX_FIELDS"] = 20
    assert site.client.get("/add").status_code == 200
    assert site.app.extensions["moored"].interface.host.settings.most == 20
    return "counts, if it is set before the first request"


@row("setting-late-type")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.app.config["MOORED_SESSION_IDLE"] = "an hour"
    site.app.testing = True
    return "at the first request: " + ground.refusal(lambda: site.client.get("/"))


def _variable(name: str) -> Row:
    def attempt(ground: Ground) -> str:
        ground.closing(lambda: os.environ.pop(name))
        os.environ[name] = "60"
        Moored(_app({}))
        return f"counts for nothing; log, when the app starts: {ground.logged()}"

    return attempt


row("variable-misspelt")(_variable("MOORED_ULR"))
row("variable-is-setting")(_variable("MOORED_SESSION_IDLE"))


@row("cookie-secure-prefix")
def _(ground: Ground) -> str:
    site = Site(ground, SESSION_COOKIE_NAME="__Secure-id")
    assert "; Secure;" in site.client.get("/add").headers["Set-Cookie"]
    return "accepted; the cookie is sent with `Secure`"


@row("moored-twice")
def _(ground: Ground) -> str:
    app = _app({})
    Moored(app)
    return ground.refusal(lambda: Moored(app))


def _session_type(name: str) -> Row:
    return lambda ground: ground.refusal(lambda: Session(_app({"MOORED_URL": None, "SESSION_TYPE": name})))


for _name in ("sqlalchemy", "memcached", "mongodb", "dynamodb", "reddis", "toaster"):
    row(f"drop-in-{_name}")(_session_type(_name))


@row("drop-in-redis-url")
def _(ground: Ground) -> str:
    lent = {"SESSION_TYPE": "redis", "SESSION_REDIS": "redis://localhost"}
    to_redis = ground.refusal(lambda: Session(_app({**lent, "MOORED_URL": None})))
    from_redis = ground.refusal(lambda: Session(_app(lent)))  # to MOORED_URL; what is there is adopted
    assert to_redis == from_redis
    return to_redis


@row("drop-in-pickles")
def _(ground: Ground) -> str:
    config = {"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": str(ground.folder / "sessions")}
    before = _app(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        FlaskSession(before)

    @before.get("/add")
    def add() -> str:
        session["cart"] = ["book"]
        return ""

    before.test_client().get("/add")
    return ground.refusal(lambda: Session(_app(config)))


@row("adopt-mongodb")
def _(ground: Ground) -> str:
    config = {"SESSION_TYPE": "mongodb", "MOORED_ADOPT": ["flask-session"]}
    return ground.refusal(lambda: Session(_app(config)))


@row("adopt-to-cookies")
def _(ground: Ground) -> str:
    config = {"MOORED_SESSION_STORE": "signed-cookie", "MOORED_ADOPT": ["flask-cookie"]}
    return ground.refusal(lambda: Moored(_app(config)))


# --- Secrets: looked for when a session is first touched, because they may be set after Moored(app) ---------


def _touch(ground: Ground, url: str, secret: Any) -> Callable[[], object]:
    site = Site(ground, url, SECRET_KEY=secret, TESTING=True)
    return lambda: site.client.get("/")


@row("secret-none-on-redis")
def _(ground: Ground) -> str:
    site = Site(ground, ground.url("redis"), SECRET_KEY=None)
    assert site.client.get("/plain").status_code == 200
    answer = site.client.get("/")
    assert (answer.status_code, b"secret" in answer.data) == (500, False)
    site.app.testing = True
    return "when a session is first touched: " + ground.refusal(lambda: site.client.get("/"))


@row("secret-none-on-sqlite")
def _(ground: Ground) -> str:
    site = Site(ground, ground.url("sqlite"), SECRET_KEY=None)
    site.client.get("/add")
    log = ground.logged()
    again = Site(ground, ground.url("sqlite"), SECRET_KEY=None)
    assert again.send(site.cookie).json == {"cart": ["book"]}
    assert (ground.folder / "shop.db-secret").stat().st_mode & 0o777 == 0o600
    return f"one is made, once, in the file `shop.db-secret` of mode 0600; log: {log}"


@row("secret-weak")
def _(ground: Ground) -> str:
    site = Site(ground, SECRET_KEY="dev")
    log = ground.logged()
    assert site.client.get("/add").status_code == 200
    assert ground.logged() == ""
    Site(ground, SECRET_KEY="dev", TESTING=True)
    assert ground.logged() == ""
    return f"served; log, once, when the app starts: {log}"


def _secret_file(ground: Ground, content: bytes) -> Path:
    path = ground.folder / "shop.db-secret"
    path.write_bytes(content)
    return path


@row("secret-file-empty")
def _(ground: Ground) -> str:
    _secret_file(ground, b"")
    return ground.refusal(_touch(ground, ground.url("sqlite"), None))


@row("secret-file-binary")
def _(ground: Ground) -> str:
    _secret_file(ground, os.urandom(32) + b"\xff")
    return ground.refusal(_touch(ground, ground.url("sqlite"), None))


@row("secret-file-unreadable")
def _(ground: Ground) -> str:
    touch = _touch(ground, ground.url("sqlite"), None)
    Site(ground).client.get("/add")  # loads what may be out of reach of somebody else
    _secret_file(ground, b"x" * 43).chmod(0)
    with unprivileged(ground.folder):
        return ground.refusal(touch)
