"""The result as one picture: an SVG that needs nothing else, legible on light and dark pages."""

from __future__ import annotations

import textwrap
from html import escape

from moored.prove import report
from moored.prove.place import Ground
from moored.prove.proof import Proof, Result
from moored.prove.scenes import Scene
from moored.prove.sides import Side

WIDTH, MARGIN, LEFT = 1280, 40, 410  # LEFT: of the first side's column
TOP, ROW, GAP, BAR = 190, 92, 28, 14  # TOP: of the first row
WORDS = 52  # letters in a line of what a scene does

STYLE = """
text { font: 15px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif }
.card { fill: #ffffff; stroke: #d0d7de } .rule { stroke: #d0d7de }
.ink { fill: #1f2328 } .soft { fill: #59636e }
.h1 { font-size: 27px; font-weight: 700 } .h2 { font-size: 17px; font-weight: 600 }
.small { font-size: 13px } .figure { font-weight: 600 }
.ours { fill: #e6f4f1 }
.kept { fill: #0f8a6d } .lost { fill: #cf222e; fill-opacity: .16; stroke: #cf222e }
.stripe { stroke: #cf222e; stroke-width: 2.5 } .stripes { fill: url(#stripes) }
.good { fill: #0b6e57 } .bad { fill: #b3141f } .none { fill: #9a6700 }
@media (prefers-color-scheme: dark) {
.card { fill: #0d1117; stroke: #3d444d } .rule { stroke: #3d444d }
.ink { fill: #f0f6fc } .soft { fill: #9aa4af }
.ours { fill: #10302b }
.kept { fill: #2fb594 } .lost { fill: #f85149; fill-opacity: .2; stroke: #f85149 }
.stripe { stroke: #f85149 }
.good { fill: #4fd3b2 } .bad { fill: #ff8078 } .none { fill: #d29922 }
}
""".strip()

ROLE = 'role="img" aria-labelledby="title desc"'
STRIPES = """
<defs><pattern id="stripes" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<line class="stripe" x1="0" y1="0" x2="0" y2="8"/></pattern></defs>
""".strip()


def draw(proof: Proof, ground: Ground) -> str:
    """The picture as text."""
    footer = TOP + ROW * len(proof.scenes)
    remarks = report.remarks(proof)
    height = footer + 66 + 22 * len(remarks)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    title = f"One Flask shop, its sessions kept in {len(proof.sides)} ways"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {ROLE} {size}>',
        f'<title id="title">moored prove: {escape(title)}</title>',
        f'<desc id="desc">{escape(_described(proof))}</desc>',
        f"<style>{STYLE}</style>",
        STRIPES,
        f'<rect class="card" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="14"/>',
        *_ground_of_ours(proof, footer),
        _text(MARGIN, 62, title, "ink h1"),
        _text(MARGIN, 92, f"moored prove: {report.setting()}", "soft"),
        *_legend(),
    ]
    for number, side in enumerate(proof.sides):
        at = _left(proof, number)
        parts.append(_text(at, TOP - 42, side.library, "ink h2"))
        parts.append(_text(at, TOP - 20, side.store, "soft"))
    for number, scene in enumerate(proof.scenes):
        parts += _row(proof, scene, TOP + ROW * number)
    parts.append(_rule(footer))
    for number, remark in enumerate(remarks):
        parts.append(_text(MARGIN, footer + 32 + 22 * number, remark, "soft small"))
    line = f"{report.versions_line(ground, proof)} · seed {proof.seed} · {proof.seconds:.1f} s"
    parts.append(_text(MARGIN, height - 26, line, "soft small"))
    return "\n".join([*parts, "</svg>", ""])


def _left(proof: Proof, number: int) -> float:
    """Where the column of that side begins."""
    return LEFT + number * (WIDTH - MARGIN - LEFT + GAP) / len(proof.sides)


def _wide(proof: Proof) -> float:
    """How wide a bar is."""
    return (WIDTH - MARGIN - LEFT + GAP) / len(proof.sides) - GAP


def _row(proof: Proof, scene: Scene, top: float) -> list[str]:
    parts = [_rule(top), _text(MARGIN, top + 32, scene.headline, "ink h2")]
    for number, line in enumerate(textwrap.wrap(scene.does, WORDS)):
        parts.append(_text(MARGIN, top + 54 + 18 * number, line, "soft small"))
    for number, side in enumerate(proof.sides):
        parts += _cell(proof.of(scene, side), scene, side, _left(proof, number), top, _wide(proof))
    return parts


def _cell(result: Result, scene: Scene, side: Side, left: float, top: float, wide: float) -> list[str]:
    kind = "none" if result.error else "good" if result.whole else "bad"
    words = f"{side.title}, {scene.headline}: {result.said(scene)}"
    parts = [f"<g><title>{escape(words)}</title>"]
    if not result.error and result.expected:
        share = wide * result.kept / result.expected
        box = f'y="{top + 22:g}" height="{BAR}" rx="3"'
        if share < wide:
            rest = f'x="{left + share:.1f}" width="{wide - share:.1f}" {box}'
            parts += [f'<rect class="lost" {rest}/>', f'<rect class="stripes" {rest}/>']
        if share > 0:
            parts.append(f'<rect class="kept" x="{left:.1f}" width="{share:.1f}" {box}/>')
    parts.append(_text(left, top + 58, result.said(scene), f"{kind} figure"))
    return [*parts, "</g>"]


def _ground_of_ours(proof: Proof, footer: float) -> list[str]:
    """A ground of another colour below the columns that are ours."""
    ours = [number for number, side in enumerate(proof.sides) if side.ours]
    if not ours:
        return []
    left = _left(proof, ours[0]) - GAP / 2
    right = _left(proof, ours[-1]) + _wide(proof) + GAP / 2
    top = TOP - 70
    box = f'x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{footer - top}"'
    return [f'<rect class="ours" {box} rx="8"/>']


def _legend() -> list[str]:
    x, y = WIDTH - MARGIN - 190, 48
    return [
        f'<rect class="kept" x="{x}" y="{y}" width="34" height="{BAR}" rx="3"/>',
        _text(x + 44, y + 12, "kept", "soft small"),
        f'<rect class="lost" x="{x + 106}" y="{y}" width="34" height="{BAR}" rx="3"/>',
        f'<rect class="stripes" x="{x + 106}" y="{y}" width="34" height="{BAR}" rx="3"/>',
        _text(x + 150, y + 12, "lost", "soft small"),
    ]


def _described(proof: Proof) -> str:
    return " ".join(
        [
            f"{scene.headline}: "
            + ", ".join([f"{side.title} {proof.of(scene, side).said(scene)}" for side in proof.sides])
            + "."
            for scene in proof.scenes
        ]
    )


def _rule(y: float) -> str:
    return f'<line class="rule" x1="{MARGIN}" y1="{y:g}" x2="{WIDTH - MARGIN}" y2="{y:g}"/>'


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:g}" class="{kind}">{escape(words)}</text>'
