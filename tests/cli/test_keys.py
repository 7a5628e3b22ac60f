"""``moored keys``: a key is replaced while sessions live, and nobody is signed out by it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from tests.cli.conftest import MakeShop
from tests.cli.shop import SECRET, members, run, run_in, signed_in, who

from moored.cli import env_file, keys
from moored.cli.keys import key_id
from moored.errors import ConfigurationError
from moored.web.secret import Keys, from_variables, read_file, to_variables, write_file

ONE, TWO, THREE = (letter * 40 for letter in "abc")

# Runs a command, and is killed at the so-manieth thing that it does to a file.
KILLED = """
import os, signal, sys
left = int(sys.argv[1])
def count(event, _):
    global left
    if armed and event in ("open", "os.rename", "os.remove", "os.chmod", "os.chown", "tempfile.mkstemp"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
armed = False
sys.addaudithook(count)
from moored.cli import keys, key_places
from moored.cli.program import program
act = key_places.replace
def replace(*args):
    global armed
    armed = True
    act(*args)
    armed = False
keys.replace = replace
program(sys.argv[2:])
"""


def roles(*more: str, **env: str) -> list[str]:
    done = run("keys", "list", "--json", *more, **env)
    return [key["role"] for key in members(done)["keys"]]


def moved_to(app: Flask, client: FlaskClient) -> FlaskClient:
    """The same browser, at another process."""
    cookie = client.get_cookie("session")
    assert cookie is not None
    other = app.test_client()
    other.set_cookie("session", cookie.value)
    return other


# --- Rotating where Moored keeps the key -----------------------------------------------------------


@pytest.mark.parametrize("place", ["env", "file"])
def test_nobody_is_signed_out_by_a_rotation_process_by_process(
    shop_at: MakeShop, sqlite_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Two processes; at each step one is restarted and the other is not yet."""
    if place == "env":
        assert run("init", "--url", sqlite_url).exit_code == 0

    def started() -> Flask:
        """A process that starts now: it reads its keys at once, and keeps them."""
        with monkeypatch.context() as patch:
            for name, value in env_file.values(folder).items():
                patch.setenv(name, value)
            app = shop_at(sqlite_url, SECRET_KEY=None)
            app.test_client().get("/visit")
            return app

    def rotate(*more: str) -> str:
        did: str = members(run("keys", "rotate", "--json", "--url", sqlite_url, *more))["did"]
        return did

    old, browsers = started(), list[FlaskClient]()
    other = started()

    def all_are_known_everywhere(step: str) -> None:
        browsers.append(signed_in(old, f"ann {step}"))
        browsers.append(signed_in(other, f"bob {step}"))
        for app in (old, other):
            assert [who(moved_to(app, each))[:3] for each in browsers] == ["ann", "bob"] * (
                len(browsers) // 2
            )

    all_are_known_everywhere("before")
    assert rotate() == "staged"
    assert roles("--url", sqlite_url) == ["active", "staged"]
    old = started()
    all_are_known_everywhere("one knows the new key")
    other = started()
    assert rotate("--yes") == "activated"
    assert roles("--url", sqlite_url) == ["active", "accepted"]
    old = started()
    all_are_known_everywhere("one uses the new key")
    other = started()
    all_are_known_everywhere("both use the new key")
    assert rotate("--drop-old", "--yes") == "dropped"
    assert roles("--url", sqlite_url) == ["active"]
    last = started()
    known = [who(moved_to(last, each)) for each in browsers]
    assert known[-2:] == ["ann both use the new key", "bob both use the new key"]
    assert known[0] == "nobody"
    done = run("keys", "rotate", "--drop-old", "--yes", "--url", sqlite_url)
    assert (done.exit_code, done.stdout) == (1, "There is no old key to drop.\n")


def test_files_stay_the_owners_own(shop_at: MakeShop, sqlite_url: str, folder: Path) -> None:
    signed_in(shop_at(sqlite_url, SECRET_KEY=None), "ann")
    kept = folder / "moored.db-secret"
    before = kept.read_text().strip()
    assert run("keys", "rotate", "--url", sqlite_url).exit_code == 0
    assert kept.stat().st_mode & 0o777 == 0o600
    first, second = kept.read_text().splitlines()
    assert first == before
    assert second.startswith("staged ")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("tmp")) == []


