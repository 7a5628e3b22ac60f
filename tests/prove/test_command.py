"""``moored prove``: exit status, JSON, picture, and what it leaves behind."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from tests.prove import broken
from tests.prove.broken import HOLD, LOG, ours
from tests.prove.conftest import ROOT
from tests.waiting import lives, until

from moored.cli.program import program
from moored.prove import sides
from moored.prove.gate import NotRun
from moored.prove.place import ground
from moored.prove.scenes import SCENES
from moored.prove.sides import Side
from moored.testing.servers import RedisServer, free_port

PAGE = (ROOT / "docs" / "prove.md").read_text()
SVG = "{http://www.w3.org/2000/svg}"


def prove(*words: str) -> Result:
    """``moored prove``, in this process."""
    return CliRunner().invoke(program, ["prove", *words])


def only(monkeypatch: pytest.MonkeyPatch, *some: Side) -> None:
    """Let these be all sides that there are."""
    monkeypatch.setattr(sides, "sides", lambda *, redis: some)


# --- Exit status -------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_redis")
def test_without_redis(tmp_path: Path) -> None:
    done = prove("--scene", "nested", "--scene", "fixation", "--svg", "it.svg")
    assert done.exit_code == 0, done.output
    assert re.search(r"^fixation +held all 8 +stolen 8 of 8 +held all 8$", done.stdout, re.MULTILINE)
    assert re.search(r"^nested change +lost 8 of 8 +kept all 8 +kept all 8$", done.stdout, re.MULTILINE)
    assert re.search(
        r"^Flask-Session in files +lost in fixation; lost nothing in nested change$",
        done.stdout,
        re.MULTILINE,
    )
    assert re.search(r"^Moored on SQLite +lost nothing$", done.stdout, re.MULTILINE)
    assert "no redis-server is installed" in done.stdout
    assert done.stderr == ""
    texts = [text.text for text in ElementTree.parse(tmp_path / "it.svg").iter(f"{SVG}text")]
    assert "in files" in texts
    assert "on Redis" not in texts


@pytest.mark.usefixtures("no_redis")
def test_a_moored_that_loses_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, ours(sides.flask_cookie))
    done = prove("--scene", "nested", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert found["scenes"][0]["results"][0]["lost"] == 8


@pytest.mark.usefixtures("no_redis")
def test_what_could_not_be_run_is_status_3(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, ours(broken.cannot_be_installed))
    done = prove("--scene", "nested", "--svg", "it.svg")
    assert done.exit_code == 3
    assert "Not run: " in done.stderr
    assert "there is no such store" in done.stderr
    assert "lost nothing" not in done.stdout
    assert "not run" in Path("it.svg").read_text()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flask_session", None)
    done = prove()
    assert done.exit_code == 2
    assert re.fullmatch(r"Error: [^\n]*flask_session[^\n]*pip install '\.\[prove\]'[^\n]*\n", done.stderr)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--redis", "sqlite:///shop.db"), 2, "must be a redis:"),
        (("--redis", "redis://127.0.0.1:{closed}"), 3, "Connection refused. Look whether it runs"),
        (("--svg", "nowhere/it.svg"), 2, "no folder 'nowhere'"),
        (("--scene", "opera"), 2, "'opera' is not one of"),
        (("--seed", "-1"), 2, "-1 is not in the range"),
    ],
)
def test_wrong_calls(words: tuple[str, ...], status: int, said: str) -> None:
    done = prove(*[word.replace("{closed}", str(free_port())) for word in words])
    assert done.exit_code == status, done.output
    assert said in done.stderr


# --- What it says ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The JSON and the picture of one scene, without Redis."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder))
        done = prove("--json", "--seed", "5", "--scene", "nested", "--svg", str(folder / "it.svg"))
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return json.loads(done.stdout), folder / "it.svg"


def test_the_json_is_as_documented(one_run: tuple[Any, Path]) -> None:
    found = {**one_run[0]}
    assert found.pop("version") == 1
    documented = {name: set(re.findall(r"`(\w+)`", rest)) for name, rest in _rows("member")}
    assert set(found) == set(documented) - {"results"}
    assert (found["ok"], found["seed"]) == (True, 5)
    assert set(found["server"]) == documented["server"]
    assert {tuple(side) for side in found["sides"]} == {("id", "library", "store", "ours")}
    assert set(found["sides"][0]) == documented["sides"]
    (scene,) = found["scenes"]
    assert set(scene) == documented["scenes"]
    cookie, files, sqlite = scene["results"]
    assert set(cookie) == documented["results"]
    assert _figures(cookie) == ("flask-cookie", 8, 0, 8, 0)
    assert _figures(files) == ("flask-session-files", 8, 8, 0, 0)
    assert _figures(sqlite) == ("moored-sqlite", 8, 8, 0, 0)
    assert {"python", "moored", "flask", "flask-session", "gunicorn"} <= set(found["versions"])


def _figures(result: dict[str, Any]) -> tuple[Any, ...]:
    assert result["error"] is None
    return tuple(result[name] for name in ("side", "expected", "kept", "lost", "failed"))


def _rows(head: str) -> list[tuple[str, str]]:
    table = PAGE.partition(f"| {head} | is |\n|---|---|\n")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)


def test_the_scenes_are_documented() -> None:
    assert re.findall(
        r"^\| `([\w-]+)` \|", PAGE.partition("## The scenes")[2].partition("##")[0], re.MULTILINE
    ) == [scene.id for scene in SCENES]


def test_titles_fit_a_terminal_of_80_columns() -> None:
    assert max(len(scene.title) for scene in SCENES) <= 14
    assert max(len(part) for side in sides.sides(redis=True) for part in (side.library, side.store)) <= 14


def test_the_program_is_shown() -> None:
    done = prove("--show", "--redis", "redis://localhost")
    assert done.exit_code == 0
    assert (ROOT / "src/moored/prove/shop.py").read_text() in done.stdout
    for side in sides.sides(redis=True):
        assert side.source in done.stdout
    compile(done.stdout, "program", "exec")


def test_the_picture_is_whole_and_needs_nothing_else(one_run: tuple[Any, Path]) -> None:
    root = ElementTree.parse(one_run[1]).getroot()
    assert root.tag == f"{SVG}svg"
    text = one_run[1].read_text()
    assert (
        re.findall(r"https?://(?!www\.w3\.org/2000/svg)|href|src=|@import|<script|<image|base64", text) == []
    )
    assert re.findall(r"url\((?!#)", text) == []
    assert "prefers-color-scheme: dark" in text
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert {"lost 8 of 8", "kept all 8", "Flask-Session", "Moored"} <= set(texts)
    assert any(["seed 5" in each and "Flask-Session 0." in each for each in texts])
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert "Moored on SQLite kept all 8" in (desc.text or "")
    width = int(root.attrib["width"])
    for box in root.iter(f"{SVG}rect"):
        assert 0 <= float(box.attrib["x"]) <= float(box.attrib["x"]) + float(box.attrib["width"]) <= width


@pytest.mark.usefixtures("no_redis")
def test_a_terminal_sees_it_come(tmp_path: Path) -> None:
    ours_, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    child = subprocess.Popen(
        [sys.executable, "-m", "moored", "prove", "--scene", "nested"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**clean, "TERM": "xterm-256color", "COLUMNS": "80"},
        start_new_session=True,
    )
    os.close(theirs)
    screen = b""
    while True:
        try:
            piece = os.read(ours_, 4096)
        except OSError:
            break
        screen += piece
        if not piece:
            break
    os.close(ours_)
    assert child.wait(30) == 0
    shown = screen.decode()
    assert "·" in shown.partition("One Flask shop")[0]  # what was still to come
    assert "\x1b[1;31mlost 8 of 8" in shown
    assert "\x1b[32mkept all 8" in shown


# --- What it does and leaves ----------------------------------------------------------------------


@pytest.mark.usefixtures("no_redis")
def test_a_seed_makes_the_same_choices_and_no_process_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only(monkeypatch, ours(broken.logged))
    log = Path(os.environ[LOG])

    def asked(seed: int) -> list[str]:
        done = prove("--scene", "nested", "--scene", "fixation", "--seed", str(seed))
        assert done.exit_code == 0, done.output
        assert f"--seed {seed};" in done.stdout
        pids, paths = zip(*[line.split() for line in log.read_text().splitlines()], strict=True)
        log.unlink()
        until(lambda: not any(lives(int(pid)) for pid in set(pids)), "the end of the workers")
        return list(paths)

    first = asked(3)
    assert len(first) > 40
    assert asked(3) == first
    assert asked(4) != first


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_process_or_file_is_left_when_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    """Stopped while its first request is held up, when everything runs that it starts."""
    temporary, hold = tmp_path / "temporary", tmp_path / "hold"
    temporary.mkdir()
    hold.touch()
    child = subprocess.Popen(
        [sys.executable, "-c", HELD_UP, "prove", "--scene", "cart"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary), HOLD: str(hold)},
        start_new_session=True,
    )
    try:
        until(lambda: hold.with_suffix(".asked").exists() or child.poll() is not None, "a request")
        running = _in(temporary)
    finally:
        os.killpg(child.pid, number)
        hold.unlink()
        status = child.wait(20)
    assert len(running) >= 6  # redis-server, gunicorn and its four
    assert status == {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 1}[number]  # and not by itself
    try:
        until(lambda: not _in(temporary) and not list(temporary.iterdir()), "the end of everything")
    finally:
        for pid in _in(temporary):
            os.kill(int(pid), signal.SIGKILL)


HELD_UP = """
from moored.cli import main
from moored.prove import sides
from tests.prove.broken import held, ours

