"""Draws the schedules of docs/explanation/why-sessions-lose.md: ``python docs/images/schedules.py``.

Each picture is a sequence diagram of two parts: what happens where a session is read, changed and
written back whole, and what happens under Moored.  Time runs downwards.  The pictures hold their
own colours for light and dark, and their own ground, so that they can be read on any page.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, MARGIN, ROW = 540, 95, 31
TOP = 66  # of a part: its title and the heads of its lanes
STYLE = """
.ground { fill: #fbfaf7 } text { font: 12.5px system-ui, sans-serif; fill: #27343a }
.title { font-size: 14px; font-weight: 650 } .head { font-weight: 600; text-anchor: middle; fill: #fff }
.headbox { fill: #174b5c } .lane { stroke: #b9c3c6; stroke-dasharray: 3 4 }
.arrow { stroke: #3c6f80; stroke-width: 1.6 } .tip { fill: #3c6f80 } .mid { text-anchor: middle }
.box { fill: #eef2f3; stroke: #b9c3c6 }
.bad .box { fill: #fdecea; stroke: #c0392b } .bad text { fill: #9b2517 }
.good .box { fill: #e4f4ec; stroke: #1e8055 } .good text { fill: #11613e } .doing { font-style: italic }
.rule { stroke: #d9dfe0 }
@media (prefers-color-scheme: dark) {
.ground { fill: #1b2327 } text { fill: #dfe7ea } .head { fill: #fff } .headbox { fill: #2b6a7e }
.lane { stroke: #56646a } .arrow { stroke: #86bccb } .tip { fill: #86bccb }
.box { fill: #263238; stroke: #56646a }
.bad .box { fill: #47221e; stroke: #e57368 } .bad text { fill: #ffb4aa }
.good .box { fill: #173c2c; stroke: #4fb587 } .good text { fill: #9fe3c2 }
.rule { stroke: #333f45 }
}
""".strip()


@dataclass(frozen=True)
class Says:
    """An arrow from one lane to another, and what it carries."""

    from_: int
    to: int
    text: str


@dataclass(frozen=True)
class Does:
    """What goes on in one lane."""

    lane: int
    text: str


@dataclass(frozen=True)
class Holds:
    """What a lane holds from now on; ``kind`` is "", "good" or "bad"."""

    lane: int
    text: str
    kind: str = ""


Step = Says | Does | Holds


@dataclass(frozen=True)
class Schedule:
    """A picture: its lanes, and the two courses that the same requests take."""

    name: str
    what: str
    lanes: tuple[str, str, str]
    elsewhere: tuple[Step, ...]
    moored: tuple[Step, ...]
    usual: str = "Read, change, write back"


SCHEDULES = (
    Schedule(
        "lost-cart",
        "Two tabs add to one cart at once: read, changed and written back, one item is lost;"
        " under Moored both are kept.",
        ("Tab A", "Session", "Tab B"),
        (
            Holds(1, "cart: book"),
            Says(1, 0, "cart: book"),
            Says(1, 2, "cart: book"),
            Does(0, "adds a mug"),
            Does(2, "adds a pen"),
            Says(0, 1, "cart: book, mug"),
            Holds(1, "cart: book, mug"),
            Says(2, 1, "cart: book, pen"),
            Holds(1, "cart: book, pen (mug lost)", "bad"),
        ),
        (
            Holds(1, "cart: book"),
            Says(1, 0, "cart: book"),
            Says(1, 2, "cart: book"),
            Does(0, "adds a mug"),
            Does(2, "adds a pen"),
            Says(0, 1, "book, mug; if still: book"),
            Holds(1, "cart: book, mug"),
            Says(2, 1, "book, pen; if still: book"),
            Says(1, 2, "no, it is: book, mug"),
            Does(2, "appends the pen to that"),
            Says(2, 1, "+ pen; if still: book, mug"),
            Holds(1, "cart: book, mug, pen", "good"),
        ),
    ),
    Schedule(
        "sign-out-undone",
        "A slow request runs while its user signs out: written back, its session lives again;"
        " under Moored it stays ended.",
        ("Slow request", "Session", "Sign-out"),
        (
            Holds(1, "user: ann"),
            Says(1, 0, "user: ann"),
            Says(2, 1, "delete it"),
            Holds(1, "nothing"),
            Does(0, "still working"),
            Says(0, 1, "user: ann, seen: …"),
            Holds(1, "user: ann (signed in again)", "bad"),
        ),
        (
            Holds(1, "user: ann · generation 1"),
            Says(1, 0, "user: ann · generation 1"),
            Says(2, 1, "end it; if generation 1"),
            Holds(1, "ended"),
            Does(0, "still working"),
            Says(0, 1, "seen: …; if generation 1"),
            Says(1, 0, "no, it has ended"),
            Does(0, "sends no cookie"),
            Holds(1, "ended", "good"),
        ),
    ),
    Schedule(
        "fixation",
        "An attacker plants a cookie and waits for the sign-in: where the cookie stays the same it then opens"
        " the victim's account; under Moored it is worthless.",
        ("Attacker", "Session", "Victim"),
        (
            Says(1, 0, "cookie X"),
            Says(0, 2, "plants cookie X in the victim's browser"),
            Says(2, 1, "cookie X, signs in"),
            Holds(1, "X belongs to ann"),
            Says(0, 1, "cookie X"),
            Says(1, 0, "ann's account"),
            Holds(0, "is ann", "bad"),
        ),
        (
            Says(1, 0, "cookie X"),
            Says(0, 2, "plants cookie X in the victim's browser"),
            Says(2, 1, "cookie X, signs in"),
            Holds(1, "Y belongs to ann"),
            Says(1, 2, "a new cookie: Y"),
            Says(0, 1, "cookie X"),
            Says(1, 0, "proves nothing"),
            Holds(0, "is nobody", "good"),
        ),
        "One cookie before and after",
    ),
    Schedule(
        "nested-change",
        "A value is changed inside: a session that notices assignments only forgets it; Moored compares"
        " what is there at the end.",
        ("Handler", "Session", "Store"),
        (
            Says(2, 1, "cart: {book: 1}"),
            Says(1, 0, "the cart"),
            Does(0, 'cart["book"] = 2'),
            Says(0, 1, "ends"),
            Does(1, "was anything assigned? no"),
            Holds(2, "cart: {book: 1}", "bad"),
        ),
        (
            Says(2, 1, "cart: {book: 1}"),
            Says(1, 0, "the cart"),
            Does(0, 'cart["book"] = 2'),
            Says(0, 1, "ends"),
            Does(1, "encoded again, it differs"),
            Says(1, 2, "cart: {book: 2}"),
            Holds(2, "cart: {book: 2}", "good"),
        ),
        "Notice assignments",
    ),
    Schedule(
        "check-then-act",
        "Two requests check a coupon before either marks it: both get the discount; where the mark itself"
        " answers who was first, one does.",
        ("Request A", "Coupon", "Request B"),
        (
            Holds(1, "not used"),
            Says(1, 0, "not used"),
            Says(1, 2, "not used"),
            Says(0, 1, "mark it as used"),
            Holds(0, "10 % off"),
            Says(2, 1, "mark it as used"),
            Holds(2, "10 % off, again", "bad"),
        ),
        (
            Holds(1, "0 uses"),
            Says(0, 1, "add(1, max=1)"),
            Holds(1, "1 use"),
            Says(2, 1, "add(1, max=1)"),
            Says(1, 0, "1"),
            Says(1, 2, "OutOfBounds"),
            Holds(0, "10 % off", "good"),
            Holds(2, "used already", "good"),
        ),
        "Look, then act",
    ),
)


def draw(schedule: Schedule) -> str:
    """The picture."""
    elsewhere, between = _part(schedule, schedule.usual, schedule.elsewhere, 0)
    ours, height = _part(schedule, "Moored", schedule.moored, between + 10)
    size = f'width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {size} role="img">',
            f"<title>{escape(schedule.what)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>',
            *elsewhere,
            f'<path class="rule" d="M16 {between + 4}H{WIDTH - 16}"/>',
            *ours,
            "</svg>\n",
        ]
    )


def _part(schedule: Schedule, title: str, steps: tuple[Step, ...], top: int) -> tuple[list[str], int]:
    """One course of events from ``top`` on, and where it ends."""
    bottom = top + TOP + ROW * len(steps) + 14
    parts = [f'<text class="title" x="16" y="{top + 24}">{escape(title)}</text>']
    for lane, name in enumerate(schedule.lanes):
        x = _x(lane)
        parts += [
            f'<path class="lane" d="M{x} {top + 60}V{bottom - 10}"/>',
            f'<rect class="headbox" x="{x - 56}" y="{top + 36}" width="112" height="24" rx="5"/>',
            f'<text class="head" x="{x}" y="{top + 52.5}">{escape(name)}</text>',
        ]
    for number, step in enumerate(steps):
        parts += _step(step, top + TOP + ROW * number + 20)
    return parts, bottom


def _step(step: Step, y: float) -> list[str]:
    if isinstance(step, Says):
        start, end = _x(step.from_), _x(step.to)
        way = 1 if end > start else -1
        tip = end - 2 * way
        middle = (start + end) / 2
        return [
            f'<path class="arrow" d="M{start} {y + 4}H{tip - 6 * way}"/>',
            f'<path class="tip" d="M{tip} {y + 4}l{-9 * way} -4.5v9z"/>',
            f'<text class="mid" x="{middle:g}" y="{y - 1.5:g}">{escape(step.text)}</text>',
        ]
    x = _x(step.lane)
    width = 7 * len(step.text) + 18
    left = min(max(x - width / 2, 4), WIDTH - 4 - width)
    kind = step.kind if isinstance(step, Holds) else ""
    corner = 4 if isinstance(step, Holds) else 11
    shape = f'<rect class="box" x="{left:g}" y="{y - 10}" width="{width}" height="23" rx="{corner}"/>'
    doing = " doing" if isinstance(step, Does) else ""
    label = f'<text class="mid{doing}" x="{left + width / 2:g}" y="{y + 6}">{escape(step.text)}</text>'
    return [f'<g class="{kind}">{shape}{label}</g>']


def _x(lane: int) -> int:
    return MARGIN + lane * (WIDTH - 2 * MARGIN) // 2


if __name__ == "__main__":
    for drawn in SCHEDULES:
        Path(__file__).with_name(f"schedule-{drawn.name}.svg").write_text(draw(drawn))
