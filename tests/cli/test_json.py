"""What every command says in JSON, as ``moored`` and as ``flask moored``: the members of docs/cli.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result
from flask import Flask
from tests.cli.shop import members, run, run_in, signed_in

from moored.cli.program import COMMANDS, load
from moored.flask.extension import mooring

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"

FINDINGS = {"worst", "findings"}
SESSION = {
    *("selector", "subject", "created", "last_seen", "expires", "signed_in", "device", "address", "size"),
}
RECORD = {"key", "status", "record_version", "changed", "expires", "size", "operations", "fields"}
TOP = {
    *("url", "engine", "at", "counted", "complete", "looked_at", "sampled", "signed_in", "visitors", "ended"),
    *("used", "oldest", "newest", "recent", "server", "not_carried_over"),
}
KEYS = {"did", "keys", "told"}
BENCH = {"url", "engine", "clients", "results", "remarks"}

# words, exit status as `moored` and as `flask moored`, members; {selector} is Ann's only session
CALLS: list[tuple[tuple[str, ...], int, int, set[str]]] = [
    (("doctor",), 0, 0, FINDINGS),
    (("sessions", "list"), 0, 0, {"subject", "more", "sessions"}),
    (("sessions", "list", "--subject", "ann"), 0, 0, {"subject", "more", "sessions"}),
    (("sessions", "show", "{selector}"), 0, 0, SESSION | {"status"}),
    (("sessions", "show", "a" * 16), 1, 1, {"selector", "status"}),
    (("inspect", "session:{selector}"), 0, 0, RECORD),
    (("inspect", "subject:ann"), 0, 0, RECORD | {"sessions"}),
    (("inspect", "counter:visits"), 0, 0, RECORD),
    (("inspect", "counter:none"), 1, 1, {"key", "status"}),
    (("top",), 0, 0, TOP),
    (("top", "--once"), 0, 0, TOP),
    (("bench", "--yes", "--seconds", "0.3"), 0, 0, BENCH),
    (("gc",), 0, 0, {"engine", "removed", "by"}),
    (("keys", "list"), 1, 0, {"keys"}),
    (("keys", "rotate"), 1, 4, KEYS),
    (("config", "show"), 0, 0, {"settings"}),
    (("config", "check"), 0, 0, FINDINGS),
    (("completion", "bash"), 0, 0, {"shell", "script"}),
    (("sessions", "revoke", "{selector}", "--yes"), 0, 0, {"selector", "ended"}),
    (("sessions", "revoke-subject", "ann", "--yes"), 0, 0, {"subject", "keep", "ended"}),
]


def as_moored(app: Flask, url: str, *words: str) -> Result:
    return run(*words, *(() if words[0] == "completion" else ("--url", url)))


def as_flask(app: Flask, url: str, *words: str) -> Result:
    return run_in(app, *words)


@pytest.mark.parametrize("way", [as_moored, as_flask])
def test_members(shop: Flask, url: str, way: Callable[..., Result]) -> None:
    shop.config["SESSION_COOKIE_SECURE"] = True
    state = mooring(shop).state
    state.counter("visits").add()
    for words, plain, under_flask, named in CALLS:
        signed_in(shop, "ann")
        selector = state.sessions.of("ann")[0].selector
        done = way(shop, url, *[word.format(selector=selector) for word in words], "--json")
        status = plain if way is as_moored else under_flask
        assert done.exit_code == status, (words, done.output)
        assert set(members(done)) == named, words
        for found in members(done).get("sessions", ()):
            assert set(found) in (SESSION, {"selector", "status", "listed", "device", "address"})


def parts(name: str, command: click.Command) -> dict[str, click.Command]:
    """The command, or those of its group, each by what is typed."""
    if isinstance(command, click.Group):
        return {f"{name} {part}": each for part, each in command.commands.items()}
    return {name: command}


def everything() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = load(name)
        assert command is not None
        found |= parts(name, command)
    return found


def test_every_command_speaks_json_and_says_so() -> None:
    """But for the demo, which serves until it is stopped; and `prove`, whose members have a page."""
    page = DOCS.read_text()
    for typed, command in everything().items():
        if typed == "demo":
            continue
        assert "--json" in [option for param in command.params for option in param.opts], typed
        heading = re.search(rf"^##+ `?moored {typed}\b.*$", page, re.MULTILINE)
        assert heading, typed
        section = re.split(r"^##+ ", page[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]
        assert re.search(r"^JSON: |the\s+JSON has", section, re.MULTILINE), typed


def test_every_command_is_tested_here() -> None:
    """Or where its own tests are: those that others than a state are about."""
    elsewhere = {"init", "demo", "prove", "adopt"}
    untested = [
        typed for typed in everything() if not any(" ".join(words).startswith(typed) for words, *_ in CALLS)
    ]
    assert {typed.split()[0] for typed in untested} == elsewhere