sides.sides = lambda *, redis: (ours(held),)
raise SystemExit(main())
"""


def _in(folder: Path) -> list[str]:
    """The processes whose working folder is below that."""
    found = []
    for pid in Path("/proc").iterdir():
        try:
            if pid.name.isdigit() and (pid / "cwd").readlink().is_relative_to(folder):
                found.append(pid.name)
        except OSError:  # it has just ended, or is not ours to look at
            continue
    return found


def test_a_redis_that_was_named_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer() as server:
        server.cli("SET", "mine", "1")
        monkeypatch.setenv("MOORED_PROVE_REDIS", server.url)
        done = prove("--scene", "nested", "--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert [side["id"] for side in found["sides"]][-1] == "moored-redis"
        assert found["redis"] == "the Redis that was named"
        assert server.cli("KEYS", "*") == ["mine"]
        assert "cmdstat_unlink:" in server.cli("INFO", "commandstats")  # there was something to remove


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_redis_that_was_named_is_left_as_it_was_also_by_a_run_that_is_stopped(
    number: signal.Signals,
) -> None:
    with RedisServer() as server:
        server.cli("SET", "mine", "1")
        child = subprocess.Popen(
            [sys.executable, "-m", "moored", "prove"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MOORED_PROVE_REDIS": server.url},
            start_new_session=True,
        )
        try:
            until(lambda: len(server.cli("KEYS", "*")) > 2, "the first records")
        finally:
            child.send_signal(number)
            assert child.wait(20) == 1
        assert server.cli("KEYS", "*") == ["mine"]


def test_what_a_redis_that_went_away_may_still_have_is_told() -> None:
    said = r"begin with moored-prove:[0-9a-f]{8}: were not removed"
    with RedisServer() as server, pytest.raises(NotRun, match=said), ground(server.url):
        server.kill()


@pytest.mark.usefixtures("no_redis")
def test_what_is_measured_is_the_moored_that_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers have another working folder: they find the same Moored there, or nothing is proved."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", f"src{os.pathsep}.")
    assert prove("--scene", "nested").exit_code == 0
    package = tmp_path / "other" / "moored"
    shutil.copytree(ROOT / "src" / "moored", package)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    done = prove("--scene", "nested")
    assert done.exit_code == 3
    assert "another Moored" in done.stderr


def test_a_password_in_the_arguments_is_warned_of() -> None:
    done = prove("--redis", f"redis://:secret@127.0.0.1:{free_port()}")
    assert done.exit_code == 3
    assert "MOORED_PROVE_REDIS" in done.stderr
    assert "secret" not in done.stderr
