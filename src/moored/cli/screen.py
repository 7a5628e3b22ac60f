"""What people see: aligned tables, in colour on a terminal, plain where it goes to a file or a program.

Much of what is shown came from strangers (a device is what a browser says of itself), so
nothing is printed that a terminal would obey.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import click

Cell = str | tuple[str, str]  # text, or text and its style on a terminal

GAP = 2  # columns between two columns
LEAST = 12  # columns that the flexible one keeps, however narrow the terminal
PROGRESS_AFTER = 0.3  # seconds: what is quicker needs no progress
PROGRESS_EVERY = 0.1


def shown(text: str) -> str:
    """The text with everything that is not to be printed written as an escape."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in text])


def table(
    rows: Sequence[Sequence[Cell]], heads: Sequence[str] = (), *, flexible: int = -1, cut: bool = False
) -> None:
    """Write rows in columns, under heads if there are any.

    Where a terminal is too narrow, the column ``flexible`` is broken into lines, or ``cut``.
    A cell of the last column may have several lines.
    """
    if sys.stdout.isatty():
        with suppress(ImportError):
            return _rich_table(rows, heads, flexible, cut)
    return _plain_table([list(map(_text, row)) for row in rows], heads)


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _lines(cell: Cell) -> str:
    return "\n".join(map(shown, _text(cell).split("\n")))


def _plain_table(rows: list[list[str]], heads: Sequence[str]) -> None:
    lines = [[_lines(cell) for cell in row] for row in ([list(heads), *rows] if heads else rows)]
    widths = [max(map(len, column)) for column in list(zip(*lines, strict=True))[:-1]]
    indent = "\n" + " " * sum(width + GAP for width in widths)
    for *cells, last in lines:
        start = "".join([f"{cell:<{width + GAP}}" for cell, width in zip(cells, widths, strict=True)])
        click.echo((start + last.replace("\n", indent)).rstrip())


def _rich_table(rows: Sequence[Sequence[Cell]], heads: Sequence[str], flexible: int, cut: bool) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, emoji=False)
    columns = list(zip(*([heads, *rows] if heads else rows), strict=True))
    widths = [max(cell_len(line) for c in column for line in _lines(c).split("\n")) for column in columns]
    room = console.width - sum(widths) - GAP * len(widths) + widths[flexible]
    widths[flexible] = max(min(widths[flexible], room), LEAST)
    drawn = Table(box=None, show_header=bool(heads), header_style="bold", padding=(0, GAP, 0, 0))
    for number, width in enumerate(widths):
        drawn.add_column(
            heads[number] if heads else "",
            no_wrap=cut,
            overflow="ellipsis" if cut else "fold",
            width=width,
        )
    for row in rows:
        drawn.add_row(*[Text(_lines(c), style="" if isinstance(c, str) else c[1]) for c in row])
    console.print(drawn, crop=False)


def card(pairs: Sequence[tuple[str, Cell]]) -> None:
    """Write names and values, one pair a line."""
    table([((name, "dim"), value) for name, value in pairs])


def say(text: str) -> None:
    """Write a line to stdout."""
    click.echo("\n".join(map(shown, text.split("\n"))))


def note(text: str) -> None:
    """Write a line for people, which is no result: to stderr."""
    click.echo("\n".join(map(shown, text.split("\n"))), err=True)


class Progress:
    """How far something is, on stderr while that is a terminal; gone when it is done."""

    def __init__(self, what: str) -> None:
        self._what, self._next = what, time.monotonic() + PROGRESS_AFTER
        self._drawn = False
        self._visible = sys.stderr.isatty()

    def at(self, count: int, what: str = "") -> None:
        """``count`` have been done; of ``what``, if that changes."""
        if self._visible and (now := time.monotonic()) >= self._next:
            self._next, self._drawn = now + PROGRESS_EVERY, True
            click.echo(f"\r{count:,} {what or self._what} \x1b[K", nl=False, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            click.echo("\r\x1b[K", nl=False, err=True)
