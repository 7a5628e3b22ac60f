"""``moored``: the command line.  Start-up loads one command's module, and no driver."""

from __future__ import annotations

import sys

MISSING = "The command line needs click, which is not installed: pip install 'moored[cli]'.\n"


def main() -> int:
    """Run the command that the arguments name; the entry point ``moored``."""
    try:
        from moored.cli.program import program
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write(MISSING)
        return 2
    program(prog_name="moored")
    return 0
