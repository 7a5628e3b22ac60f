"""The session cookie in Flask: the host's settings, our defaults, and what browsers reject."""

from __future__ import annotations

import logging
from typing import Any

import flask
import pytest
from tests.frameworks.rig import MakeRig, Rig, cookies, make_app, session

from moored import ConfigurationError
from moored.flask import Moored


def attributes(cookie: str) -> dict[str, str]:
    """The name, and the attributes by their names."""
    first, *others = [part.strip() for part in cookie.split(";")]
    found = {"name": first.partition("=")[0]}
    for part in others:
        name, _, text = part.partition("=")
        found[name] = text
    return found


def set_and_deleted(rig: Rig, base_url: str = "http://localhost") -> tuple[dict[str, str], dict[str, str]]:
    """The attributes with which a cookie is set, and those with which it is deleted."""
    (made,) = cookies(rig.visit(lambda: session().login("ann"), base_url=base_url))
    (gone,) = cookies(rig.visit(lambda: session().clear(), base_url=base_url))
    found = attributes(gone)
    assert found.pop("Max-Age") == "0"
    assert found.pop("Expires") == "Thu, 01 Jan 1970 00:00:00 GMT"
    return attributes(made), found


def test_defaults(rig: Rig) -> None:
    made, gone = set_and_deleted(rig)
    assert made == {"name": "session", "HttpOnly": "", "Path": "/", "SameSite": "Lax"}
    assert gone == made


def test_secure_follows_the_scheme(rig: Rig) -> None:
    made, gone = set_and_deleted(rig, "https://localhost")
    assert made == {"name": "session", "Secure": "", "HttpOnly": "", "Path": "/", "SameSite": "Lax"}
    assert gone == made


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"SESSION_COOKIE_NAME": "sid"}, {"name": "sid"}),
        ({"SESSION_COOKIE_DOMAIN": "example.com"}, {"Domain": "example.com"}),
        ({"SESSION_COOKIE_PATH": "/shop"}, {"Path": "/shop"}),
        ({"APPLICATION_ROOT": "/shop"}, {"Path": "/shop"}),
        ({"SESSION_COOKIE_SECURE": True}, {"Secure": ""}),
        ({"SESSION_COOKIE_HTTPONLY": False}, {"HttpOnly": None}),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, {"SameSite": "Strict"}),
        (
            {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
            {"SameSite": "None", "Secure": ""},
        ),
        (
            {"SESSION_COOKIE_PARTITIONED": True, "SESSION_COOKIE_SECURE": True},
            {"Secure": "", "Partitioned": ""},
        ),
    ],
    ids="-".join,
)
def test_the_hosts_settings_win_and_deletion_repeats_them(
    make_rig: MakeRig, config: dict[str, Any], expected: dict[str, str | None]
) -> None:
    rig = make_rig(**config)
    host = "http://example.com" + (expected.get("Path") or "/")
    defaults = {"name": "session", "HttpOnly": "", "Path": "/", "SameSite": "Lax"}
    wanted = {name: text for name, text in {**defaults, **expected}.items() if text is not None}
    made, gone = set_and_deleted(rig, host)
    assert made == wanted
    assert gone == wanted


def test_settings_made_after_moored_count(rig: Rig) -> None:
    rig.app.config.update(SESSION_COOKIE_NAME="later", SESSION_COOKIE_SAMESITE="Strict")
    made, _ = set_and_deleted(rig)
    assert (made["name"], made["SameSite"]) == ("later", "Strict")


def test_host_prefix_by_one_setting(make_rig: MakeRig) -> None:
    rig = make_rig(SESSION_COOKIE_NAME="__Host-session")
    made, gone = set_and_deleted(rig)
    assert made == {"name": "__Host-session", "Secure": "", "HttpOnly": "", "Path": "/", "SameSite": "Lax"}
    assert gone == made


NOT_SECURE = "that is not Secure: set Secure. [MRD-022]"
HOST_PREFIX = (
    "browsers reject a __Host- cookie unless it is Secure, has the path / and no domain: set these, or"
    " choose another name. [MRD-022]"
)
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"SESSION_COOKIE_SAMESITE": "None"},
        f"browsers reject a cookie with SameSite=None {NOT_SECURE}",
    ),
    (
        {"SESSION_COOKIE_SAMESITE": "sometimes"},
        "a cookie's SameSite is Strict, Lax or None, not 'sometimes'. [MRD-022]",
    ),
    (
        {"SESSION_COOKIE_PARTITIONED": True},
        f"browsers reject a Partitioned cookie {NOT_SECURE}",
    ),
    (
        {"SESSION_COOKIE_NAME": "__Host-s", "SESSION_COOKIE_DOMAIN": "example.com"},
        HOST_PREFIX,
    ),
    (
        {"SESSION_COOKIE_NAME": "__Host-s", "SESSION_COOKIE_PATH": "/shop"},
        HOST_PREFIX,
    ),
    (
        {"SESSION_COOKIE_NAME": "my session"},
        "'my session' cannot be the name of a cookie: use letters, digits, - and _. [MRD-022]",
    ),
    (
        {"SESSION_COOKIE_NAME": ""},
        "'' cannot be the name of a cookie: use letters, digits, - and _. [MRD-022]",
    ),
]


@pytest.mark.parametrize(("config", "message"), REFUSED)
def test_what_browsers_reject_is_refused_at_the_start(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_app(**config)
    assert str(caught.value) == message


def test_settings_that_cannot_be_are_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_app(MOORED_SESION_IDLE=5)
    assert str(caught.value) == (
        "there is no setting MOORED_SESION_IDLE. Did you mean MOORED_SESSION_IDLE? [MRD-022]"
    )
    with pytest.raises(ConfigurationError) as caught:
        make_app(MOORED_ON_OUTAGE="panic")
    assert str(caught.value) == "MOORED_ON_OUTAGE must be refuse or anonymous, not 'panic'. [MRD-022]"


def test_where_state_is_kept_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = flask.Flask("shop")
    with caplog.at_level(logging.INFO, "moored"):
        Moored(app, "redis://user:swordfish@localhost:6379/0")
    assert "The state of shop is kept at redis://localhost:6379/0" in caplog.text
    assert "swordfish" not in caplog.text
