"""``moored init``: what it writes, what it leaves alone, and what it tells to add."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.shop import members, run

from moored.cli import env_file

APP = "from flask import Flask\n\nshop = Flask(__name__)\n"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_folder(folder: Path) -> None:
    done = run("init")
    assert done.exit_code == 0
    written = env_file.values(folder)
    assert set(written) == {"MOORED_URL", "MOORED_SECRET"}
    assert written["MOORED_URL"] == f"sqlite:///{folder}/instance/moored.db"
    assert mode(folder / ".env") == 0o600
    assert (folder / ".gitignore").read_text() == ".env\ninstance/\n"
    assert "Wrote MOORED_URL and MOORED_SECRET to .env." in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == [".env", ".gitignore"]


def test_again(folder: Path) -> None:
    run("init")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = run("init")
    assert done.exit_code == 0
    assert "Wrote nothing" in done.stdout
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_secrets_differ(folder: Path) -> None:
    run("init")
    first = env_file.values(folder)["MOORED_SECRET"]
    (folder / ".env").unlink()
    run("init")
    assert env_file.values(folder)["MOORED_SECRET"] != first


def test_what_is_there_stays(folder: Path) -> None:
    (folder / ".env").write_text("DEBUG=1\nMOORED_SECRET='mine, and long enough'")
    (folder / ".gitignore").write_text("*.pyc\n/.env\ninstance")
    done = run("init", "--url", "redis://localhost/3?deadline=1&wait=0")
    assert done.exit_code == 0
    assert env_file.values(folder) == {
        "DEBUG": "1",
        "MOORED_SECRET": "mine, and long enough",
        "MOORED_URL": "redis://localhost/3?deadline=1&wait=0",
    }
    assert (folder / ".env").read_text().startswith("DEBUG=1\nMOORED_SECRET='mine, and long enough'\n#")
    assert mode(folder / ".env") == 0o600
    assert (folder / ".gitignore").read_text() == "*.pyc\n/.env\ninstance"


def test_the_file_is_understood_by_a_shell(folder: Path) -> None:
    url = "redis://localhost/3?deadline=1&prefix=it's $HOME #1:".replace("#", "%23")
    assert run("init", "--url", url).exit_code == 0
    told = subprocess.run(
        ["sh", "-c", '. ./.env; printf "%s\\n" "$MOORED_URL"'],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == f"{url}\n"
    assert env_file.values(folder)["MOORED_URL"] == url


@pytest.mark.parametrize("url", ["sqlit:///shop.db", "sqlite:///shop.db?deadlin=1"])
def test_a_wrong_url_is_not_written(folder: Path, url: str) -> None:
    assert run("init", "--url", url).exit_code == 2
    assert list(folder.iterdir()) == []


def test_another_url_is_refused(folder: Path) -> None:
    run("init", "--url", "memory:")
    before = (folder / ".env").read_text()
    done = run("init", "--url", "redis://localhost", "--json")
    assert done.exit_code == 4
    assert members(done)["error"] == {"code": None, "message": done.stderr[len("Error: ") : -1]}
    assert (folder / ".env").read_text() == before
    assert run("init", "--url", "memory:").exit_code == 0


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / ".gitignore").mkdir()
    done = run("init")
    assert done.exit_code == 4
    assert done.stderr.startswith("Error: ")
    assert ".gitignore: Is a directory." in done.stderr


# --- What it tells to add ---------------------------------------------------------------------


IN_FACTORY = "import flask\n\ndef create_app():\n    shop: flask.Flask = flask.Flask('x')\n    return shop\n"
FLASK_SESSION = "from flask_session import Session\n"
MOORED = ["from moored.flask import Moored", "Moored(shop)"]


@pytest.mark.parametrize(
    ("files", "found", "add"),
    [
        ({}, None, ["import moored", "", "state = moored.State()"]),
        ({"app.py": APP}, "app.py", MOORED),
        ({"wsgi.py": APP}, "wsgi.py", MOORED),
        ({"src/shop/__init__.py": APP}, "src/shop/__init__.py", MOORED),
        ({"app.py": IN_FACTORY}, "app.py", MOORED),
        ({"app.py": APP + "from moored.flask import Moored\n"}, "app.py", []),
        ({"app.py": FLASK_SESSION + APP}, "app.py", ["from moored.flask import Session"]),
        ({"app.py": "this is no Python", "shop.py": APP}, "shop.py", MOORED),
    ],
)
def test_the_host(folder: Path, files: dict[str, str], found: str | None, add: list[str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    said = members(run("init", "--json"))
    assert (said["file"], said["add"]) == (found, add)
    assert said["host"] == ("flask" if found else "python")
    shown = run("init").stdout
    for line in add:
        assert f"    {line}".rstrip() in shown.splitlines()


def test_what_it_wrote_serves_the_app(folder: Path) -> None:
    """Init, add the lines, load .env: the app uses what was written."""
    (folder / "app.py").write_text(APP)
    add = members(run("init", "--json"))["add"]
    (folder / "app.py").write_text(f"{add[0]}\n{APP}{add[1]}\n")
    line = 'set -a; . ./.env; set +a; exec "$0" -m flask moored config show --json'
    told = subprocess.run(
        ["sh", "-c", line, sys.executable],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert '"MOORED_URL in the environment"' in told.stdout
    assert '"MOORED_SECRET in the environment"' in told.stdout
