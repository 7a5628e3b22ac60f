"""An application with sessions, and the commands that look at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from flask import Flask, session
from flask.testing import FlaskClient

from moored.cli.program import program
from moored.flask import Moored
from moored.flask.cli import group

SECRET = "a secret of these tests, long enough"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NOWHERE = "aaaaaaaaaaaaaaaa"  # a selector that no session has


def make_shop(url: str | None, **config: Any) -> Flask:
    """An app in which anybody can sign in as anybody."""
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": SECRET, "MOORED_URL": url} | config)
    Moored(app)

    @app.get("/in/<who>")
    def sign_in(who: str) -> str:
        session["user_id"] = who
        return ""

    @app.get("/out")
    def sign_out() -> str:
        session.clear()
        return ""

    @app.get("/visit")
    def visit() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return ""

    @app.get("/who")
    def who_is_it() -> str:
        return str(session.get("user_id", "nobody"))

    return app


def signed_in(app: Flask, who: str, agent: str = FIREFOX) -> FlaskClient:
    """A browser in which ``who`` is signed in."""
    client = app.test_client()
    assert client.get(f"/in/{who}", headers={"User-Agent": agent}).status_code == 200
    return client


def who(client: FlaskClient) -> str:
    """Who the browser is, to the app."""
    return client.get("/who").text


def run(*words: str, **env: str) -> Result:
    """``moored …``, in this process."""
    return CliRunner().invoke(program, words, env=env)


def run_in(app: Flask, *words: str) -> Result:
    """``flask moored …`` for an app, in this process."""
    return app.test_cli_runner().invoke(group, words)


def members(result: Result) -> dict[str, Any]:
    """What a command said in JSON, and nothing else."""
    said = json.loads(result.stdout)
    assert isinstance(said, dict)
    assert said.pop("version") == 1
    return said


def process(*words: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """``python -m moored …`` in a process of its own."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("MOORED_", "NO_COLOR"))
    }
    return subprocess.run(
        [sys.executable, "-m", "moored", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**clean, "XDG_STATE_HOME": str(folder), **env},
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
