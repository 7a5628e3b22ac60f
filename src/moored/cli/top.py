"""``moored top``: what can be seen of the state from outside, live."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections import deque
from datetime import UTC, datetime
from importlib.util import find_spec
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import click
from msgspec import Struct, to_builtins

from moored.cli import screen, words
from moored.cli.census import Census, take
from moored.cli.command import Command, json_option, put_json, url_option
from moored.cli.left_over import LeftOver, left_over
from moored.cli.pulse import Pulse, pulse_of
from moored.cli.target import opened, target
from moored.errors import MooredError
from moored.state import State

if TYPE_CHECKING:
    from flask import Flask

LEAVE, ESCAPE = b"qQ", b"\x1b"
HISTORY = 60  # looks whose rate is drawn
SHARE = 0.05  # of the time that may go into counting; where it takes long it is done less often


class Picture(Struct, frozen=True):
    """One look at the state: ``server`` is what the engine tells of itself."""

    url: str
    engine: str
    at: datetime
    census: Census
    left_over: LeftOver | None
    counted_at: datetime
    server: dict[str, Any]
    busy: tuple[float, ...] = ()  # the rate that the engine tells, at the looks before and now


class Watch:
    """Looks at a state again and again, and counts no more often than is cheap."""

    def __init__(self, state: State, pulse: Pulse, app: Flask | None = None) -> None:
        self._state, self._pulse, self._app = state, pulse, app
        self._census: Census | None = None
        self._left_over: LeftOver | None = None
        self._counted_at = datetime.now(UTC)
        self._again = 0.0
        self._busy: deque[float] = deque(maxlen=HISTORY)

    def look(self) -> Picture:
        """A new picture.  Raises what the engine raises."""
        began = time.monotonic()
        if self._census is None or began >= self._again:
            self._census, self._counted_at = take(self._state), datetime.now(UTC)
            self._left_over = left_over(self._app, self._census)
            ended = time.monotonic()
            self._again = ended + (ended - began) / SHARE
        server = self._pulse.look()
        rate = server.get("commands_per_second", server.get("commits_per_second_at_least"))
        if rate is not None:
            self._busy.append(rate)
        return Picture(
            str(self._state.url),
            self._state.binding.engine.name,
            datetime.now(UTC),
            self._census,
            self._left_over,
            self._counted_at,
            server,
            tuple(self._busy),
        )


@click.command(cls=Command)
@click.option("--once", is_flag=True, help="Look once, and print what was seen.")
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0.5, 60),
    default=2.0,
    show_default=True,
    help="How often to look.",
)
@url_option
@json_option
def top(once: bool, interval: float, as_json: bool) -> None:
    """Watch sessions, counters and the engine; q ends it.

    Records are counted by going through their keys, at most 100,000 of them, and of
    sessions a sample of 1,000 is looked at. Where the output is no terminal it looks once.
    """
    state = opened()
    context = click.get_current_context()
    pulse = pulse_of(state)
    context.call_on_close(pulse.close)
    watch = Watch(state, pulse, target().app)
    picture = watch.look()
    if as_json:
        put_json(_members(picture))
    elif once or not sys.stdout.isatty() or find_spec("rich") is None:
        _print(picture)
    else:
        _live(watch, pulse, picture, interval)


def _live(watch: Watch, pulse: Pulse, picture: Picture, interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    from moored.cli.dashboard import draw

    console = Console(highlight=False, emoji=False)
    error = ""
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(draw(picture, interval, console.size, error), refresh=True)
            ends = time.monotonic() + interval
            while (left := ends - time.monotonic()) > 0:
                if keyboard.pressed(min(left, pulse.every)):
                    return
                pulse.glance()
            try:
                picture, error = watch.look(), ""
            except MooredError as wrong:  # it may come back
                error = str(wrong)


class Keyboard:
    """Tells whether somebody wants to leave: by a key, or by Ctrl-C, which interrupts nothing here."""

    def __enter__(self) -> Self:
        self._left = False
        self._interrupt = signal.signal(signal.SIGINT, self._leave)
        self._before: list[Any] | None = None
        if sys.stdin.isatty():
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
        signal.signal(signal.SIGINT, self._interrupt)

    def _leave(self, _number: int, _frame: FrameType | None) -> None:
        self._left = True

    def pressed(self, timeout: float) -> bool:
        """Did somebody want to leave, within that many seconds?"""
        if self._before is None:
            time.sleep(timeout)
        elif select.select([sys.stdin], [], [], timeout)[0]:
            # An escape sequence, such as an arrow key's, is more than one byte; nothing is the end.
            typed = os.read(sys.stdin.fileno(), 64)
            self._left |= typed in (ESCAPE, b"") or any(key in typed for key in LEAVE)
        return self._left


# --- One picture ------------------------------------------------------------------------------


def _members(picture: Picture) -> dict[str, Any]:
    census: dict[str, Any] = to_builtins(picture.census)
    del census["adopting"]  # what is said of that is below
    return {
        "url": picture.url,
        "engine": picture.engine,
        "at": picture.at,
        **census,
        "not_carried_over": picture.left_over,
        "server": picture.server,
    }


def counts(picture: Picture) -> list[tuple[str, str]]:
    """Records by kind, in words: "over" where there are more than were counted.

    Then what is not among them: sessions that another library still has.
    """
    over = "" if picture.census.complete else "over "
    found = [(name, f"{over}{number:,}") for name, number in picture.census.counted.items()]
    if (left := picture.left_over) is not None:
        least = "" if left.complete else "at least "
        number = "not counted" if left.sessions is None else f"{least}{left.sessions:,}"
        found.append(("not carried over", number))
    return found


def shares(census: Census) -> list[tuple[str, int]]:
    """Of the sessions that were looked at: who is there, and when they were used."""
    return [
        ("signed in", census.signed_in),
        ("visitors", census.visitors),
        ("ended lately", census.ended),
        ("used in the last minute", census.used["minute"]),
        ("  in ten minutes", census.used["ten_minutes"]),
        ("  in an hour", census.used["hour"]),
        ("  in a day", census.used["day"]),
    ]


def basis(census: Census) -> str:
    """What the shares are of."""
    if not census.sampled:
        return "of all sessions"
    return f"of {census.looked_at:,} sessions drawn at random"


LABELS = {
    "server_version": "version",
    "commands_per_second": "commands/s",
    "reads_per_second": "reads/s",
    "changes_per_second": "changes/s",
    "expired_per_second": "expired/s",
    "evicted": "evicted",
    "clients": "clients",
    "memory_bytes": "memory",
    "memory_limit_bytes": "of at most",
    "commits_per_second_at_least": "commits/s, at least",
    "file_bytes": "file",
    "log_bytes": "log",
}


def told(server: dict[str, Any]) -> list[tuple[str, str]]:
    """What the engine tells of itself, in words."""
    found = []
    for name, value in server.items():
        if value is None:
            continue
        if isinstance(value, str):
            text = value
        elif name.endswith("_bytes"):
            text = words.size(value)
        else:
            text = f"{value:,.1f}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"
        found.append((LABELS[name], text))
    return found


def _print(picture: Picture) -> None:
    census = picture.census
    screen.card([("state", picture.url), ("at", words.moment(picture.at)), *counts(picture)])
    screen.say(f"\n{basis(census).capitalize()}:")
    screen.card([(name, f"{number:,}") for name, number in shares(census)])
    if server := told(picture.server):
        screen.say(f"\nThe engine ({picture.engine}):")
        screen.card(server)
    if census.recent:
        screen.say("")
        rows = [
            (
                seen.selector,
                seen.subject if seen.subject is not None else ("(nobody)", "dim"),
                words.ago(seen.last_seen, picture.at),
                words.ago(seen.created, picture.at),
            )
            for seen in census.recent
        ]
        screen.table(rows, ("LAST USED", "SUBJECT", "SEEN", "CREATED"), flexible=1, cut=True)
