"""``moored sessions``: list them, look at one, end them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from msgspec.structs import asdict

from moored.cli import screen, words
from moored.cli.command import Group, confirm, finding, json_option, put_json, url_option, yes_option
from moored.cli.target import opened, target
from moored.kinds.sessions import EndedSession, SessionInfo
from moored.kinds.sessions.record import is_selector
from moored.state import State

SHOWN = 100  # sessions listed unless --limit says otherwise
PAGE = 500  # selectors asked for at once


def _selector(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """The selector, if it is one.  What is none is not repeated: it may be a cookie."""
    if value is not None and not is_selector(value):
        raise click.BadParameter(
            "a selector is 16 letters and digits, as `sessions list` shows them. (A session's cookie is a"
            " secret, and no selector.)"
        )
    return value


@click.group(cls=Group)
def sessions() -> None:
    """List sessions, look at one, end them.

    A selector is a session's public name: it proves nothing and may be shown and logged.
    """


@sessions.command("list")
@click.option("--subject", metavar="ID", help="Only those of this user, with the devices they use.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    default=SHOWN,
    show_default=True,
    help="List at most this many; 0: all.",
)
@url_option
@json_option
def list_(subject: str | None, limit: int, as_json: bool) -> None:
    """List live sessions.

    A user's are listed with the one used last first; all sessions in no particular order,
    reading each one.
    """
    state = opened()
    found, more = _all(state, limit) if subject is None else _of(state, subject, limit)
    _tell_of_others()
    if as_json:
        put_json({"subject": subject, "sessions": [_members(info) for info in found], "more": more})
        return
    if not found:
        screen.say("No sessions." if subject is None else f"{subject} has no sessions.")
        return
    now = datetime.now(UTC)
    rows: list[tuple[screen.Cell, ...]]
    heads: tuple[str, ...]
    if subject is None:
        heads = ("SELECTOR", "SUBJECT", "LAST SEEN", "EXPIRES")
        rows = [(i.selector, _who(i), words.ago(i.last_seen, now), words.ago(i.expires, now)) for i in found]
    else:
        heads = ("SELECTOR", "DEVICE", "ADDRESS", "CREATED", "LAST SEEN", "EXPIRES")
        rows = [
            (
                info.selector,
                words.device(info.device) or "-",
                info.address or "-",
                words.ago(info.created, now),
                words.ago(info.last_seen, now),
                words.ago(info.expires, now),
            )
            for info in found
        ]
    screen.table(rows, heads, flexible=1, cut=True)
    if more:
        screen.note(f"The first {limit} are shown; --limit 0 shows all.")


def _tell_of_others() -> None:
    app = target().app
    if app is None:
        return
    from moored.flask.adoption import adopting_store, old_names, seconds_left

    store = adopting_store(app)
    if store is not None and seconds_left(app, store) > 0:
        screen.note(
            f"Sessions that stay with {old_names(store)} are not listed; `flask moored doctor` says how long."
        )


@sessions.command()
@click.argument("selector", callback=_selector)
@url_option
@json_option
def show(selector: str, as_json: bool) -> None:
    """Show a session: alive, or why and when it ended.

    Why it ended is known for ten minutes after that.
    """
    info = opened().sessions.show(selector)
    if as_json:
        put_json({"selector": selector, **_status(info)})
    elif isinstance(info, SessionInfo):
        screen.card(_card(info))
    elif info is not None:
        screen.card(
            [
                ("session", selector),
                ("status", ("ended", "red")),
                ("why", info.reason),
                ("when", words.moment(info.ended)),
            ]
        )
    else:
        screen.say(f"Nothing is known of {selector}: it never was, expired, or ended over ten minutes ago.")
    if info is None:
        finding()


@sessions.command()
@click.argument("selector", callback=_selector)
@yes_option
@url_option
@json_option
def revoke(selector: str, yes: bool, as_json: bool) -> None:
    """End a session.

    Once this has returned, no request can bring it back.
    """
    state = opened()
    if not yes:
        info = state.sessions.show(selector)
        whose = f", of {info.subject}" if isinstance(info, SessionInfo) and info.subject else ""
        confirm(screen.shown(f"End the session {selector}{whose}?"), yes)
    ended = state.sessions.revoke(selector)
    if as_json:
        put_json({"selector": selector, "ended": ended})
    else:
        screen.say(f"{selector} was ended." if ended else f"{selector} was not alive.")
    if not ended:
        finding()


@sessions.command("revoke-subject")
@click.argument("subject", metavar="ID")
@click.option("--keep", metavar="SELECTOR", callback=_selector, help="Leave this one session alive.")
@yes_option
@url_option
@json_option
def revoke_subject(subject: str, keep: str | None, yes: bool, as_json: bool) -> None:
    """Sign a user out everywhere.

    Once this has returned none of the user's sessions is alive, and sign-ins that had begun
    before it are refused.
    """
    state = opened()
    listed = [info.selector for info in state.sessions.of(subject) if info.selector != keep]
    but = f" but {keep}" if keep else ""
    confirm(screen.shown(f"End {_count(len(listed))} of {subject}{but}?"), yes)
    state.sessions.revoke_subject(subject, keep=keep)
    if as_json:
        put_json({"subject": subject, "keep": keep, "ended": listed})
    else:
        screen.say(f"{subject} is signed out everywhere{but}: {_count(len(listed))} ended.")


# --- Reading --------------------------------------------------------------------------------


def _of(state: State, subject: str, limit: int) -> tuple[list[SessionInfo], bool]:
    found = state.sessions.of(subject)
    return found[: limit or None], bool(limit) and len(found) > limit


def _all(state: State, limit: int) -> tuple[list[SessionInfo], bool]:
    """Up to ``limit`` live sessions, and whether there are more."""
    found: dict[str, SessionInfo] = {}  # by selector, because Redis may name a key twice
    cursor = ""
    with screen.Progress("sessions read") as progress:
        while True:
            page, cursor = state.sessions.selectors(cursor, PAGE)
            for selector in page:
                info = state.sessions.show(selector)
                if not isinstance(info, SessionInfo):
                    continue
                if limit and len(found) == limit and selector not in found:
                    return list(found.values()), True
                found[selector] = info
                progress.at(len(found))
            if not cursor:
                return list(found.values()), False


# --- Showing --------------------------------------------------------------------------------


def _who(info: SessionInfo) -> screen.Cell:
    return info.subject if info.subject is not None else ("(nobody)", "dim")


def _count(number: int) -> str:
    return f"{number} session{'' if number == 1 else 's'}"


def _card(info: SessionInfo) -> list[tuple[str, screen.Cell]]:
    signed_in = [] if info.signed_in is None else [("signed in", words.moment(info.signed_in))]
    return [
        ("session", info.selector),
        ("status", ("alive", "green")),
        ("subject", _who(info)),
        *signed_in,
        ("created", words.moment(info.created)),
        ("last seen", words.moment(info.last_seen)),
        ("expires", words.moment(info.expires)),
        ("size", "" if info.size is None else words.size(info.size)),
    ]


def _members(info: SessionInfo) -> dict[str, Any]:
    """What ``--json`` says of a live session."""
    return asdict(info)


def _status(info: SessionInfo | EndedSession | None) -> dict[str, Any]:
    if info is None:
        return {"status": "unknown"}
    return {"status": "alive" if isinstance(info, SessionInfo) else "ended", **asdict(info)}
