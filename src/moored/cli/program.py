"""The program ``moored``: its commands by name, each loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from moored import __version__
from moored.spelling import did_you_mean

# name → where it is, and what it does; said here so that `--help` need not load them.
COMMANDS = {
    "init": ("moored.cli.init:init", "Write the URL and a secret for the application in this folder."),
    "demo": ("moored.cli.demo:demo", "Run a small shop to click through."),
    "prove": ("moored.cli.prove:prove", "Count what other ways to keep sessions lose, and Moored keeps."),
    "doctor": ("moored.cli.doctor:doctor", "Look for what is wrong, or will be."),
    "sessions": ("moored.cli.sessions:sessions", "List sessions, look at one, end them."),
    "adopt": ("moored.cli.adopt:adopt", "Carry over the sessions that another library has kept."),
    "inspect": ("moored.cli.inspect:inspect", "Show one record as it is kept."),
    "top": ("moored.cli.top:top", "Watch sessions, counters and the engine."),
    "bench": ("moored.cli.bench:bench", "Measure what the engine does from here, under a short load."),
    "gc": ("moored.cli.gc:gc", "Remove the records that have expired."),
    "keys": ("moored.cli.keys:keys", "Show which keys are in force, and replace them."),
    "config": ("moored.cli.config:config", "Show what is in force, and look for mistakes."),
    "completion": (
        "moored.cli.completion:completion",
        "Print the script by which a shell completes all this.",
    ),
}

EXTRAS = {"flask": "flask", "redis": "redis"}  # package → the extra that brings it


def load(name: str) -> click.Command | None:
    """The command of that name.  Raises a click exception if a package that it needs is not installed."""
    if name not in COMMANDS:
        return None
    module, _, attribute = COMMANDS[name][0].partition(":")
    try:
        command: click.Command = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        raise click.UsageError(
            f"{name} needs {error.name}, which is not installed: pip install 'moored[{EXTRAS[error.name]}]'."
        ) from None
    return command


class Program(click.Group):
    """A group of the commands above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order in which they are met."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        return load(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called; where there is none of that name, the error names the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = "" if args[0].startswith("-") else did_you_mean(args[0], COMMANDS)
            if not hint:
                raise
            raise click.UsageError(error.message + hint, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each does."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])


EXIT_STATUS = """\b
Exit status:
  0  all is well
  1  something was found, or is not there
  2  the call or the configuration is wrong
  3  the engine cannot be reached
  4  it refused
"""


@click.group(cls=Program, epilog=EXIT_STATUS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version=__version__, message="moored %(version)s")
def program() -> None:
    """Moored keeps the state of a web application.

    Every command that concerns state takes --url; without it, MOORED_URL names it, in the
    environment or in the file .env of this folder.
    """
