"""``moored completion``: the script by which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from moored.cli.command import Command, json_option, put_json

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the script by which a shell completes commands and options.

    For bash: moored completion bash >> ~/.bashrc
    """
    from moored.cli.program import program

    root = ctx.find_root().command  # `moored`, or `flask`, whose own commands are then completed, too
    name = "moored" if root is program else "flask"
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root, {}, name, f"_{name.upper()}_COMPLETE").source().strip() + "\n"
    if as_json:
        put_json({"shell": shell, "script": script})
    else:
        click.echo(script, nl=False)