def test_the_file_env_keeps_what_is_not_ours(folder: Path) -> None:
    (folder / ".env").write_text(
        f"# ours\nA='b c' # d\nexport MOORED_SECRET={ONE}\n\nMOORED_SECRET={TWO}\nE=f"
    )
    (folder / ".env").chmod(0o644)
    done = run("keys", "rotate")
    assert done.exit_code == 0
    assert "Bring the changed .env to every host" in done.stdout
    lines = (folder / ".env").read_text().splitlines()
    assert lines[:5] == ["# ours", "A='b c' # d", "", f"MOORED_SECRET={TWO}", "E=f"]
    assert lines[5].startswith("MOORED_SECRET_NEXT=")
    assert len(lines) == 6
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    staged = env_file.values(folder)["MOORED_SECRET_NEXT"]
    assert run("keys", "rotate", "--yes").exit_code == 0
    assert from_variables(env_file.values(folder)) == Keys(staged, "", (TWO,))


def test_a_secret_that_a_list_cannot_hold(folder: Path) -> None:
    (folder / ".env").write_text(f"MOORED_SECRET='{SECRET}'\nMOORED_SECRET_NEXT={TWO}\n")
    for as_json in ((), ("--json",)):
        done = run("keys", "rotate", "--yes", *as_json)
        assert done.exit_code == 4
        assert "has a space in it" in done.stderr
    assert env_file.values(folder)["MOORED_SECRET"] == SECRET


def test_the_file_env_stays_as_it_is_to_the_byte(folder: Path) -> None:
    """Ends of lines, bytes that are no text, what only Python takes for the end of a line, and exports."""
    rest = b"N=\xe4\r\nO='\xe2\x80\xa8 \x0c \xc2\x85'\r\n"
    mine = f"  export MOORED_SECRET={ONE} # of the shop\r\n".encode()
    (folder / ".env").write_bytes(rest + mine + rest)
    assert run("keys", "rotate").exit_code == 0
    staged = env_file.values(folder)["MOORED_SECRET_NEXT"]
    after = f"export MOORED_SECRET_NEXT={staged}\r\n".encode()
    assert (folder / ".env").read_bytes() == rest + mine + rest + after
    assert run("keys", "rotate", "--yes").exit_code == 0
    mine = f"export MOORED_SECRET={staged}\r\n".encode()
    after = f"export MOORED_SECRET_FALLBACKS={ONE}\r\n".encode()
    assert (folder / ".env").read_bytes() == rest + mine + rest + after


@pytest.mark.parametrize("odd", ["'", "\\", "${HOME}", "\u00e4", '"'])
def test_a_secret_that_programs_read_differently(folder: Path, odd: str) -> None:
    """After the rotation it would be another one to some of them, and sign everybody out."""
    secret = f"{ONE}{odd}{TWO}"
    text = f"MOORED_SECRET={shlex.quote(secret)}\nMOORED_SECRET_NEXT={THREE}\n"
    (folder / ".env").write_text(text)
    done = run("keys", "rotate", "--yes", "--json")
    if odd == '"':
        assert done.exit_code == 0
        assert from_variables(env_file.values(folder)) == Keys(THREE, "", (secret,))
        assert f"MOORED_SECRET_FALLBACKS='{secret}'\n" in (folder / ".env").read_text()
        return
    assert done.exit_code == 4
    assert "understand alike" in members(done)["error"]["message"]
    assert secret not in done.output
    assert (folder / ".env").read_text() == text


