"""The board: scenes down, sides across; filled in as they are run, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from moored.cli import screen
from moored.prove import report
from moored.prove.place import Ground
from moored.prove.proof import Proof, Result
from moored.prove.scenes import Scene
from moored.prove.sides import Side

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

FRAMES = 8  # a second


class Board:
    """Shows on stderr how far it is, while that is a terminal; gone when it is done."""

    def __init__(self, scenes: Sequence[Scene], sides: Sequence[Side]) -> None:
        self._scenes, self._sides = scenes, sides
        self._results: dict[tuple[str, str], Result | None] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False, emoji=False)
            self._live = Live(
                console=console, get_renderable=self._drawn, refresh_per_second=FRAMES, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def watch(self, scene: str, side: str, result: Result | None) -> None:
        """That scene begins on that side, or this came of it."""
        self._results[scene, side] = result

    def _drawn(self) -> Table:
        return grid(self._scenes, self._sides, self._results)


def grid(
    scenes: Sequence[Scene], sides: Sequence[Side], results: dict[tuple[str, str], Result | None]
) -> Table:
    """The board as rich draws it: what is not in ``results`` is still to come, None is being run."""
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    drawn.add_column("", no_wrap=True)
    for side in sides:
        drawn.add_column(f"{side.library}\n{side.store}", no_wrap=True, min_width=14)
    for scene in scenes:
        cells: list[Text | Spinner] = []
        for side in sides:
            key = scene.id, side.id
            result = results.get(key)
            if result is not None:
                cells.append(Text(result.said(scene), style=style(result)))
            else:
                cells.append(Spinner("dots", style="cyan") if key in results else Text("·", style="dim"))
        drawn.add_row(Text(scene.title), *cells)
    return drawn


def style(result: Result) -> str:
    """The colour of a result."""
    if result.error:
        return "yellow"
    return "green" if result.whole else "bold red"


def _colour(side: Side, well: bool) -> str:
    if side.ours:
        return "bold green" if well else "bold red"
    return "bold"


def show(proof: Proof, ground: Ground) -> None:
    """Write all of it to stdout: the board, filled in, and what is to be said about it."""
    _prose(f"One Flask shop, its sessions kept in {len(proof.sides)} ways: {report.setting()}.", "")
    if sys.stdout.isatty():
        from rich.console import Console

        drawn = grid(proof.scenes, proof.sides, dict(proof.results))
        Console(highlight=False, emoji=False).print(drawn, crop=False)
    else:
        rows = [[s.title, *[proof.of(s, side).said(s) for side in proof.sides]] for s in proof.scenes]
        screen.table(rows, ["", *[side.title for side in proof.sides]])
    screen.say("")
    screen.table([[(side.title, _colour(side, well)), words] for side, words, well in report.verdicts(proof)])
    screen.say("")
    screen.table([[(s.title, "dim"), s.does] for s in proof.scenes])
    redis = f" ({ground.said})" if ground.redis else f"; {ground.said}"
    _prose(
        "",
        *report.remarks(proof),
        f"{report.versions_line(ground, proof)}{redis}",
        f"{proof.seconds:.1f} s, --seed {proof.seed}; moored prove --show prints the program.",
    )


def _prose(*paragraphs: str) -> None:
    """Text that a terminal breaks between words."""
    screen.table([[text] for text in paragraphs])
