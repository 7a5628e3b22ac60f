"""What is said when an application starts: of secrets that can be guessed, and of names that set nothing."""

from __future__ import annotations

import logging
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from tests.docs.pages import name_of, pages

from moored.errors import ConfigurationError, MisuseError, TooLargeError
from moored.flask import Moored, Session
from moored.flask.extension import mooring
from moored.flask.testing import in_memory
from moored.web.weak_secret import PUBLISHED, SHORTEST_STRONG, fault

GOOD = "a secret of these tests"
WEAK = "can be guessed: it has fewer than 16 bytes."


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An environment that says nothing about Moored, and a log that is looked at."""
    for name in [name for name in os.environ if name.startswith(("MOORED_", "FLASK_"))]:
        monkeypatch.delenv(name)
    caplog.set_level(logging.WARNING, "moored")


def shop(**config: Any) -> Flask:
    app = Flask("shop")
    app.config.update({"SECRET_KEY": GOOD, "MOORED_URL": "memory:"} | config)
    Moored(app)

    @app.get("/")
    def visit() -> str:
        session["n"] = 1
        return ""

    return app


def served(app: Flask) -> None:
    """Two requests that touch the session."""
    for _ in range(2):
        assert app.test_client().get("/").status_code == 200
    mooring(app).state.close()


# --- Secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("dev", "it has fewer than 16 bytes"),
        (b"123456789abcdef", "it has fewer than 16 bytes"),
        ("01" * 20, "it repeats a few characters"),
        ("xy" * 20, "it repeats a few characters"),
        ("0123456789abcdef", ""),
        (b"fedcba9876543210", ""),
        ("üüüüääöö", "it repeats a few characters"),  # 16 bytes
        (GOOD, ""),
        ("changeme-changeme-changeme", "it repeats a few characters"),
        ("you-will-never-guess", "it stands in a tutorial"),
        (b"super-secret-key-change-me", "it stands in a tutorial"),
    ],
)
def test_which_secrets_are_weak_and_why(secret: str | bytes, why: str) -> None:
    assert fault(secret) == why


def test_published_secrets_are_long_enough_to_need_the_list() -> None:
    assert all(len(known) >= SHORTEST_STRONG and fault(known) for known in PUBLISHED)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_secrets_in_our_own_documentation_are_known(page: Path) -> None:
    for found in re.findall(r"(?:secret_key|SECRET_KEY\"\]) = \"([^\"]+)\"", page.read_text()):
        assert fault(found)


def test_a_weak_secret_is_told_once_when_the_app_starts(caplog: pytest.LogCaptureFixture) -> None:
    app = shop(SECRET_KEY="my-weak-key")
    (said,) = caplog.messages
    assert said.startswith(f"The secret (SECRET_KEY of the app) {WEAK}")
    assert "Set another of at least 16 random bytes" in said
    assert "my-weak-key" not in caplog.text
    served(app)
    assert len(caplog.messages) == 1


def test_one_in_the_environment_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOORED_SECRET", "my-weak-key")
    shop()
    assert caplog.messages == []  # SECRET_KEY goes before it
    shop(SECRET_KEY=None)
    (said,) = caplog.messages
    assert said.startswith(f"The secret (MOORED_SECRET in the environment) {WEAK}")
    assert "my-weak-key" not in caplog.text


@pytest.mark.parametrize("earlier", [["dev"], ("dev",), {"dev"}], ids=["list", "tuple", "set"])
def test_an_earlier_one_counts_too(caplog: pytest.LogCaptureFixture, earlier: Any) -> None:
    served(shop(SECRET_KEY_FALLBACKS=earlier))
    (said,) = caplog.messages
    assert said.startswith(f"Another secret that is honoured (SECRET_KEY_FALLBACKS of the app) {WEAK}")


def test_those_in_the_environment_beside_it_count_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOORED_SECRET", GOOD)
    monkeypatch.setenv("MOORED_SECRET_NEXT", "dev")
    shop()
    (said,) = caplog.messages
    assert said.startswith(f"Another secret that is honoured (MOORED_SECRET_NEXT in the environment) {WEAK}")


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"SECRET_KEY_FALLBACKS": GOOD}, "of a single text, every letter would be one"),
        ({"SECRET_KEY_FALLBACKS": GOOD.encode()}, "of a single text, every letter would be one"),
        ({"SECRET_KEY_FALLBACKS": iter([GOOD])}, "must be a list of keys, not list_iterator"),
        ({"SECRET_KEY_FALLBACKS": 5}, "must be a list of keys, not int"),
        ({"SECRET_KEY_FALLBACKS": [GOOD, 5]}, "FALLBACKS must be a list of text or bytes, not int"),
        ({"SECRET_KEY": 5}, "SECRET_KEY must be text or bytes, not int"),
    ],
)
def test_what_is_no_secret_and_no_list_of_them_is_refused_at_once_and_later(
    config: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigurationError, match=what):
        shop(**config)
    app = shop(TESTING=True)
    app.config.update(config)
    with pytest.raises(ConfigurationError, match=what):
        app.test_client().get("/")


def test_one_that_is_set_after_the_start_is_told_when_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    app = shop(SECRET_KEY=None)
    app.secret_key = "dev"
    assert caplog.messages == []
    served(app)
    (said,) = caplog.messages
    assert WEAK in said


@pytest.mark.parametrize("mode", ["TESTING", "DEBUG"])
def test_nothing_is_said_in_debug_mode_and_in_tests(caplog: pytest.LogCaptureFixture, mode: str) -> None:
    served(shop(SECRET_KEY="dev", **{mode: True}))
    assert caplog.messages == []


def test_good_secrets_are_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    served(shop(SECRET_KEY_FALLBACKS=["another secret of these tests"]))
    assert caplog.messages == []


# --- Variables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "what", "cure"),
    [
        ("MOORED_ULR", "is unknown, and sets nothing.", "Did you mean MOORED_URL?"),
        ("MOORED_COLOUR", "is unknown, and sets nothing.", "Take MOORED_COLOUR out."),
        (
            "MOORED_SESSION_IDLE",
            "is a setting of Flask applications, and not read from there.",
            "Set MOORED_SESSION_IDLE in app.config.",
        ),
        (
            "MOORED_SECRET_NEXT",
            "is set, and MOORED_SECRET is not: it counts for nothing.",
            "Set MOORED_SECRET.",
        ),
    ],
)
def test_a_variable_that_sets_nothing_is_told_when_the_app_starts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, name: str, what: str, cure: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    served(shop())
    assert caplog.messages == [f"{name} in the environment {what} {cure}"]
    assert "hunter2" not in caplog.text


def test_variables_that_are_read_are_not_spoken_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MOORED_SECRET", "MOORED_SECRET_NEXT", "MOORED_SECRET_FALLBACKS"):
        monkeypatch.setenv(name, f"{GOOD} {name}")
    monkeypatch.setenv("MOORED_URL", "memory:")
    monkeypatch.setenv("MOORED_PROVE_REDIS", "redis://localhost")
    monkeypatch.setenv("MOORED_SESSION_IDLE", "60")
    served(shop(MOORED_SESSION_IDLE=int(os.environ["MOORED_SESSION_IDLE"])))
    assert caplog.messages == []


# --- Settings that are made after Moored(app) -----------------------------------------------------------


@pytest.mark.parametrize("store", ["engine", "signed-cookie", "adopting"])
def test_those_about_sessions_count_as_they_are_when_the_first_request_comes(store: str) -> None:
    adopted = {"MOORED_ADOPT": ["flask-cookie"], "MOORED_ALONGSIDE": 0}
    app = shop(**(adopted if store == "adopting" else {"MOORED_SESSION_STORE": store}))
    app.permanent_session_lifetime = timedelta(minutes=5)
    app.config.update(
        MOORED_SESSION_MAX_FIELDS=1,
        MOORED_ON_OUTAGE="anonymous",
        MOORED_LOGIN_CROSS_SITE="refuse",
        MOORED_IDENTITY_FIELDS=["member"],
        MOORED_MERGE={"cart.*": "sum"},
        SESSION_REFRESH_EACH_REQUEST=False,
        SESSION_COOKIE_NAME="of_this_shop",
        TESTING=True,
    )

    @app.get("/full")
    def fill() -> str:
        session.update(m=1, n=1)
        return ""

    @app.get("/stay")
    def stay() -> str:
        session.permanent = True
        return ""

    client = app.test_client()
    cookie = client.get("/stay").headers["Set-Cookie"]
    assert cookie.startswith("of_this_shop=")
    assert "Max-Age=300;" in cookie
    with pytest.raises(TooLargeError, match="3 fields, 1 are allowed"):
        client.get("/full")
    host = mooring(app).interface.host
    assert (host.on_outage, host.cross_site, host.renews) == ("anonymous", "refuse", False)
    assert host.settings.identity == ("member",)
    assert host.settings.merge.of(("cart", "book")) == "sum"
    assert host.store.settings is host.settings  # type: ignore[attr-defined]
    mooring(app).state.close()


def test_one_about_sessions_that_cannot_be_is_refused_at_the_first_request() -> None:
    app = shop(TESTING=True)
    app.config["MOORED_SESSION_IDLE"] = "soon"
    with pytest.raises(ConfigurationError, match="MOORED_SESSION_IDLE must be a number of seconds"):
        app.test_client().get("/")


@pytest.mark.parametrize(
    ("late", "named"),
    [
        ({"MOORED_SESSION_STORE": "signed-cookie"}, "MOORED_SESSION_STORE changed"),
        ({"MOORED_ADOPT": ["flask-cookie"]}, "MOORED_ADOPT changed"),
        ({"MOORED_ALONGSIDE": 60, "MOORED_URL": None}, "MOORED_URL, MOORED_ALONGSIDE changed"),
    ],
    ids=["store", "adopt", "several"],
)
def test_those_that_moored_has_used_are_refused_at_the_first_request(
    late: dict[str, Any], named: str
) -> None:
    app = shop(TESTING=True)
    app.config.update(late)
    with pytest.raises(ConfigurationError, match=f"^{named} after Moored"):
        app.test_client().get("/")


def test_a_test_in_memory_reads_them_anew() -> None:
    app = shop(TESTING=True)
    app.config["MOORED_SESSION_STORE"] = "signed-cookie"
    with in_memory(app):
        app.test_client().get("/")


def test_a_list_that_is_added_to_counts_as_changed() -> None:
    app = shop(TESTING=True, MOORED_ADOPT=["flask-cookie"])
    app.config["MOORED_ADOPT"].append("flask-session")
    with pytest.raises(ConfigurationError, match="MOORED_ADOPT changed"):
        app.test_client().get("/")


@pytest.mark.parametrize("kind", [Session, Moored])
@pytest.mark.parametrize("late", [{"SESSION_PERMANENT": False}, {"SESSION_FILE_DIR": "sessions"}])
def test_what_flask_session_was_told_too_late_is_refused(
    kind: type[Moored], late: dict[str, Any], tmp_path: Path
) -> None:
    app = Flask("shop")
    app.config.update(SECRET_KEY=GOOD, MOORED_URL="memory:", MOORED_ADOPT=["flask-session"], TESTING=True)
    app.config.update(SESSION_TYPE="filesystem", SESSION_FILE_DIR=str(tmp_path))
    kind(app)
    app.config.update(late)
    with pytest.raises(ConfigurationError, match=f"{next(iter(late))} changed"):
        app.test_client().get("/")
    mooring(app).state.close()


def test_settings_made_again_as_they_are_are_not_refused() -> None:
    app = shop(TESTING=True, MOORED_ADOPT=["flask-cookie"])
    app.config.update(MOORED_ADOPT=["flask-cookie"], MOORED_URL="memory:")
    app.test_client().get("/")
    app.config["MOORED_ADOPT"] = []  # nobody looks any more
    app.test_client().get("/")


def test_a_second_moored_is_refused_before_its_state_is_made() -> None:
    app = shop()
    with pytest.raises(MisuseError, match="has Moored already"):
        Moored(app, "sqlit:///of no engine")
