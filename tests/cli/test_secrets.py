"""No secret is ever shown: not in what commands find, not in their errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import MakeShop
from tests.cli.shop import NOWHERE, run, run_in, signed_in

from moored.cli import env_file
from moored.commands import Read, Record
from moored.flask.extension import mooring
from moored.testing.servers import RedisServer, free_port
from moored.web.secret import read_file

PASSWORD = "pw-of-redis-5f1c"
KEY = "the-key-9d2e-of-the-application"
OLD_KEY = "the-key-before-77aa"

COMMANDS = (
    ("sessions", "list"),
    ("sessions", "list", "--subject", "ann"),
    ("sessions", "show", NOWHERE),
    ("sessions", "revoke", NOWHERE, "--yes"),
    ("sessions", "revoke-subject", "ann", "--yes"),
    ("config", "show"),
    ("config", "check"),
    ("inspect", "subject:ann"),
    ("inspect", f"session:{NOWHERE}", "--values"),
    ("top", "--once"),
    ("gc",),
    ("keys", "list"),
    ("doctor",),
    ("doctor", "--thorough"),
    ("init",),
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    with RedisServer(password=PASSWORD) as server:
        yield server


def shows_nothing(output: str) -> None:
    for secret in (PASSWORD, KEY, OLD_KEY):
        assert secret not in output
        assert repr(secret)[1:-1] not in output


URLS = {
    "right": "redis://:{password}@127.0.0.1:{port}/0",
    "wrong": "redis://:{password}x@127.0.0.1:{port}/0",
    "nobody there": "redis://user:{password}@127.0.0.1:{closed}/0",
    "as an option": "redis://127.0.0.1:{port}/0?password={password}",
    "unescaped": "redis://:{password}#{password}/1@127.0.0.1:{port}/0",
    "no slashes": "redis:user:{password}@127.0.0.1:{port}/0",
    "one slash": "rediss:/:{password}@127.0.0.1:{port}/0",
    "backslashes": "redis:\\\\user:{password}@127.0.0.1:{port}/0",
    "misspelt option": "redis://127.0.0.1:{port}/0?pasword={password}",
    "unknown scheme": "redsi://:{password}@127.0.0.1/0",
    "no such database": "redis://:{password}@127.0.0.1:{port}/shop",
}


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("how", ["argument", "environment", "file"])
def test_passwords_in_urls(guarded: RedisServer, folder: Path, kind: str, how: str) -> None:
    url = URLS[kind].format(password=PASSWORD, port=guarded.port, closed=free_port())
    for words, as_json in itertools.product(COMMANDS, ((), ("--json",))):
        (folder / ".env").write_text(f"MOORED_URL='{url}'\nMOORED_SECRET={KEY}\n" if how == "file" else "")
        given = ("--url", url) if how == "argument" else ()
        env = {"MOORED_URL": url, "MOORED_SECRET": KEY} if how == "environment" else {}
        done = run(*words, *as_json, *given, **env)
        assert isinstance(done.exception, SystemExit | None), done.exception
        shows_nothing(done.output)
        if how == "argument" and kind in ("right", "wrong"):
            assert "can read the password in --url" in done.stderr


def test_keys_of_an_app(shop_at: MakeShop, sqlite_url: str) -> None:
    app = shop_at(sqlite_url, SECRET_KEY=KEY, SECRET_KEY_FALLBACKS=[OLD_KEY])
    cookie = signed_in(app, "ann").get_cookie("session")
    assert cookie is not None
    (info,) = mooring(app).state.sessions.of("ann")
    output = ""
    for words, as_json in itertools.product(COMMANDS[:-1], ((), ("--json",))):
        output += run_in(app, *words, *as_json).output
    assert info.selector in output
    output += run_in(app, "sessions", "show", cookie.value).output  # a cookie is no selector
    shows_nothing(output)
    assert cookie.value not in output


def test_a_short_key(shop_at: MakeShop) -> None:
    done = run_in(shop_at("memory:", SECRET_KEY="k3y-4me"), "doctor")
    assert done.exit_code == 1
    assert "k3y-4me" not in done.output


def test_init_does_not_show_what_it_wrote(folder: Path) -> None:
    done = run("init")
    written = (folder / ".env").read_text().partition("MOORED_SECRET=")[2].strip()
    assert len(written) == 43
    assert written not in done.output
    assert written not in run("config", "show").output


def test_rotating_shows_no_key(folder: Path, sqlite_url: str, shop_at: MakeShop) -> None:
    (folder / ".env").write_text(f"MOORED_SECRET={KEY}\nMOORED_SECRET_FALLBACKS={OLD_KEY}\n")
    signed_in(shop_at(sqlite_url, SECRET_KEY=None), "ann")  # with a secret of its own, in a file
    output = ""
    made: set[str] = set()
    for words, as_json in itertools.product(
        (("rotate",), ("list",), ("rotate", "--drop-old")), ((), ("--json",))
    ):
        output += run("keys", *words, *(["--yes"] if words[0] == "rotate" else []), *as_json).output
        output += run("keys", *words, *as_json, MOORED_SECRET=KEY).output
        written = env_file.values(folder)
        made |= {secret for name in written if "SECRET" in name for secret in written[name].split()}
    shows_nothing(output)
    assert len(made) == 3  # and one that was made
    (folder / ".env").unlink()
    output += run("keys", "rotate", "--url", sqlite_url).output
    output += run("keys", "rotate", "--yes", "--json", "--url", sqlite_url).output
    output += run("keys", "list", "--json", "--url", sqlite_url).output
    kept = read_file(folder / "moored.db-secret").ring
    assert len(kept) == 2
    for secret in (*made, *kept):
        assert secret not in output


def test_top_and_inspect_show_no_digest(shop_at: MakeShop, url: str) -> None:
    app = shop_at(url)
    signed_in(app, "ann")
    state = mooring(app).state
    (info,) = state.sessions.of("ann")

    async def read(key: str) -> Record | None:
        return await Read(key)

    session, subject = (state.binding.run(read(key)) for key in (f"session:{info.selector}", "subject:ann"))
    assert session is not None
    assert subject is not None
    output = ""
    for words in (
        ("inspect", f"session:{info.selector}", "--values"),
        ("inspect", "subject:ann", "--values"),
        ("top",),
    ):
        for as_json in ((), ("--json",)):
            output += run(*words, *as_json, "--url", url).output
    assert info.selector in output
    digest = session.fields["@verifier"]
    for secret in (repr(digest)[2:-1], digest.hex(), subject.fields["@epoch"].decode()):
        assert secret not in output
