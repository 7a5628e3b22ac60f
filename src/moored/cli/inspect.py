"""``moored inspect``: one record as it is kept."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import click
from msgspec import Struct

from moored.cli import screen, words
from moored.cli.command import Command, finding, json_option, put_json, url_option
from moored.cli.target import opened
from moored.codec import decode
from moored.commands import Read, Record, record_key
from moored.errors import CorruptRecord
from moored.kinds.sessions import SessionInfo
from moored.kinds.sessions.browsers import browser_in
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.record import as_datetime, bytes_of, integer, is_selector, session_key, text
from moored.kinds.sessions.subject_fields import INSTANTS as SUBJECT_INSTANTS
from moored.kinds.sessions.subject_fields import FieldKind, field_kind
from moored.kinds.sessions.subjects import entries_of, subject_key
from moored.run import Remembering
from moored.state import State

SENSITIVE = re.compile("csrf|key|nonce|otp|passw|pin$|secret|token", re.IGNORECASE)
HIDDEN, DAMAGED = "(hidden)", "(damaged)"
PATIENCE = 2.0  # seconds
LONGEST = 2_000  # characters of a value that are shown

# Fields of ours that say who and when.  All others are digests, epochs and counts of no use to anybody.
INSTANTS = {"@created", "@seen", "@sent", "@changed", "@absolute"} | SUBJECT_INSTANTS
TEXTS = {"@subject", "@owner", "@note"}
NUMBERS = {"@generation"}


class Field(Struct, frozen=True):
    """A field of a record: ``value`` is its text in Python, None where it is not shown."""

    name: str
    type: str
    size: int
    value: str | None = None


class _Key(click.ParamType[str]):
    """The key of a record.  What is none is not repeated: it may be a cookie."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, colon, name = str(value).partition(":")
        if not colon or not name or kind not in ("session", "subject", "counter"):
            self.fail("it is session:SELECTOR, subject:ID or counter:NAME. (A session's cookie is none.)")
        if kind == "session" and not is_selector(name):
            self.fail(
                "session: is followed by a selector, 16 letters and digits as `sessions list` shows them. (A"
                " session's cookie is a secret, and no selector.)"
            )
        return str(value)


@click.command(cls=Command)
@click.argument("key", type=_Key(), metavar="KEY")
@click.option("--values", is_flag=True, help="Also show what the application keeps there.")
@url_option
@json_option
def inspect(key: str, values: bool, as_json: bool) -> None:
    """Show one record as it is kept: its fields, its version, its deadline.

    KEY is session:SELECTOR, subject:ID (a user's id, for the list of their sessions) or
    counter:NAME.
    """
    state = opened()
    kind, _, name = key.partition(":")
    where = {"session": session_key, "subject": subject_key}.get(kind, partial(record_key, kind))(name)
    record = state.binding.run(_read(where))
    if record is None:
        if as_json:
            put_json({"key": key, "status": "unknown"})
        else:
            screen.say(f"There is no record {key}: it never was, expired, or ended over ten minutes ago.")
        finding()
    engine = state.binding.engine
    operations = engine.remembered(where, PATIENCE) if isinstance(engine, Remembering) else 0
    fields = [_field(kind, name, value, values) for name, value in sorted(record.fields.items())]
    listed = _listed(state, record) if kind == "subject" and not record.dead else None
    if as_json:
        put_json(_members(key, record, operations, fields, listed))
        return
    screen.card(_card(key, record, operations))
    if fields:
        screen.say("")
        rows: list[list[screen.Cell]] = [
            [f.name, (f.type, "dim"), words.size(f.size), *([f.value or ""] if values else [])]
            for f in fields
        ]
        heads = ["FIELD", "TYPE", "SIZE", *(["VALUE"] if values else [])]
        screen.table(rows, heads, flexible=3 if values else 0)
    if listed:
        screen.say("")
        screen.table(
            [
                (s["selector"], s["status"], words.device(s["device"]) or "-", s["address"] or "-")
                for s in listed
            ],
            ("SESSION", "STATUS", "DEVICE", "ADDRESS"),
            flexible=2,
            cut=True,
        )


