"""The program itself: how it starts, what it loads, and what it says when something is wrong."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from tests.cli.conftest import MakeShop
from tests.cli.shop import NOWHERE, make_shop, members, process, run, run_in, signed_in, who

import moored
from moored.cli.program import COMMANDS, load, program
from moored.flask.cli import group
from moored.flask.extension import mooring
from moored.testing.servers import RedisServer, free_port

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


# --- Starting -------------------------------------------------------------------------------


def test_the_commands_and_what_they_do() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    for name, (_, what) in COMMANDS.items():
        assert re.search(rf"^  {name}\s+{re.escape(what)}$", shown.stdout, re.MULTILINE)
        command = load(name)
        assert command is not None
        assert command.name == name
        assert run(name, "--help").exit_code == 0


def test_the_version() -> None:
    assert run("--version").stdout == f"moored {moored.__version__}\n"


def test_as_a_module(folder: Path) -> None:
    shown = process("--help", folder=folder)
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: moored [OPTIONS] COMMAND")
    assert "\n    4  it refused\n" in shown.stdout
    assert shown.stderr == ""


def test_help_loads_no_more_than_it_needs(folder: Path) -> None:
    heavy = {
        "asyncio",
        "flask",
        "redis",
        "rich",
        "sqlite3",
        "werkzeug",
        *["moored.cli." + n for n in COMMANDS],
    }
    look = (
        "import sys; from moored.cli.program import program; program(['--help'], standalone_mode=False);"
        f" print({heavy} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True, cwd=folder
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_help_is_quick(folder: Path) -> None:
    """150 ms where Python itself takes 14: as a ratio of processor time, so that load does not count."""

    def seconds(*words: str) -> float:
        child = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, cwd=folder)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        return used.ru_utime + used.ru_stime

    rounds = [(seconds("-c", "pass"), seconds("-m", "moored", "--help")) for _ in range(10)]
    bare, ours = map(min, zip(*rounds, strict=True))
    assert ours < 150 / 14 * bare


def test_without_click(folder: Path) -> None:
    start = "import sys; sys.modules['click'] = None; from moored.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", start], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'moored[cli]'" in done.stderr


ADOPTING = (
    "from flask import Flask; from moored.flask import Session; app = Flask('shop'); app.config.update("
    "SECRET_KEY='a secret of these tests', MOORED_URL='memory:', SESSION_TYPE={!r}); Session(app)"
)


@pytest.mark.parametrize(
    ("package", "program", "said"),
    [
        ("flask", "import moored.flask", "not installed: pip install 'moored[flask]'."),
        ("flask", "import moored.flask.testing", "not installed: pip install 'moored[flask]'."),
        ("flask", "import moored.demo; moored.demo.serve()", "pip install 'moored[demo]' (in a clone"),
        ("argon2", "import moored.demo; moored.demo.serve()", "the demo needs argon2, not installed here"),
        ("redis", ADOPTING.format("redis"), "needs the package 'redis', which is not installed. Install it"),
        ("flask_sqlalchemy", ADOPTING.format("sqlalchemy"), "needs the package 'flask_sqlalchemy', which is"),
    ],
    ids=["flask", "flask.testing", "demo", "demo's passwords", "adopt redis", "adopt sqlalchemy"],
)
def test_what_is_missing_is_named(folder: Path, package: str, program: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules[{package!r}] = None; {program}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]


def test_a_command_that_needs_flask_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "moored.cli.adopt", raising=False)
    monkeypatch.setitem(sys.modules, "flask", None)
    done = run("adopt")
    assert done.exit_code == 2
    assert "adopt needs flask, which is not installed: pip install 'moored[flask]'." in done.stderr


# --- Exit status ------------------------------------------------------------------------------

Case = tuple[tuple[str, ...], int, str]
CASES: list[Case] = [
    (("sessions", "list", "--url", "memory:"), 0, ""),
    (("config", "show", "--url", "memory:"), 0, ""),
    (("doctor", "--url", "memory:"), 0, ""),
    (("config", "check", "--url", "memory:"), 0, ""),
    (("inspect", "counter:none", "--url", "memory:"), 1, ""),
    (("top", "--url", "memory:"), 0, ""),
    (("gc", "--url", "memory:"), 0, ""),
    (("bench", "--yes", "--seconds", "0.3", "--url", "memory:"), 0, ""),
    (("keys", "list", "--url", "memory:"), 1, ""),
    (("keys", "rotate", "--url", "memory:"), 1, ""),
    (("completion", "bash"), 0, ""),
    (("config", "check", "--url", "sqlit:///shop.db"), 1, ""),
    (("inspect", "none", "--url", "memory:"), 2, "it is session:SELECTOR, subject:ID or counter:NAME"),
    (("bench", "--url", "memory:"), 2, "give --yes"),
    (("bench", "--yes", "--clients", "0", "--url", "memory:"), 2, "0 is not in the range"),
    (("top", "--interval", "0.1", "--url", "memory:"), 2, "is not in the range"),
    (("gc", "--url", "sqlite:///not-sqlite"), 2, "is not a SQLite database"),
    (("inspect", "counter:none", "--url", "redis://127.0.0.1:{closed}"), 3, "cannot be reached"),
    (("top", "--url", "redis://127.0.0.1:{closed}"), 3, "cannot be reached"),
    (("gc", "--url", "redis://127.0.0.1:{closed}"), 3, "cannot be reached"),
    (("bench", "--yes", "--url", "redis://127.0.0.1:{closed}"), 3, "cannot be reached"),
    (("sessions", "show", NOWHERE, "--url", "redis://127.0.0.1:{closed}"), 3, "cannot be reached"),
    (("sessions", "revoke", NOWHERE, "--yes", "--url", "redis://127.0.0.1:{closed}"), 3, "cannot be reached"),
    (
        ("sessions", "revoke-subject", "a", "--yes", "--url", "redis://127.0.0.1:{closed}"),
        3,
        "cannot be reached",
    ),
    (("sessions", "show", NOWHERE, "--url", "memory:"), 1, ""),
    (("sessions", "revoke", NOWHERE, "--yes", "--url", "memory:"), 1, ""),
    (("doctor", "--url", "redis://127.0.0.1:{closed}"), 1, ""),
    (("doctor", "--url", "sqlit:///shop.db"), 1, ""),
    (("sessions", "list", "--url", "sqlit:///shop.db"), 2, "Did you mean sqlite:?"),
    (("sessions", "list", "--url", "shop.db"), 2, "has no scheme"),
    (
        ("sessions", "list", "--url", "sqlite:///shop.db?synchronus=full"),
        2,
        "has no option 'synchronus'. Did you mean",
    ),
    (("config", "show", "--url", "redis://localhost/shop"), 2, "no place of a Redis server"),
    (("sessions", "list", "--url", "sqlite:///not-sqlite"), 2, "is not a SQLite database"),
    (("sessions", "revoke", NOWHERE, "--url", "memory:"), 2, "give --yes"),
    (("sessions", "revoke-subject", "ann", "--url", "memory:"), 2, "give --yes"),
    (("sessions", "show", "ann", "--url", "memory:"), 2, "a selector is 16 letters and digits"),
    (("sessions", "list", "--limit", "-1"), 2, "-1 is not in the range"),
    (("sessions", "lst"), 2, "No such command"),
    (("sesions",), 2, "Did you mean 'sessions'?"),
    (("demo", "--port", "70000"), 2, "not in the range"),
    (("demo", "--url", "redis://localhost/?deadlin=1"), 2, "Did you mean deadline?"),
    (("sessions", "list", "--url", "redis://127.0.0.1:{closed}"), 3, "cannot be reached"),
    (("sessions", "list", "--url", "unix:///run/no-such.sock"), 3, "cannot be reached"),
    (("sessions", "list", "--url", "sqlite:///a-file/moored.db"), 0, "There is no state at"),
    (("init", "--url", "redis://other"), 4, ".env names another URL (redis://localhost)"),
]


@pytest.mark.parametrize(("words", "status", "said"), CASES, ids=[" ".join(words) for words, _, _ in CASES])
def test_exit_status(folder: Path, words: tuple[str, ...], status: int, said: str) -> None:
    (folder / "not-sqlite").write_text("a text of some length, so that SQLite looks at all of it" * 20)
    (folder / "a-file").write_text("")
    if words[0] == "init":
        (folder / ".env").write_text("MOORED_URL=redis://localhost\n")
    done = run(*[word.replace("{closed}", str(free_port())) for word in words])
    assert done.exit_code == status, done.output
    assert said in done.stderr
    assert isinstance(done.exception, SystemExit | None)
    if status > 2:
        assert re.fullmatch(r"Error: [^\n]+\n", done.stderr)


def test_errors_of_moored_are_one_line_with_their_code() -> None:
    done = run("sessions", "list", "--url", f"redis://127.0.0.1:{free_port()}")
    assert re.fullmatch(r"Error: Redis at [^\n]+ \[MRD-001\]\n", done.stderr)
    assert done.stdout == ""
    as_json = run("sessions", "list", "--json", "--url", f"redis://127.0.0.1:{free_port()}")
    assert as_json.exit_code == 3
    error = members(as_json)["error"]
    assert error["code"] == "MRD-001"
    assert as_json.stderr == f"Error: {error['message']}\n"


def test_a_server_that_refuses(redis_server: RedisServer) -> None:
    """A replica can be read from, and takes no changes."""
    app = make_shop(redis_server.url + "?prefix=refuses:")
    signed_in(app, "ann")
    (info,) = mooring(app).state.sessions.of("ann")
    with RedisServer(replica_of=redis_server) as replica:
        url = replica.url + "?prefix=refuses:"
        assert run("sessions", "show", info.selector, "--url", url).exit_code == 0
        done = run("sessions", "revoke", info.selector, "--yes", "--url", url)
        assert done.exit_code == 4
        assert "is a read-only replica" in done.stderr
        for words in (("sessions", "revoke-subject", "ann", "--yes"), ("bench", "--yes")):
            refused = run(*words, "--json", "--url", url)
            assert refused.exit_code == 4, refused.output
            assert members(refused)["error"]["code"] == "MRD-001"
        for reading in (("inspect", "subject:ann"), ("top",), ("gc",)):
            assert run(*reading, "--url", url).exit_code == 0
    mooring(app).state.close()


def test_a_damaged_record_is_a_finding(redis_server: RedisServer) -> None:
    redis_server.cli("HSET", f"damaged:session:{NOWHERE}", "v", "no number")
    done = run("sessions", "show", NOWHERE, "--url", redis_server.url + "?prefix=damaged:")
    assert done.exit_code == 1
    assert "[MRD-030]" in done.stderr


def test_a_flask_app_without_moored() -> None:
    done = run_in(Flask("bare"), "sessions", "list")
    assert done.exit_code == 2
    assert "does not use Moored: call Moored(app) first. [MRD-020]" in done.stderr


# --- Under Flask --------------------------------------------------------------------------------


def test_flask_finds_the_group(folder: Path) -> None:
    (folder / "shop.py").write_text(
        "from flask import Flask\nfrom moored.flask import Moored\n\napp = Flask('shop')\nMoored(app)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "shop", "moored", "config", "show", "--json"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"sqlite:///{folder}/instance/moored.db" in done.stdout


def test_the_same_commands_are_there() -> None:
    assert group.list_commands(None) == program.list_commands(None)  # type: ignore[arg-type] # not looked at
    assert Flask("shop").test_cli_runner().invoke(group, ("gc", "-h")).exit_code == 0


# --- At a terminal --------------------------------------------------------------------------------


@pytest.fixture
def at_terminal(folder: Path) -> Callable[..., tuple[int, str]]:
    """Runs ``moored …`` at a terminal of its own, with what a person types; exit status and screen."""

    def run(*words: str, types: str = "", **env: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        child = subprocess.Popen(
            [sys.executable, "-m", "moored", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**clean, "TERM": "xterm-256color", "COLUMNS": "100", **env},
            start_new_session=True,
        )
        os.close(theirs)
        os.write(ours, types.encode())
        screen = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux says so where others send nothing
                break
            if not piece:
                break
            screen += piece
        os.close(ours)
        return child.wait(30), screen.decode()

    return run


@pytest.mark.parametrize(("types", "status", "is_left"), [("n\n", 1, "ann"), ("y\n", 0, "nobody")])
def test_what_cannot_be_undone_is_asked(
    at_terminal: Callable[..., tuple[int, str]],
    shop_at: MakeShop,
    sqlite_url: str,
    types: str,
    status: int,
    is_left: str,
) -> None:
    app = shop_at(sqlite_url)
    ann = signed_in(app, "ann")
    (info,) = mooring(app).state.sessions.of("ann")
    done, screen = at_terminal("sessions", "revoke", info.selector, "--url", sqlite_url, types=types)
    assert f"End the session {info.selector}, of ann? [y/N]" in screen
    assert done == status
    assert who(ann) == is_left


def test_colour_at_a_terminal_only(at_terminal: Callable[..., tuple[int, str]], folder: Path) -> None:
    words = ("doctor", "--url", "memory:")
    assert "\x1b[33mwarning" in at_terminal(*words)[1]
    assert not re.search(r"\x1b\[[0-9;]*3\dm", at_terminal(*words, NO_COLOR="1")[1])
    assert "\x1b" not in process(*words, folder=folder).stdout


def test_a_narrow_terminal_leaves_selectors_whole(
    at_terminal: Callable[..., tuple[int, str]], shop_at: MakeShop, sqlite_url: str, folder: Path
) -> None:
    app = shop_at(sqlite_url)
    name = "a-very-long-name-" * 10
    signed_in(app, name)
    (info,) = mooring(app).state.sessions.of(name)
    _, screen = at_terminal("sessions", "list", "--url", sqlite_url, COLUMNS="70")
    row = next(line for line in screen.splitlines() if info.selector in line)
    assert len(row.rstrip()) <= 70
    assert "…" in row
    assert row.rstrip().endswith("in 31 d")
    assert (
        name in process("sessions", "list", "--url", sqlite_url, folder=folder).stdout
    )  # in a pipe: all of it


# --- The page about it ----------------------------------------------------------------------------


def test_every_command_and_option_is_documented() -> None:
    page = DOCS.read_text()
    for name in COMMANDS:
        command = load(name)
        parts = getattr(command, "commands", {"": command})
        for part, each in parts.items():
            heading = f"moored {name} {part}".rstrip()
            assert f"`{heading}" in page
            for param in each.params:
                for option in param.opts:
                    if option.startswith("--"):
                        assert f"`{option}" in page, f"{heading} {option}"
