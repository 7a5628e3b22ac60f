"""How ``moored top`` looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.align import Align
from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from moored.cli import words
from moored.cli.census import Census
from moored.cli.screen import shown
from moored.cli.top import Picture, basis, counts, shares, told

BAR = 18  # columns of the longest bar, where there is room
BESIDE = 42  # columns of a panel that names and numbers take
EIGHTHS = " ▏▎▍▌▋▊▉█"
STEPS = "▁▂▃▄▅▆▇█"
PANELS = 13  # lines that everything but the rows of sessions and those of the counts takes
SHARES = 7  # lines of what sessions are, and when they were used
STYLES = {"signed in": "green", "visitors": "cyan", "ended lately": "red"}


def draw(picture: Picture, interval: float, size: tuple[int, int], error: str = "") -> RenderableType:
    """All of it, for a terminal of so many columns and lines."""
    width, height = size
    both = Table.grid(expand=True, padding=(0, 1, 0, 0))
    both.add_column(ratio=1)
    both.add_column(ratio=1)
    both.add_row(_state(picture, min(BAR, width // 2 - BESIDE)), _engine(picture))
    room = height - PANELS - len(counts(picture))
    return Group(_head(picture, interval, error), both, _recent(picture, room))


def _head(picture: Picture, interval: float, error: str) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    clock = f"{picture.at.astimezone():%H:%M:%S}"
    right = Text.assemble((f"every {interval:g} s  {clock}  ", "dim"), ("q", "bold"), (" ends ", "dim"))
    if error:
        line.add_row(Text(f" {shown(error)}", style="bold red"), right)
    else:
        line.add_row(Text.assemble((" moored top  ", "bold"), shown(picture.url)), right)
    return line


def _state(picture: Picture, columns: int) -> Panel:
    census = picture.census
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    for name, counted in counts(picture):
        grid.add_row(name, Text(counted, style="bold"), "")
    for name, number in shares(census):
        grid.add_row(name, f"{number:,}", _bar(number, census.looked_at, columns, STYLES.get(name, "blue")))
    ago = words.ago(picture.counted_at, picture.at)
    return _panel(grid, "State", f"{basis(census)}, counted {ago}")


def _bar(part: int, whole: int, columns: int, style: str) -> Text:
    if columns < 2 or not whole:
        return Text()
    eighths = round(columns * 8 * part / whole)
    if part and not eighths:
        eighths = 1
    return Text("█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else ""), style=style)


def _engine(picture: Picture) -> Panel:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    for name, value in told(picture.server):
        grid.add_row(name, Text(shown(value)))
    inside: list[RenderableType] = [grid]
    if picture.busy:
        inside += ["", Text(_line(picture.busy), style="yellow", no_wrap=True, overflow="crop")]
    if not picture.server:
        inside = [Align.center(Text(f"{picture.engine} tells nothing of itself", style="dim"))]
    return _panel(Group(*inside), picture.engine, "", height=len(counts(picture)) + SHARES + 2)


def _line(busy: Sequence[float]) -> str:
    """The rates as a row of columns, the highest at full height."""
    most = max(busy)
    return "".join([STEPS[round((len(STEPS) - 1) * each / most)] if most else STEPS[0] for each in busy])


def _recent(picture: Picture, room: int) -> Panel:
    census: Census = picture.census
    table = Table(box=None, expand=True, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("session", no_wrap=True)
    table.add_column("subject", no_wrap=True, overflow="ellipsis", ratio=1)
    for head in ("last used", "created", "expires"):
        table.add_column(head, no_wrap=True, justify="right")
    for seen in census.recent[: max(1, room)]:
        who = Text("(nobody)", style="dim") if seen.subject is None else Text(shown(seen.subject))
        instants = (seen.last_seen, seen.created, seen.expires)
        table.add_row(seen.selector, who, *[words.ago(instant, picture.at) for instant in instants])
    if not census.recent:
        return _panel(Align.center(Text("no sessions", style="dim")), "Used last", "")
    between = (
        f"created between {words.ago(census.oldest, picture.at)} and {words.ago(census.newest, picture.at)}"
    )
    return _panel(table, "Used last", f"{basis(census)}, {between}")


def _panel(inside: RenderableType, title: str, subtitle: str, height: int | None = None) -> Panel:
    return Panel(
        inside,
        title=Text(title, style="bold"),
        title_align="left",
        subtitle=Text(subtitle, style="dim") if subtitle else None,
        subtitle_align="right",
        box=ROUNDED,
        border_style="bright_black",
        height=height,
    )
