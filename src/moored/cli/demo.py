"""``moored demo``: the shop to click through."""

from __future__ import annotations

import os
import socket

import click

from moored.cli.command import URL_KEY, Command, Exit, Failure, url_option
from moored.cli.screen import note

PORT = 8000
TRIED = 100  # ports after it, before this gives up


@click.command(cls=Command)
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=PORT, show_default=True, help="Where it listens."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=lambda: min(4, max(2, os.cpu_count() or 2)),
    show_default="2 to 4",
    help="Processes that serve it.",
)
@url_option
@click.pass_context
def demo(ctx: click.Context, port: int, workers: int) -> None:
    """Run a small shop on this host, for the browser.

    Without --url it keeps its state in a SQLite file of its own.
    """
    try:
        from moored.demo import serve
    except ModuleNotFoundError as error:
        why = f"The demo needs {error.name!r}, which is not installed: pip install 'moored[demo]'."
        raise Failure(why, Exit.USAGE) from None
    ctx.exit(serve(ctx.meta.get(URL_KEY), _free(port), workers))


def _free(port: int) -> int:
    """That port, or the next one that nobody listens on."""
    for candidate in range(port, min(port + TRIED, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
        if candidate != port:
            note(f"Port {port} is taken: using {candidate}.")
        return candidate
    raise Failure(f"No port from {port} on is free: give another with --port.", Exit.REFUSED)
