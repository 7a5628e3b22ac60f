"""``moored``: the command line.  Start-up loads one command's module, and no driver."""

from __future__ import annotations

import sys

MISSING = "The command line needs the package {!r}, which is not installed: pip install 'moored[cli]'.\n"


def main() -> int:
    """Run the command that the arguments name; the entry point ``moored``."""
    try:
        import click  # noqa: F401 - said here, because a traceback would not say what to install
    except ModuleNotFoundError as error:
        sys.stderr.write(MISSING.format(error.name))
        return 2
    from moored.cli.program import program

    program(prog_name="moored")
    return 0
