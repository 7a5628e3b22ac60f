"""What a benchmark found: tables for people, targets hit or missed, JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from benchmarks.measure import Figure

Cell = Figure | float | int | str


class Target(Struct, frozen=True):
    """What a figure should reach; ``limited_by`` says what keeps it from being better."""

    what: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = "×"
    limited_by: str = ""

    @property
    def hit(self) -> bool:
        if self.at_least is not None:
            return self.measured >= self.at_least
        return self.at_most is None or self.measured <= self.at_most

    @property
    def asked(self) -> str:
        if self.at_least is not None:
            return f"≥ {short(self.at_least)} {self.unit}"
        return "stated" if self.at_most is None else f"≤ {short(self.at_most)} {self.unit}"


class Table(Struct):
    """Rows of figures; the first column names the row."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]


class Result(Struct):
    """What one benchmark found."""

    tables: list[Table]
    targets: list[Target]


def short(value: float) -> str:
    """A number with the digits that mean something."""
    if value == 0:
        return "0"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(value: Cell) -> str:
    """A cell as text: the median, then the range."""
    if isinstance(value, Figure):
        return f"{short(value.median)} ({short(value.least)}–{short(value.greatest)})"
    return value if isinstance(value, str) else short(value)


def markdown(columns: list[str], rows: Iterable[list[Cell]]) -> str:
    """A table in Markdown, aligned for reading it as text too."""
    cells = [columns, *[[cell(value) for value in row] for row in rows]]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def targets_table(targets: list[Target]) -> str:
    """Target, measured, hit or missed, what limits it."""
    rows: list[list[Cell]] = [
        [
            target.what,
            target.asked,
            f"{short(target.measured)} {target.unit}",
            "" if target.asked == "stated" else "hit" if target.hit else "**missed**",
            target.limited_by,
        ]
        for target in targets
    ]
    return markdown(["figure", "target", "measured", "", "what limits it"], rows)


def write_into(document: Path, blocks: dict[str, str]) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end -->`` in a document."""
    text = document.read_text()
    for name, block in blocks.items():
        place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = place.sub(lambda found, block=block: f"{found[1]}\n{block}\n\n{found[2]}", text)  # type: ignore[misc]
    document.write_text(text)