@pytest.mark.parametrize("place", ["env", "file"])
def test_of_two_who_rotate_at_once_one_is_told(
    folder: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """One is asked whether to, and the other goes on meanwhile: what it did is not undone."""
    if place == "env":
        (folder / ".env").write_text(f"MOORED_SECRET={ONE}\nMOORED_SECRET_NEXT={TWO}\n")
    else:
        write_file(folder / "moored.db-secret", Keys(ONE, TWO))

    def asked(*_: object) -> None:
        monkeypatch.undo()
        monkeypatch.chdir(folder)
        assert run("keys", "rotate", "--yes", "--url", sqlite_url).exit_code == 0
        assert run("keys", "rotate", "--url", sqlite_url).exit_code == 0

    monkeypatch.setattr(keys, "confirm", asked)
    done = run("keys", "rotate", "--json", "--url", sqlite_url)
    assert done.exit_code == 4
    assert "Somebody else changed the keys" in members(done)["error"]["message"]
    found = read_file(folder / "moored.db-secret") if place == "file" else None
    found = found or from_variables(env_file.values(folder))
    assert found is not None
    assert (found.active, found.accepted) == (TWO, (ONE,))
    assert found.staged


@pytest.mark.parametrize("place", ["env", "file"])
def test_one_that_is_killed_leaves_all_keys_or_the_new_ones(
    folder: Path, sqlite_url: str, place: str
) -> None:
    before = Keys(ONE, TWO)
    kept = folder / (".env" if place == "env" else "moored.db-secret")

    def now() -> Keys | None:
        return from_variables(env_file.values(folder)) if place == "env" else read_file(kept)

    after = None
    for step in range(1, 200):
        write_file(kept, before)
        if place == "env":
            kept.write_text(f"MOORED_SECRET={ONE}\nMOORED_SECRET_NEXT={TWO}\n")
        child = subprocess.run(
            [sys.executable, "-c", KILLED, str(step), "keys", "rotate", "--yes", "--url", sqlite_url],
            stdout=subprocess.DEVNULL,
            check=False,
        )
        after = now()
        assert after in (before, Keys(TWO, "", (ONE,)))
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL
        drafts = [path for path in folder.iterdir() if path.name.startswith(f"{kept.name}.")]
        for draft in drafts:
            assert draft.stat().st_mode & 0o777 == 0o600
            draft.unlink()
    assert after == Keys(TWO, "", (ONE,))


def test_what_is_asked(folder: Path) -> None:
    (folder / ".env").write_text(f"MOORED_SECRET={ONE}\nMOORED_SECRET_FALLBACKS={TWO}\n")
    assert run("keys", "rotate", "--drop-old").exit_code == 2
    assert run("keys", "rotate").exit_code == 0  # staging undoes nothing, so nothing is asked
    done = run("keys", "rotate")
    assert done.exit_code == 2
    assert "Whether every process was restarted cannot be seen from here" in done.stderr
    assert roles() == ["active", "staged", "accepted"]


# --- Where it is not Moored's to write --------------------------------------------------------------


def test_keys_of_the_environment_are_changed_by_hand(folder: Path) -> None:
    done = run("keys", "rotate", "--json", MOORED_SECRET=ONE, MOORED_SECRET_FALLBACKS=f"{TWO} {THREE}")
    assert done.exit_code == 4
    said = members(done)
    assert said["did"] == "by hand"
    assert [key["role"] for key in said["keys"]] == ["active", "accepted", "accepted"]
    assert "MOORED_SECRET_NEXT" in said["told"][2]
    (folder / ".env").write_text(f"MOORED_SECRET={TWO}\n")
    (key,) = members(run("keys", "list", "--json", MOORED_SECRET=ONE))["keys"]
    assert (key["id"], key["where"]) == (key_id(ONE), "the environment (.env has another)")


def test_keys_of_an_app_are_changed_by_hand(shop_at: MakeShop, url: str) -> None:
    app = shop_at(url, SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=["short"])
    done = run_in(app, "keys", "rotate")
    assert done.exit_code == 4
    assert "2. Put it into SECRET_KEY_FALLBACKS (a list)" in done.stdout
    first, second = members(run_in(app, "keys", "list", "--json"))["keys"]
    where = "SECRET_KEY of the app"
    assert first == {"id": key_id(SECRET), "role": "active", "where": where, "weak": False}
    assert second == {"id": key_id("short"), "role": "accepted", "where": where, "weak": True}


def test_an_app_that_uses_the_key_of_env(
    shop_at: MakeShop, sqlite_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/cli.md shows: SECRET_KEY = os.environ["MOORED_SECRET"]."""
    (folder / ".env").write_text(f"MOORED_SECRET={ONE}\n")
    monkeypatch.setenv("MOORED_SECRET", ONE)
    app = shop_at(sqlite_url, SECRET_KEY=os.environ["MOORED_SECRET"])
    ann = signed_in(app, "ann")
    done = run_in(app, "keys", "rotate")
    assert done.exit_code == 0
    assert "SECRET_KEY of the app is the same key" in done.stdout
    assert "`flask moored keys rotate`" in done.stdout
    assert run_in(app, "keys", "rotate", "--yes").exit_code == 0
    for name, value in env_file.values(folder).items():
        monkeypatch.setenv(name, value)
    restarted = shop_at(sqlite_url, SECRET_KEY=os.environ["MOORED_SECRET"])
    assert who(moved_to(restarted, ann)) == "ann"
    found = members(run_in(restarted, "config", "show", "--json"))["settings"]
    assert {
        "name": "secret",
        "value": "set, and 1 more",
        "source": "SECRET_KEY of the app",
        "unit": "",
    } in found


def test_no_key(url: str) -> None:
    for words in (("keys", "list"), ("keys", "rotate")):
        assert run(*words, "--url", url).exit_code == 1
        assert members(run(*words, "--json", "--url", url))["keys"] == []


# --- Reading and writing them -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "some", [Keys(ONE), Keys(ONE, TWO), Keys(ONE, "", (TWO, THREE)), Keys(ONE, TWO, (THREE,))]
)
def test_keys_are_read_as_written(folder: Path, some: Keys) -> None:
    write_file(folder / "secret", some)
    assert read_file(folder / "secret") == some
    variables = {name: value for name, value in to_variables(some).items() if value}
    assert from_variables(variables) == some
    assert ONE not in repr(some)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        f"{ONE}\n{TWO}\n",
        f"{ONE}\nstaged {TWO}\nstaged {THREE}\n",
        f"staged {ONE}\n",
        f"{ONE}\nold {TWO}",
        f"{ONE}\naccepted cut",
    ],
)
def test_a_file_that_is_damaged_is_refused(
    folder: Path, sqlite_url: str, shop_at: MakeShop, text: str
) -> None:
    (folder / "moored.db-secret").write_text(text)
    with pytest.raises(ConfigurationError, match="holds no secret"):
        read_file(folder / "moored.db-secret")
    for words in (("keys", "list"), ("keys", "rotate", "--json")):
        assert run(*words, "--url", sqlite_url).exit_code == 2


def test_a_file_that_cannot_be_replaced_stays(folder: Path) -> None:
    write_file(folder / "secret", Keys(ONE))
    with pytest.raises(UnicodeEncodeError):
        write_file(folder / "secret", Keys("\ud800" * 40))
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert read_file(folder / "secret") == Keys(ONE)


def shown(done: Result) -> list[list[str]]:
    return [line.split() for line in done.stdout.splitlines()]


def test_for_people(folder: Path) -> None:
    (folder / ".env").write_text(f"MOORED_SECRET=short\nMOORED_SECRET_NEXT={TWO}\n")
    assert shown(run("keys", "list")) == [
        ["KEY", "ROLE", "STRENGTH", "KEPT", "IN"],
        [key_id("short"), "active", "weak", ".env"],
        [key_id(TWO), "staged", "weak", ".env"],  # forty times the same letter
    ]
