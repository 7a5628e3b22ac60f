"""``moored inspect``: records as they are kept, and nothing that is nobody's business."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, session
from msgspec import msgpack
from tests.cli.conftest import MakeShop
from tests.cli.shop import NOWHERE, members, run, run_in, signed_in

from moored.commands import Add, Patch
from moored.flask.extension import mooring
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.subject_fields import browser_field, ending_field, entry_field

VALUE = "a-value-of-the-application-31f0"
PIN = "a-pin-that-is-hidden-82ab"


@pytest.fixture
def kept(shop: Flask) -> tuple[Flask, str, str]:
    """An app, the selector of Ann's session with data in it, and its cookie."""

    @shop.get("/fill")
    def fill() -> str:
        session["cart"] = {"book": VALUE, "access_token": PIN, "items": [{"pin": PIN}]}
        session["csrf_token"] = PIN
        session["count"] = 3
        return ""

    ann = signed_in(shop, "ann")
    ann.get("/fill")
    (info,) = mooring(shop).state.sessions.of("ann")
    cookie = ann.get_cookie("session")
    assert cookie is not None
    return shop, info.selector, cookie.value


def fields(said: dict[str, Any]) -> dict[str, tuple[str, int, str | None]]:
    for field in said["fields"]:
        assert set(field) == {"name", "type", "size", "value"}
    return {field["name"]: (field["type"], field["size"], field["value"]) for field in said["fields"]}


def test_a_session(kept: tuple[Flask, str, str], url: str) -> None:
    _, selector, _ = kept
    done = run("inspect", f"session:{selector}", "--json", "--url", url)
    assert done.exit_code == 0
    said = members(done)
    assert (said["key"], said["status"]) == (f"session:{selector}", "alive")
    assert said["record_version"] > 1_700_000_000_000_000
    assert said["changed"] < said["expires"]
    assert said["operations"] == 2  # signed in, and filled
    found = fields(said)
    assert found["cart"][0] == "dict of 3"
    assert found["count"] == ("int", 1, None)
    assert found["csrf_token"] == ("str", len(PIN) + 1, None)
    assert found["@subject"] == ("moored", 3, "'ann'")
    assert found["@verifier"] == ("moored", 16, None)
    assert found["@created"][2] is not None
    assert said["size"] == sum(size + len(name) + (name[0] != "@") for name, (_, size, _) in found.items())
    assert VALUE not in done.output

    shown = run("inspect", f"session:{selector}", "--url", url)
    assert shown.stdout.splitlines()[0] == f"record      session:{selector}"
    assert VALUE not in shown.output


def test_values_only_where_they_are_asked_for(kept: tuple[Flask, str, str], url: str) -> None:
    _, selector, cookie = kept
    for as_json in ((), ("--json",)):
        done = run("inspect", f"session:{selector}", "--values", *as_json, "--url", url)
        assert done.exit_code == 0
        assert VALUE in done.stdout
        assert PIN not in done.stdout
        assert cookie not in done.stdout
    found = fields(members(run("inspect", f"session:{selector}", "--values", "--json", "--url", url)))
    assert found["count"][2] == "3"
    assert found["csrf_token"][2] == "(hidden)"
    assert (
        found["cart"][2] == f"{{'book': '{VALUE}', 'access_token': (hidden), 'items': [{{'pin': (hidden)}}]}}"
    )


def test_a_subject_and_their_sessions(kept: tuple[Flask, str, str], url: str) -> None:
    app, selector, _ = kept
    signed_in(app, "ann", agent="curl/8.5.0").get("/out")
    other = signed_in(app, "ann", agent="curl/8.5.0")
    said = members(run("inspect", "subject:ann", "--json", "--url", url))
    assert fields(said)["@epoch"] == ("moored", 16, None)
    assert [(each["status"], each["device"][:4]) for each in said["sessions"]] == [
        ("alive", "curl"),
        ("alive", "Mozi"),
    ]
    assert said["sessions"][1]["selector"] == selector
    assert set(said["sessions"][0]) == {"selector", "status", "listed", "device", "address"}
    shown = run("inspect", "subject:ann", "--url", url).stdout
    assert f"{selector}  alive   Firefox, Linux  127.0.0.1" in shown
    assert other.get("/who").text == "ann"


def test_what_is_kept_of_a_subject(shop: Flask, url: str) -> None:
    """Their sessions, those that are being ended and why, and the browsers that remember them."""
    signed_in(shop, "ann")
    state = mooring(shop).state
    (info,) = state.sessions.of("ann")
    entries = {
        browser_field("b" * 16): msgpack.encode([1_000, info.selector]),
        browser_field("c" * 16): b"\xc1",
        ending_field("d" * 16): EndReason.BY_OPERATOR.code,
    }

    async def write() -> None:
        await Patch("subject:ann", entries, stamp={"@revoked": 0, "@ended": 0})

    state.binding.run(write())
    found = fields(members(run("inspect", "subject:ann", "--json", "--url", url)))
    assert found[entry_field(info.selector)][0] == "session"
    assert found["b." + "b" * 16] == ("browser", 21, f"1970-01-01T00:00:01+00:00 session:{info.selector}")
    assert found["b." + "c" * 16] == ("browser", 1, "(damaged)")
    assert found["e." + "d" * 16] == ("ending", 1, "'revoked by an operator'")
    for name in ("@listed", "@revoked", "@ended"):
        assert str(found[name][2]).startswith("20"), name


