"""Flask's own published tests, with Moored in every app: its sdist ships them.

What is collected, run and left out stands in docs/frameworks-tests.md; ``LEFT_OUT`` is checked
against it and against what really happens, so that neither can go stale.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "frameworks-tests.md"
SHARE = 0.95  # of the tests that use our interface


class Left(NamedTuple):
    """Why a test is left out: the expectation that it fails on, as pytest reports it."""

    fails_on: str
    reason: str


EMPTY = "An emptied session keeps its cookie."
LAX = "SameSite is Lax where nothing is set."
NULL = "Without a key, one is made up where one host has the state to itself."
RENEWED = "A cookie is sent again when it is due, a twentieth of its lifetime apart."
UNTOUCHED = "A request that does not touch its session gets no header for it."
LEFT_OUT = {
    "tests/test_basic.py::test_session_using_session_settings": Left('rv.headers["set-cookie"]', EMPTY),
    "tests/test_basic.py::test_session_using_samesite_attribute": Left("SESSION_COOKIE_SAMESITE", LAX),
    "tests/test_basic.py::test_missing_session": Left("DID NOT RAISE RuntimeError", NULL),
    "tests/test_basic.py::test_session_cookie_setting": Left("expect_header", RENEWED),
    "tests/test_basic.py::test_session_refresh_vary": Left('rv.headers["Vary"] == "Cookie"', UNTOUCHED),
    "tests/test_testing.py::test_session_transactions_no_null_sessions": Left(
        "DID NOT RAISE RuntimeError", NULL
    ),
}


def flask_source() -> Path:
    """The unpacked sdist of the Flask that is installed; fetched once."""
    release = version("flask")
    folder = ROOT / ".cache" / f"flask-{release}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        fetch += ["--no-binary", "flask", "-d", draft, f"flask=={release}"]
        done = subprocess.run(fetch, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"Flask's sdist, which has its tests, could not be fetched:\n{done.stderr}")
        (archive,) = Path(draft).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(draft, filter="data")
        with suppress(OSError):  # another process was first
            (Path(draft) / folder.name).rename(folder)
    return folder


def run(url: str, outcomes: Path, *tests: str, inject: bool = True) -> dict[str, dict[str, Any]]:
    """What became of Flask's tests, by name."""
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith(("PYTEST", "MOORED"))},
        "MOORED_URL": url,
        "MOORED_INJECT": "yes" if inject else "no",
        "MOORED_OUTCOMES": str(outcomes),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(Path(__file__).parent)]),
    }
    quiet = ["-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "flask_own_plugin", *quiet, *(tests or ["tests"])],
        cwd=flask_source(),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr  # 1: some failed
    found = json.loads(outcomes.read_text())
    assert isinstance(found, dict)
    return found


def failing(outcomes: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, found in outcomes.items() if found["outcome"] != "passed"}


def check_left_out(outcomes: dict[str, dict[str, Any]], failed: set[str]) -> None:
    """Only what is listed fails, all of it does, and each on what its reason is about."""
    assert {name: outcomes[name]["why"] for name in failed if name not in LEFT_OUT} == {}
    assert failed == set(LEFT_OUT)
    for name, left in LEFT_OUT.items():
        assert left.fails_on in outcomes[name]["why"], name


def test_flasks_own_tests_pass_with_moored_but_for_what_is_listed(tmp_path: Path) -> None:
    outcomes = run("memory:", tmp_path / "with.json")
    failed = failing(outcomes)
    anyway = failing(run("memory:", tmp_path / "without.json", *sorted(failed - set(LEFT_OUT)), inject=False))
    check_left_out(outcomes, failed - anyway)

    collected = {name for name, found in outcomes.items() if found.get("opened") or found.get("named")}
    passed = collected - failed
    about = {name for name in collected if outcomes[name].get("named")}
    assert set(LEFT_OUT) <= about
    print(f"{len(collected)} collected, {len(passed)} passed; about sessions by name: {len(about)},", end=" ")
    print(f"{len(about & passed)} passed; failing without Moored as well: {sorted(anyway)}")
    assert len(about) >= 30
    assert len(collected) >= 250
    assert len(passed) >= SHARE * len(collected)
    page = PAGE.read_text()
    assert [name for name in sorted(about) if f"`{name.removeprefix('tests/')}`" not in page] == []
    assert [left.reason for left in LEFT_OUT.values() if left.reason not in page] == []


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_flasks_tests_about_sessions_on_the_other_engines(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    files = [
        "basic",
        "config",
        "converters",
        "helpers",
        "reqctx",
        "session_interface",
        "signals",
        "templating",
    ]
    names = [f"tests/test_{name}.py" for name in (*files, "testing")]
    url = request.getfixturevalue(f"{engine}_url")
    outcomes = run(url, tmp_path / "outcomes.json", *names, "-k", "session or flash or redirect or context")
    about = {name for name, found in outcomes.items() if found.get("named")}
    assert len(about) >= 25
    assert (failing(outcomes) & about) - set(LEFT_OUT) == set()
