"""``moored sessions``: on SQLite and on Redis, with the sessions of a real application."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from tests.cli.conftest import MakeShop
from tests.cli.shop import NOWHERE, members, run, run_in, signed_in, who

from moored.flask.extension import mooring


def selectors_of(app: Flask, subject: str) -> list[str]:
    return [info.selector for info in mooring(app).state.sessions.of(subject)]


def test_the_sessions_of_a_subject(shop: Flask, url: str) -> None:
    signed_in(shop, "ann")
    signed_in(shop, "ann", agent="curl/8.5.0")
    signed_in(shop, "bob")

    shown = run("sessions", "list", "--subject", "ann", "--url", url)
    assert shown.exit_code == 0
    heads, *rows = shown.stdout.splitlines()
    assert heads.split() == ["SELECTOR", "DEVICE", "ADDRESS", "CREATED", "LAST", "SEEN", "EXPIRES"]
    assert sorted(row[:16] for row in rows) == sorted(selectors_of(shop, "ann"))
    assert {row[18:32].strip() for row in rows} == {"Firefox, Linux", "curl/8.5.0"}
    assert shown.stderr == ""

    said = members(run("sessions", "list", "--subject", "ann", "--json", "--url", url))
    assert said["subject"] == "ann"
    assert said["more"] is False
    assert {session["selector"] for session in said["sessions"]} == set(selectors_of(shop, "ann"))
    for session in said["sessions"]:
        assert session["subject"] == "ann"
        assert session["address"] == "127.0.0.1"
        created = datetime.fromisoformat(session["created"])
        assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)
        assert datetime.fromisoformat(session["expires"]) > created


def test_all_sessions_but_ended_ones(shop: Flask, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moored.cli.sessions.PAGE", 2)
    for name in ("ann", "bob", "cyd"):
        signed_in(shop, name)
    shop.test_client().get("/visit")
    signed_in(shop, "dan").get("/out")

    said = members(run("sessions", "list", "--json", "--url", url))
    assert sorted([str(session["subject"]) for session in said["sessions"]]) == ["None", "ann", "bob", "cyd"]
    assert said["more"] is False
    shown = run("sessions", "list", "--url", url)
    assert len(shown.stdout.splitlines()) == 5
    assert "(nobody)" in shown.stdout


@pytest.mark.parametrize(("limit", "listed", "more"), [("2", 2, True), ("3", 3, False), ("0", 3, False)])
@pytest.mark.parametrize("subject", [None, "ann"])
def test_a_limit(shop: Flask, url: str, limit: str, listed: int, more: bool, subject: str | None) -> None:
    for _ in range(3):
        signed_in(shop, "ann")
    for _ in range(3):
        signed_in(shop, "ann").get("/out")  # these do not count
    words = ["sessions", "list", "--limit", limit, "--url", url, *(["--subject", subject] if subject else [])]
    said = members(run(*words, "--json"))
    assert (len(said["sessions"]), said["more"]) == (listed, more)
    assert ("--limit 0 shows all" in run(*words).stderr) == more


def test_nothing_to_list(shop: Flask, url: str) -> None:
    for words in (["sessions", "list"], ["sessions", "list", "--subject", "ann"]):
        assert run(*words, "--url", url).exit_code == 0
        assert members(run(*words, "--json", "--url", url))["sessions"] == []


def test_a_file_that_is_not_there_is_not_made(sqlite_url: str) -> None:
    listed = run("sessions", "list", "--json", "--url", sqlite_url)
    assert listed.exit_code == 0
    assert members(listed)["sessions"] == []
    assert listed.stderr.startswith("There is no state at sqlite:///")
    assert run("sessions", "show", NOWHERE, "--url", sqlite_url).exit_code == 1
    assert run("sessions", "list", "--url", sqlite_url).stderr == listed.stderr


def test_show_a_living_one(shop: Flask, url: str) -> None:
    signed_in(shop, "ann")
    (selector,) = selectors_of(shop, "ann")
    shown = run("sessions", "show", selector, "--url", url)
    assert shown.exit_code == 0
    lines = {line[:9].strip(): line[11:] for line in shown.stdout.splitlines()}
    assert lines["session"] == selector
    assert (lines["status"], lines["subject"]) == ("alive", "ann")
    assert lines["expires"].endswith("(in 31 d)")
    said = members(run("sessions", "show", selector, "--json", "--url", url))
    assert (said["status"], said["subject"], said["selector"]) == ("alive", "ann", selector)


def sign_out(app: Flask, client: FlaskClient, url: str, selector: str) -> None:
    client.get("/out")


def sign_out_everywhere(app: Flask, client: FlaskClient, url: str, selector: str) -> None:
    assert run("sessions", "revoke-subject", "ann", "--yes", "--url", url).exit_code == 0


def revoke_as_owner(app: Flask, client: FlaskClient, url: str, selector: str) -> None:
    assert mooring(app).state.sessions.revoke(selector, subject="ann")


def revoke_as_operator(app: Flask, client: FlaskClient, url: str, selector: str) -> None:
    assert run("sessions", "revoke", selector, "--yes", "--url", url).exit_code == 0


def sign_in_as_another(app: Flask, client: FlaskClient, url: str, selector: str) -> None:
    client.get("/in/bob")


def sign_in_elsewhere(app: Flask, client: FlaskClient, url: str, selector: str) -> None:
    signed_in(app, "ann")


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (sign_out, "signed out"),
        (sign_out_everywhere, "signed out everywhere"),
        (revoke_as_owner, "revoked"),
        (revoke_as_operator, "revoked by an operator"),
        (sign_in_as_another, "replaced by another sign-in"),
        (sign_in_elsewhere, "over the maximum"),
    ],
)
def test_show_why_it_ended(
    shop_at: MakeShop, url: str, end: Callable[[Flask, FlaskClient, str, str], None], why: str
) -> None:
    app = shop_at(url, MOORED_SESSIONS_PER_SUBJECT=1)
    client = signed_in(app, "ann")
    (selector,) = selectors_of(app, "ann")
    end(app, client, url, selector)

    shown = run("sessions", "show", selector, "--url", url)
    assert shown.exit_code == 0
    lines = {line[:7].strip(): line[9:] for line in shown.stdout.splitlines()}
    assert lines["session"] == selector
    assert (lines["status"], lines["why"]) == ("ended", why)
    said = members(run("sessions", "show", selector, "--json", "--url", url))
    assert (said["status"], said["reason"]) == ("ended", why)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(said["ended"])) < timedelta(minutes=5)


def test_show_one_that_never_was(shop: Flask, url: str) -> None:
    shown = run("sessions", "show", NOWHERE, "--url", url)
    assert shown.exit_code == 1
    assert shown.stdout.startswith(f"Nothing is known of {NOWHERE}")
    said = run("sessions", "show", NOWHERE, "--json", "--url", url)
    assert said.exit_code == 1
    assert members(said) == {"selector": NOWHERE, "status": "unknown"}


def test_revoke(shop: Flask, url: str) -> None:
    ann, other = signed_in(shop, "ann"), signed_in(shop, "bob")
    (selector,) = selectors_of(shop, "ann")
    first = run("sessions", "revoke", selector, "--yes", "--url", url)
    assert (first.exit_code, first.stdout) == (0, f"{selector} was ended.\n")
    assert (who(ann), who(other)) == ("nobody", "bob")

    again = run("sessions", "revoke", selector, "--yes", "--json", "--url", url)
    assert again.exit_code == 1
    assert members(again) == {"selector": selector, "ended": False}


def test_revoke_a_subject(shop: Flask, url: str) -> None:
    browsers = [signed_in(shop, "ann") for _ in range(3)]
    bob = signed_in(shop, "bob")
    keep, *others = selectors_of(shop, "ann")
    done = run("sessions", "revoke-subject", "ann", "--keep", keep, "--yes", "--json", "--url", url)
    assert done.exit_code == 0
    said = members(done)
    assert sorted(said.pop("ended")) == sorted(others)
    assert said == {"subject": "ann", "keep": keep}
    assert sorted(map(who, browsers)) == ["ann", "nobody", "nobody"]
    assert who(bob) == "bob"

    rest = run("sessions", "revoke-subject", "ann", "-y", "--url", url)
    assert rest.stdout == "ann is signed out everywhere: 1 session ended.\n"
    assert set(map(who, browsers)) == {"nobody"}
    nobody = run("sessions", "revoke-subject", "zoe", "-y", "--url", url)
    assert (nobody.exit_code, nobody.stdout) == (0, "zoe is signed out everywhere: 0 sessions ended.\n")


def test_what_a_stranger_wrote_is_not_obeyed(shop: Flask, url: str) -> None:
    signed_in(shop, "eve%1B[2J", agent="\x1b]0;owned\x07[red]x")
    for words in (["list"], ["list", "--subject", "eve\x1b[2J"], ["revoke-subject", "eve\x1b[2J", "--yes"]):
        shown = run("sessions", *words, "--url", url)
        assert shown.exit_code == 0
        assert "\x1b" not in shown.output
        assert "\x07" not in shown.output
        assert "\\x1b" in shown.output


def test_the_same_under_flask(shop: Flask, url: str) -> None:
    ann = signed_in(shop, "ann")
    (selector,) = selectors_of(shop, "ann")
    assert run_in(shop, "sessions", "list").stdout == run("sessions", "list", "--url", url).stdout
    assert members(run_in(shop, "sessions", "show", selector, "--json"))["subject"] == "ann"
    assert run_in(shop, "sessions", "revoke", selector, "--yes").exit_code == 0
    assert who(ann) == "nobody"
    assert run_in(shop, "sessions", "list", "--url", url).exit_code == 2  # it is the app's URL