def test_a_counter(shop: Flask, url: str) -> None:
    state = mooring(shop).state
    state.counter("visits").add(41)
    state.counter("visits").add(1)
    for name in ("visits", "x" * 300):
        state.counter(name).add(0)
        done = run("inspect", f"counter:{name}", "--values", "--json", "--url", url)
        assert done.exit_code == 0
    said = members(run("inspect", "counter:visits", "--values", "--json", "--url", url))
    assert fields(said) == {"n": ("counter", 2, "42")}
    assert said["expires"] is None
    assert said["operations"] == 3
    assert fields(members(run("inspect", "counter:visits", "--json", "--url", url)))["n"][2] is None


def test_an_ended_session(kept: tuple[Flask, str, str], url: str) -> None:
    _, selector, _ = kept
    assert run("sessions", "revoke", selector, "--yes", "--url", url).exit_code == 0
    done = run("inspect", f"session:{selector}", "--json", "--url", url)
    assert done.exit_code == 0
    said = members(done)
    assert said["status"] == "ended"
    assert fields(said) == {"@note": ("moored", 22, "'revoked by an operator'")}


def test_what_is_not_there(shop: Flask, url: str) -> None:
    for key in (f"session:{NOWHERE}", "subject:nobody", "counter:none"):
        assert run("inspect", key, "--url", url).exit_code == 1
        done = run("inspect", key, "--json", "--url", url)
        assert done.exit_code == 1
        assert members(done) == {"key": key, "status": "unknown"}


def test_what_is_no_key_is_not_repeated(kept: tuple[Flask, str, str], url: str) -> None:
    _, selector, cookie = kept
    for key in (cookie, f"session:{cookie}", f"cookie:{cookie}", "session:", selector):
        done = run("inspect", key, "--url", url)
        assert done.exit_code == 2
        assert key.rpartition(":")[2] not in done.output or key == "session:"
        assert cookie not in done.output


def test_looking_changes_nothing(kept: tuple[Flask, str, str], url: str) -> None:
    app, selector, _ = kept
    keys = (f"session:{selector}", "subject:ann")

    def all_of_it() -> list[dict[str, Any]]:
        return [members(run("inspect", key, "--values", "--json", "--url", url)) for key in keys]

    before = all_of_it()
    sent: list[Any] = []
    state = mooring(app).state
    state.observe(sent.append)
    for key in keys:
        assert run_in(app, "inspect", key).exit_code == 0
    assert {command for each in sent for command in each.commands} == {"Read"}
    assert all_of_it() == before


def test_a_field_that_is_damaged(shop_at: MakeShop, sqlite_url: str) -> None:
    app = shop_at(sqlite_url)
    signed_in(app, "ann")
    state = mooring(app).state
    (info,) = state.sessions.of("ann")

    async def damage() -> None:
        await Patch(f"session:{info.selector}", {".cart": b"\xc1", "@seen": b"soon"})
        await Add("counter:damaged")

    state.binding.run(damage())
    found = fields(
        members(run("inspect", f"session:{info.selector}", "--values", "--json", "--url", sqlite_url))
    )
    assert found["cart"] == ("damaged", 1, None)
    assert found["@seen"] == ("moored", 4, "(damaged)")


@pytest.mark.parametrize("when", [b"9" * 18, b"-" + b"9" * 18])
def test_an_instant_that_is_in_no_calendar(shop: Flask, url: str, when: bytes) -> None:
    """A damaged record is told of, in one line or in JSON, by every command that looks at it."""
    signed_in(shop, "ann")
    state = mooring(shop).state
    (info,) = state.sessions.of("ann")
    session = f"session:{info.selector}"
    entry = msgpack.encode([int(when), "", ""])

    async def damage() -> None:
        await Patch(session, {"@created": when, "@seen": when})
        await Patch("subject:ann", {"@ended": when, f"s.{info.selector}": entry})

    state.binding.run(damage())
    found = fields(members(run("inspect", session, "--json", "--url", url)))
    assert found["@created"] == ("moored", len(when), "(damaged)")
    for words in (
        ("inspect", "subject:ann"),
        ("top", "--once"),
        ("sessions", "list"),
        ("sessions", "list", "--subject", "ann"),
        ("sessions", "show", info.selector),
    ):
        done = run(*words, "--url", url)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done
        assert "the record is damaged" in done.stderr
        done = run(*words, "--json", "--url", url)
        assert done.exit_code == 1
        assert set(members(done)) == {"error"}
