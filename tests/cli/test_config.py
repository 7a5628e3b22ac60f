"""``moored config``: what is in force, where each value was said, and what is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.cli.conftest import MakeShop
from tests.cli.shop import members, run, run_in, signed_in

from moored.cli.config import DEFAULTS
from moored.flask.config import SETTINGS
from moored.state import State


def settings(done: Result) -> dict[str, tuple[Any, str]]:
    """Value and source of each setting."""
    assert done.exit_code == 0, done.output
    return {each["name"]: (each["value"], each["source"]) for each in members(done)["settings"]}


def test_the_first_that_names_an_url_counts(folder: Path) -> None:
    def url(*more: str, **env: str) -> tuple[Any, str]:
        return settings(run("config", "show", "--json", *more, **env))["MOORED_URL"]

    here = f"sqlite:///{folder}/state/moored/moored.db"
    assert url() == (here, "default")
    (folder / ".env").write_text("# the shop's\nexport MOORED_URL='sqlite:///file.db' # here\n")
    assert url() == ("sqlite:///file.db", "MOORED_URL in .env")
    assert url(MOORED_URL="memory:") == ("memory:", "MOORED_URL in the environment")
    assert url("--url", "sqlite:///given.db", MOORED_URL="memory:") == ("sqlite:///given.db", "--url")
    assert not (folder / "file.db").exists()


def test_options(folder: Path) -> None:
    found = settings(run("config", "show", "--json", "--url", "sqlite:///shop.db?deadline=0.5"))
    assert found["?deadline="] == (0.5, "--url")
    assert found["?synchronous="] == ("full", "default")
    shown = run("config", "show", "--url", "sqlite:///shop.db?deadline=0.5").stdout
    assert "?deadline=     0.5 s" in shown


def test_the_defaults_are_those_of_the_engines(sqlite_url: str, redis_url: str) -> None:
    with State(sqlite_url) as state:
        engine: Any = state.binding.engine
        (found,) = engine._connections.read(1.0, lambda db: db.execute("PRAGMA synchronous").fetchone())
        assert found == {"normal": 1, "full": 2}[DEFAULTS["synchronous"]]
        assert state.binding.policy.deadline == DEFAULTS["deadline"]
    with State(redis_url.partition("?")[0]) as state:
        engine = state.binding.engine
        assert engine._limit == DEFAULTS["max_connections"]
        assert (engine._dialogue._prefix, engine._dialogue._wait) == (DEFAULTS["prefix"], DEFAULTS["wait"])
        assert engine._ask_policy
        assert DEFAULTS["evicting"] == "refuse"


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("MOORED_URL", "MOORED_URL of the app"),
        ("environment", "MOORED_URL in the environment"),
        ("default", "default"),
        ("code", "the app's code"),
    ],
)
def test_where_an_app_got_its_url(
    shop_at: MakeShop, monkeypatch: pytest.MonkeyPatch, folder: Path, how: str, found: str
) -> None:
    from flask import Flask

    from moored.flask import Moored

    if how == "environment":
        monkeypatch.setenv("MOORED_URL", "sqlite:///by-environment.db")
    if how == "code":
        app = Flask("shop", instance_path=str(folder / "instance"))
        Moored(app, "sqlite:///by-code.db")
    else:
        app = shop_at("sqlite:///by-app.db" if how == "MOORED_URL" else None)
    assert settings(run_in(app, "config", "show", "--json"))["MOORED_URL"][1] == found


def test_settings_of_an_app(shop_at: MakeShop) -> None:
    app = shop_at(
        "memory:",
        SECRET_KEY_FALLBACKS=["an older key"],
        MOORED_SESSION_ABSOLUTE=3600,
        MOORED_MERGE={"cart.*": "sum"},
        PERMANENT_SESSION_LIFETIME=5400,
        SESSION_COOKIE_SECURE=True,
    )
    found = settings(run_in(app, "config", "show", "--json"))
    assert set(SETTINGS) < set(found)
    assert found["secret"] == ("set, and 1 more", "SECRET_KEY of the app")
    assert found["MOORED_SESSION_ABSOLUTE"] == (3600, "app.config")
    assert found["MOORED_SESSION_IDLE"] == (5400, "PERMANENT_SESSION_LIFETIME")
    assert found["MOORED_ALONGSIDE"] == (3600, "default")
    assert found["MOORED_MERGE"] == ({"cart.*": "sum"}, "app.config")
    assert found["MOORED_ON_OUTAGE"] == ("refuse", "default")
    assert found["SESSION_COOKIE_SECURE"] == (True, "app.config")
    assert found["SESSION_COOKIE_SAMESITE"] == ("Lax", "default")
    shown = run_in(app, "config", "show").stdout
    for line in ("MOORED_SESSION_ABSOLUTE 1 h app.config", "MOORED_MERGE cart.*: sum app.config"):
        assert line.split() in [row.split() for row in shown.splitlines()]


def test_where_the_secret_is_from(shop_at: MakeShop, sqlite_url: str, folder: Path) -> None:
    def secret(**env: str) -> tuple[Any, str]:
        return settings(run("config", "show", "--json", "--url", sqlite_url, **env))["secret"]

    assert secret() == ("not set", "default")
    signed_in(shop_at(sqlite_url, SECRET_KEY=None), "ann")
    assert secret() == ("made up", f"{folder}/moored.db-secret")
    (folder / ".env").write_text("MOORED_SECRET=something\n")
    assert secret() == ("set", "MOORED_SECRET in .env")
    assert secret(MOORED_SECRET="else") == ("set", "MOORED_SECRET in the environment")


# --- config check ------------------------------------------------------------------------------------


def checked(done: Result, status: int) -> dict[str, tuple[str, str, str]]:
    """Severity, what and cure of each finding, by id."""
    assert done.exit_code == status, done.output
    said = members(done)
    assert set(said) == {"worst", "findings"}
    return {each["id"]: (each["severity"], each["what"], each["cure"]) for each in said["findings"]}


def test_a_configuration_without_mistakes(url: str) -> None:
    found = checked(
        run("config", "check", "--json", "--url", url, MOORED_SECRET="x7" * 4 + "abcdefgh01234567"), 0
    )
    assert {id: severity for id, (severity, _, _) in found.items()} == {
        "MRD-D001": "ok",
        "MRD-D004": "ok",
        "MRD-D007": "ok",
    }
    shown = run("config", "check", "--url", url)
    assert shown.exit_code == 0
    assert "MRD-D007" in shown.stdout


def test_nothing_is_started_to_check(folder: Path) -> None:
    assert run("config", "check", "--url", "sqlite:///shop.db").exit_code == 0
    assert run("config", "check", "--url", "redis://127.0.0.1:1/0").exit_code == 0  # nobody there is asked
    assert not (folder / "shop.db").exists()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("sqlit:///shop.db", "There is no engine for sqlit:"),
        ("sqlite:///shop.db?synchronus=full", "Sqlite: has no option 'synchronus' ["),
        ("redis://localhost/?deadline=never", "The option 'deadline' must be a number of seconds"),
    ],
)
def test_a_url_that_cannot_be(url: str, what: str) -> None:
    severity, said, _ = checked(run("config", "check", "--json", "--url", url), 1)["MRD-D001"]
    assert severity == "error"
    assert said.startswith(what)


def test_names_that_set_nothing(folder: Path) -> None:
    (folder / ".env").write_text("MOORED_SECRETS=x\nMOORED_URL=memory:\n")
    env = {"MOORED_ULR": "memory:", "MOORED_SESSION_IDLE": "60", "MOORED_SECRET_FALLBACKS": "old"}
    severity, what, cure = checked(run("config", "check", "--json", **env), 1)["MRD-D007"]
    assert severity == "warning"
    assert "MOORED_ULR in the environment is unknown" in what
    assert "MOORED_SECRETS in .env is unknown" in what
    assert "MOORED_SESSION_IDLE in the environment is a setting of Flask applications" in what
    assert "MOORED_SECRET_FALLBACKS in the environment is set, and MOORED_SECRET is not" in what
    for part in (
        "Did you mean MOORED_URL?",
        "Did you mean MOORED_SECRET?",
        "Set MOORED_SESSION_IDLE in app.config.",
    ):
        assert part in cure
    assert "MRD-D007" in run("doctor", "--json", **env).stdout


def test_a_weak_secret_is_a_finding() -> None:
    found = checked(run("config", "check", "--json", "--url", "memory:", MOORED_SECRET="short"), 1)
    assert found["MRD-D004"][0] == "error"


def test_settings_of_an_app_that_are_wrong(
    shop_at: MakeShop, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = shop_at(sqlite_url)
    assert checked(run_in(app, "config", "check", "--json"), 0)["MRD-D008"][0] == "ok"
    monkeypatch.setenv("MOORED_SESSION_ABSOLUTE", "60")
    assert checked(run_in(app, "config", "check", "--json"), 1)["MRD-D007"][0] == "warning"
    app.config["MOORED_ALONGSIDE"] = 60
    for command in (("config", "check"), ("doctor",)):
        severity, what, _ = checked(run_in(app, *command, "--json"), 1)["MRD-D008"]
        assert severity == "error"
        assert what.startswith("MOORED_ALONGSIDE changed after Moored(app) had used it")
    app = shop_at(sqlite_url, MOORED_SESSION_ABSOLUTE=60)  # read from the environment by the app itself
    assert checked(run_in(app, "config", "check", "--json"), 0)["MRD-D007"][0] == "ok"
    app.config["MOORED_SESSION_IDLE"] = "soon"
    severity, what, _ = checked(run_in(app, "doctor", "--json"), 1)["MRD-D008"]
    assert severity == "error"
    assert "MOORED_SESSION_IDLE must be a number of seconds" in what


def test_a_setting_that_keeps_the_app_from_starting(folder: Path) -> None:
    (folder / "shop.py").write_text(
        "from flask import Flask\nfrom moored.flask import Moored\n\napp = Flask('shop')\n"
        "app.config['MOORED_SESION_IDLE'] = 60\nMoored(app)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "shop", "moored", "config", "check", "--json"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["id"] == "MRD-D008"
    assert "MOORED_SESION_IDLE" in finding["what"]
    assert "Traceback" not in done.stderr
