"""Shell snippets: what is run as it is written, what is run another way, and what is not, and why.

A snippet runs in a POSIX shell that stops at the first failure, in the folder of its page, with
the programs of this environment.  ``console`` shows commands after ``$`` and below each what it
prints; ``…`` stands for anything, also for whole lines.  ``sh -n`` reads all of them first.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from moored.cli.program import program

TIMEOUT = 60.0  # seconds for one snippet

# Commands that are not run here, by how they begin.
NOT_RUN = {
    "scripts/": "sets up environments and takes minutes; continuous integration is scripts/test itself",
    "git clone": "needs the network, and an address that this page does not know",
    "pip install": "needs the network; scripts/demo and scripts/test do it in continuous integration",
    "python3 -m venv": "this environment has everything already",
    ". .venv/bin/activate": "this environment is in use already",
    "apt-get": "needs the network and root",
    "sudo": "needs root",
    "systemctl": "needs systemd",
    "moored demo": "serves until it is stopped; tests/demo runs it",
    "moored prove": "takes half a minute; tests of its own run it",
    "moored bench": "takes a while; tests of its own run it",
    "moored top": "shows until it is stopped; tests of its own run it",
    "redis-server": "the tests start a server of their own, on a free port",
}
# Servers would run until they are stopped; these make sure that they would start.
INSTEAD = {
    re.compile(r"^gunicorn "): "gunicorn --check-config ",
    re.compile(r"^flask( --app [\w.:]+)? run\b.*"): r"flask\1 routes >/dev/null",
}


class Failed(AssertionError):
    """A snippet did not do what the page says."""


def run(text: str, folder: Path, where: str) -> None:
    """Run an ``sh`` snippet."""
    read(text, where)
    _shell("\n".join(_runnable(text, where)), folder, where)


def run_console(text: str, folder: Path, where: str) -> None:
    """Run a ``console`` snippet, and compare what is printed."""
    for command, said in _dialogue(text, where):
        read(command, where)
        runnable = "\n".join(_runnable(command, where))
        if runnable != command:
            continue
        printed = _shell(runnable, folder, where, check=False)
        if not _fits(said, printed):
            raise Failed(f"{where}: {command} prints\n{printed}\nand not\n{said}")


def read(text: str, where: str) -> None:
    """Have a shell read the commands without running them."""
    parsed = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    if parsed.returncode:
        raise Failed(f"{where}: {parsed.stderr}")


def _runnable(text: str, where: str) -> Iterator[str]:
    """The commands, one a line, with ``:`` in place of those that are not run."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if any(line.startswith(beginning) for beginning in NOT_RUN):
            if line.startswith("moored "):
                _understood(line, where)
            yield ":"
        else:
            yield next((p.sub(instead, line) for p, instead in INSTEAD.items() if p.match(line)), line)


def _understood(line: str, where: str) -> None:
    """Let the command line read a call of ``moored`` without carrying it out."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = program
    context = click.Context(program, info_name="moored")
    try:
        while isinstance(command, click.Group):
            found = command.get_command(context, words[0])
            if found is None:
                raise Failed(f"{where}: there is no command {line!r}")
            command, words = found, words[1:]
        command.make_context(command.name, words, parent=context)
    except click.UsageError as error:
        raise Failed(f"{where}: {line!r}: {error.format_message()}") from None


def _shell(text: str, folder: Path, where: str, *, check: bool = True) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        ["sh", "-eu", "-c", text],
        cwd=folder,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "110"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if check and ran.returncode:
        raise Failed(f"{where}: status {ran.returncode}\n{ran.stdout}")
    return ran.stdout


def _dialogue(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Each command with what it is said to print."""
    before, *turns = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if before:
        raise Failed(f"{where}: a console snippet begins with a command after $")
    for turn in turns:
        command, _, said = turn.partition("\n")
        yield command, said


def _fits(said: str, printed: str) -> bool:
    """Is that what was printed?  Runs of spaces count as one: tables fit their contents."""
    pattern = re.escape(" ".join(said.split())).replace("…", ".*?")
    return re.fullmatch(pattern, " ".join(printed.split()), re.DOTALL) is not None
