"""Charts of the results: self-contained SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from benchmarks.measure import Figure
from benchmarks.report import Result, Table, short

WIDTH, LEFT, RIGHT, ROW, BAR = 760, 250, 110, 17, 13
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #444 } .title { font-size: 14px; font-weight: 600 }
.name { text-anchor: end } .ours { fill: #0b7285 } .theirs { fill: #adb5bd }
@media (prefers-color-scheme: dark) { text { fill: #ced4da } .ours { fill: #22b8cf } .theirs { fill: #777 } }
""".strip()

Bars = list[tuple[str, Figure]]


def draw(results: Mapping[str, Result], folder: Path) -> None:
    """Draw what can be drawn of these results."""
    folder.mkdir(parents=True, exist_ok=True)
    if "session_requests" in results:
        table = results["session_requests"].tables[0]
        groups = {
            f"A request that {doing} its session of 1 KB: µs added over bare Flask": _column(table, column)
            for column, doing in ((1, "does not touch"), (2, "reads"), (3, "changes"))
        }
        (folder / "session-requests.svg").write_text(bars(groups))
    if "contention" in results:
        table = results["contention"].tables[0]
        kept: Bars = []
        for row in table.rows:
            part, _, whole = str(row[-1]).partition(" of ")
            share = 100 * int(part) / int(whole)
            kept.append((str(row[0]), Figure(share, share, share)))
        title = "32 clients append to one cart at once (4 ×: in as many processes): % of the items kept"
        (folder / "contention.svg").write_text(bars({title: kept}))


def _column(table: Table, column: int) -> Bars:
    found: Bars = []
    for row in table.rows[1:]:
        figure = row[column]
        assert isinstance(figure, Figure)
        found.append((str(row[0]), figure))
    return found


def bars(groups: Mapping[str, Bars]) -> str:
    """Groups of horizontal bars."""
    height = sum(34 + ROW * len(group) for group in groups.values()) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{STYLE}</style>",
    ]
    top = 0
    for title, group in groups.items():
        scale = (WIDTH - LEFT - RIGHT) / max(1, *(figure.median for _, figure in group))
        parts.append(f'<text class="title" x="8" y="{top + 22}">{escape(title)}</text>')
        top += 34
        for name, figure in group:
            length = max(figure.median * scale, 1)
            ours = "ours" if name.startswith("Moored") else "theirs"
            middle = top + ROW / 2
            box = f'x="{LEFT}" y="{middle - BAR / 2}" width="{length:.1f}" height="{BAR}"'
            parts.append(f'<text class="name" x="{LEFT - 8}" y="{middle + 4}">{escape(name)}</text>')
            parts.append(f'<rect class="{ours}" {box}/>')
            text = short(max(round(figure.median), 0))
            parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{middle + 4}">{text}</text>')
            top += ROW
    return "\n".join([*parts, "</svg>", ""])
