"""``moored completion``: the scripts are right for their shells, and complete commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.cli import FlaskGroup
from tests.cli.shop import members, run

from moored.cli.completion import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_each_shell(shell: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0
    assert f"_MOORED_COMPLETE={shell}_complete" in done.stdout
    assert "%(" not in done.stdout
    assert members(run("completion", shell, "--json")) == {"shell": shell, "script": done.stdout}


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["moored", "se"], {"sessions"}),
        (["moored", "sessions", "revoke"], {"revoke", "revoke-subject"}),
        (["moored", "keys", "rotate", "--dr"], {"--drop-old"}),
        (["moored", "completion", ""], set(SHELLS)),
    ],
)
def test_what_bash_completes(folder: Path, typed: list[str], completed: set[str]) -> None:
    """The script itself, in bash, with the program on its path."""
    bin = folder / "bin"
    bin.mkdir()
    program = bin / "moored"
    start = "import sys; from moored.cli import main; sys.exit(main())"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{start}' \"$@\"\n")
    program.chmod(0o755)
    words = " ".join([f"'{word}'" for word in typed])
    script = f"""{run("completion", "bash").stdout}
COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}
_moored_completion moored
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"},
    )
    assert set(done.stdout.split()) == completed


def test_an_unknown_shell() -> None:
    done = run("completion", "tcsh")
    assert done.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr


def test_under_flask_it_is_flask_that_is_completed() -> None:
    done = CliRunner().invoke(FlaskGroup(), ["moored", "completion", "bash"])
    assert done.exit_code == 0, done.output
    assert "_FLASK_COMPLETE=bash_complete" in done.stdout
