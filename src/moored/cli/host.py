"""Which application is in a folder, and the lines that connect it to Moored."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

# Where Flask itself looks for an application, and where projects usually keep it.
USUAL = (
    "app.py",
    "wsgi.py",
    "main.py",
    "*.py",
    "*/__init__.py",
    "*/app.py",
    "src/*/__init__.py",
    "src/*/app.py",
)
LARGEST = 1024 * 1024  # bytes of a file that is looked at


class Host(Struct, frozen=True):
    """What was found: in which file and line, what to do there, and how ``.env`` is read."""

    name: str
    what: str
    code: tuple[str, ...] = ()
    file: str = ""
    environment: str = ""

    def members(self) -> dict[str, Any]:
        """What ``--json`` says of it."""
        return {"host": self.name, "file": self.file or None, "add": list(self.code)}


class Found(Struct, frozen=True):
    """What a Python file says about Flask; ``line`` is where the application is made."""

    app: str = ""
    line: int = 0
    moored: bool = False
    drop_in_for: str = ""  # the import of Flask-Session


def find(folder: Path) -> Host:
    """The host in the folder."""
    seen: set[Path] = set()
    for pattern in USUAL:
        for path in sorted(folder.glob(pattern)):
            if path not in seen and (found := look(path)):
                return _flask(path.relative_to(folder).as_posix(), found)
            seen.add(path)
    return Host(
        "python",
        "No Flask application was found in this folder. In any Python program:",
        ("import moored", "", "state = moored.State()"),
        environment=_environment(flask=False),
    )


def look(path: Path) -> Found | None:
    """What a file says about Flask, if an application is made there."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    app, line, moored, drop_in_for = "", 0, False, ""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=ast.Call(func=made)) if (
                _is_flask(made) and not app
            ):
                app, line = name, node.end_lineno or node.lineno
            case ast.AnnAssign(target=ast.Name(name), value=ast.Call(func=made)) if (
                _is_flask(made) and not app
            ):
                app, line = name, node.end_lineno or node.lineno
            case ast.ImportFrom(module="moored.flask"):
                moored = True
            case ast.ImportFrom(module="flask_session"):
                drop_in_for = ast.unparse(node)
    return Found(app, line, moored, drop_in_for) if app else None


def _is_flask(made: ast.expr) -> bool:
    match made:
        case ast.Name("Flask") | ast.Attribute(attr="Flask"):
            return True
    return False


def _flask(file: str, found: Found) -> Host:
    environment = _environment(flask=True)
    if found.moored:
        return Host("flask", f"{file} uses Moored already.", file=file, environment=environment)
    if found.drop_in_for:
        return Host(
            "flask",
            f"In {file}, put this in place of `{found.drop_in_for}`:",
            ("from moored.flask import Session",),
            file,
            environment,
        )
    return Host(
        "flask",
        f"In {file}, import this, and write the second line below line {found.line}, where the app is made:",
        ("from moored.flask import Moored", f"Moored({found.app})"),
        file,
        environment,
    )


def _environment(*, flask: bool) -> str:
    source = "`set -a; . ./.env; set +a` in the shell that starts the application"
    if flask and find_spec("dotenv") is not None:
        return f"`flask run` reads .env. For another server: {source}."
    if flask:
        return f"`flask run` reads .env once python-dotenv is installed. Without it: {source}."
    return f"Have .env read: {source}."