async def _read(key: str) -> Record | None:
    return await Read(key)


# --- Fields ---------------------------------------------------------------------------------------


def _field(kind: str, name: str, value: bytes, values: bool) -> Field:
    if name[:1] == ".":
        return _of_the_application(name[1:], value, values)
    if kind == "counter" and name == "n":
        return Field(name, "counter", len(value), value.decode(errors="replace") if values else None)
    if kind == "subject" and (listed := field_kind(name)) is not None:
        return Field(name, listed.name.lower(), len(value), _of_the_list(listed, value))
    return Field(name, "moored", len(value), _ours(name, value))


def _of_the_list(kind: FieldKind, value: bytes) -> str | None:
    """Why a session is being ended; when a browser was last signed in to, and which session that was."""
    try:
        match kind:
            case FieldKind.ENDING:
                return repr(EndReason.of_code(value).note.decode())
            case FieldKind.BROWSER:
                browser = browser_in(value)
                return f"{as_datetime(browser.used).isoformat()} session:{browser.selector}"
            case FieldKind.SESSION:
                return None  # it is shown apart
    except CorruptRecord:
        return DAMAGED


def _of_the_application(name: str, value: bytes, values: bool) -> Field:
    try:
        found = decode(value)
    except CorruptRecord:
        return Field(name, "damaged", len(value))
    members = f" of {len(found)}" if isinstance(found, (dict, list, tuple, set, frozenset)) else ""
    shown = None
    if values:
        shown = HIDDEN if SENSITIVE.search(name) else repr(_without_secrets(found))
        if len(shown) > LONGEST:
            shown = f"{shown[:LONGEST]}… ({len(shown):,} characters)"
    return Field(name, f"{type(found).__name__}{members}", len(value), shown)


class _Hidden:
    def __repr__(self) -> str:
        return HIDDEN


def _without_secrets(value: Any) -> Any:
    """The value, with what stands under the name of a secret in any mapping of it left out."""
    match value:
        case dict():
            return {
                name: _Hidden() if SENSITIVE.search(str(name)) else _without_secrets(part)
                for name, part in value.items()
            }
        case list() | tuple():
            return type(value)([_without_secrets(part) for part in value])
    return value


def _ours(name: str, value: bytes) -> str | None:
    try:
        if name in INSTANTS:
            return as_datetime(integer({name: value}, name)).isoformat()
        if name in NUMBERS:
            return str(integer({name: value}, name))
        if name in TEXTS:
            return repr(text(value))
    except CorruptRecord:
        return DAMAGED
    return None


# --- The record -----------------------------------------------------------------------------------


def _listed(state: State, record: Record) -> list[dict[str, Any]]:
    """The sessions on a subject's list, the newest first.  Nothing is changed by looking."""
    found = []
    for selector, entry in sorted(entries_of(record).items(), key=lambda pair: -pair[1].created):
        info = state.sessions.show(selector)
        status = "unknown" if info is None else "alive" if isinstance(info, SessionInfo) else "ended"
        listed = {"listed": as_datetime(entry.created), "device": entry.device, "address": entry.address}
        found.append({"selector": selector, "status": status, **listed})
    return found


def _members(
    key: str, record: Record, operations: int, fields: list[Field], listed: list[dict[str, Any]] | None
) -> dict[str, Any]:
    return {
        "key": key,
        "status": "ended" if record.dead else "alive",
        "record_version": record.version,
        "changed": as_datetime(record.version // 1000),
        "expires": None if record.expires is None else as_datetime(record.expires),
        "size": bytes_of(record.fields),
        "operations": operations,
        "fields": fields,
        **({} if listed is None else {"sessions": listed}),
    }


def _card(key: str, record: Record, operations: int) -> list[tuple[str, screen.Cell]]:
    never = ("never", "dim")
    return [
        ("record", key),
        ("status", ("ended", "red") if record.dead else ("alive", "green")),
        ("version", str(record.version)),
        ("changed", words.moment(as_datetime(record.version // 1000))),
        ("expires", never if record.expires is None else words.moment(as_datetime(record.expires))),
        ("size", words.size(bytes_of(record.fields))),
        ("operations", f"{operations} remembered"),
    ]
