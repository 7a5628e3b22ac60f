"""``moored demo``: the shop to click through."""

from __future__ import annotations

import os

import click

from moored.cli.command import URL_KEY, Command, option_for_url


@click.command(cls=Command)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="Where it listens on 127.0.0.1; if that is taken, the next free one.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=lambda: min(4, max(2, os.cpu_count() or 2)),
    show_default="2 to 4, as there are cores",
    help="Processes that serve it.",
)
@option_for_url("a SQLite file of its own")
@click.pass_context
def demo(ctx: click.Context, port: int, workers: int) -> None:
    """Run a small shop on this host, to click through in a browser."""
    from moored.demo import serve

    ctx.exit(serve(ctx.meta.get(URL_KEY), port, workers))
