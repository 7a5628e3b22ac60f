"""``moored doctor`` on any engine, on SQLite files, about secrets, and about Flask applications."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask.sessions import SecureCookieSessionInterface
from tests.cli.conftest import MakeShop
from tests.cli.findings import Findings, judged
from tests.cli.shop import SECRET, run, run_in, signed_in

from moored.cli import checks
from moored.cli.checks import TOPICS
from moored.cli.checks import sqlite as checking
from moored.flask.extension import mooring
from moored.testing.servers import free_port
from moored.url import sqlite_url as url_of_sqlite

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def doctor(url: str, *more: str, **env: str) -> Findings:
    return Findings(run("doctor", "--json", "--url", url, *more, **env))


@pytest.fixture
def path(shop_at: MakeShop, sqlite_url: str, folder: Path) -> Path:
    """A SQLite file in which somebody is signed in."""
    app = shop_at(sqlite_url)
    signed_in(app, "ann")
    mooring(app).state.close()
    return folder / "moored.db"


# --- Any engine -----------------------------------------------------------------------------


def test_all_is_well(path: Path) -> None:
    url = url_of_sqlite(path)
    found = doctor(url, "--thorough", MOORED_SECRET=SECRET)
    assert found.status == 0
    assert found.not_ok() in ({}, {"107": "note"})  # the tests may run in memory or in a container
    assert set(found._found) == {
        *[f"MRD-D00{number}" for number in (1, 2, 3, 4, 7)],
        *[f"MRD-D10{number}" for number in range(1, 9)],
    }
    shown = run("doctor", "--url", url)
    assert shown.stdout.splitlines()[0].startswith("ok    MRD-D001  The state is kept at sqlite:///")
    assert "1 note, " in shown.stdout.splitlines()[-1]


def test_no_file_yet(folder: Path) -> None:
    found = doctor("sqlite:///data/shop.db")
    assert found.status == 0
    assert found.what("101") == f"The folder {folder}/data is not there yet; it can be made."
    assert found.what("002") == "There is no SQLite file yet; the first change makes it."
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlit:///shop.db", "sqlite:///shop.db?deadlin=1", "redis://localhost/x"])
def test_an_url_that_cannot_be(url: str) -> None:
    found = doctor(url)
    assert (found.status, found.severity("001")) == (1, "error")
    assert found.what("001").endswith(" [MRD-022].")


def test_an_engine_that_is_away() -> None:
    found = doctor(f"redis://127.0.0.1:{free_port()}")
    assert (found.status, found.severity("002")) == (1, "error")
    assert re.match(r"Redis at .* cannot be reached \(.*\); nothing was sent \[MRD-001\]", found.what("002"))


def test_memory() -> None:
    found = doctor("memory:")
    assert (found.status, found.not_ok()) == (0, {"006": "warning"})


# --- A SQLite file --------------------------------------------------------------------------


def test_where_there_is_no_folder(folder: Path) -> None:
    (folder / "a-file").write_text("")
    assert doctor("sqlite:///a-file/shop.db").not_ok() == {"101": "error"}


def test_what_others_can_read(path: Path) -> None:
    path.chmod(0o640)
    found = doctor(url_of_sqlite(path))
    assert (found.status, found.severity("102")) == (0, "warning")
    assert "(mode 640)" in found.what("102")


def test_another_journal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    assert doctor(url_of_sqlite(path)).severity("103") == "warning"
    assert doctor(url_of_sqlite(path)).severity("103") == "ok"  # looking has put it right


def test_what_is_no_database(folder: Path) -> None:
    (folder / "shop.db").write_text("a text of some length, so that SQLite looks at all of it" * 20)
    found = doctor("sqlite:///shop.db", "--thorough")
    assert [found.severity(number) for number in ("002", "103", "108")] == ["error"] * 3


def test_less_durability(path: Path) -> None:
    assert doctor(f"{url_of_sqlite(path)}?synchronous=normal").severity("104") == "note"


def test_little_space(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "LITTLE", 2**62)
    assert doctor(url_of_sqlite(path)).severity("105") == "warning"
    monkeypatch.setattr(checking, "HARDLY", 2**62)
    assert doctor(url_of_sqlite(path)).severity("105") == "error"


def test_no_reserve(path: Path) -> None:
    path.with_name("moored.db-reserve").unlink()
    assert doctor(url_of_sqlite(path)).severity("106") == "warning"


def test_damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 4096)  # the last page, but for its type
        file.write(b"\x0d" + b"\xff" * 200)
    assert doctor(url_of_sqlite(path), "--thorough").severity("108") == "error"


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:35 / /srv rw,relatime shared:20 - nfs4 files:/srv rw,vers=4.2
41 40 8:2 / /srv/local\\040disk rw - xfs /dev/sdb1 rw
42 22 0:50 / /var/tmp rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("place", "kind", "severity"),
    [
        ("/home/ann", "ext4", "ok"),
        ("/srv/shop", "nfs4", "warning"),
        ("/srv/local disk/shop", "xfs", "ok"),
        ("/srv2", "ext4", "ok"),
        ("/var/tmp", "tmpfs", "note"),
    ],
)
def test_file_systems(place: str, kind: str, severity: str) -> None:
    assert checking.file_system(Path(place), MOUNTS) == kind
    assert judged(checking.sharing(kind)) == ("107", severity)


def test_an_unknown_file_system() -> None:
    assert checking.file_system(Path("/home"), "") is None


# --- The secret -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "debug", "severity"),
    [
        ([SECRET], False, "ok"),
        (["dev"], False, "error"),
        (["dev"], True, "warning"),
        (["x" * 40], False, "error"),
        ([b"0123456789abcde"], False, "error"),
        ([b"0123456789abcdef"], False, "ok"),
        (["192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf"], False, "error"),
        ([SECRET, "dev"], False, "error"),
    ],
)
def test_secrets(
    shop_at: MakeShop, monkeypatch: pytest.MonkeyPatch, given: list[str], debug: bool, severity: str
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1" if debug else "0")
    app = shop_at("memory:", SECRET_KEY=given[0], SECRET_KEY_FALLBACKS=given[1:])
    assert Findings(run_in(app, "doctor", "--json")).severity("004") == severity


def test_a_text_in_place_of_a_list_of_secrets_is_an_error_everywhere(shop_at: MakeShop) -> None:
    app = shop_at("memory:")
    app.config["SECRET_KEY_FALLBACKS"] = SECRET
    found = Findings(run_in(app, "doctor", "--json"))
    assert (found.severity("008"), "D004" in str(found.not_ok())) == ("error", False)
    for command in (("config", "show"), ("keys", "list")):
        done = run_in(app, *command)
        assert done.exit_code == 2
        assert "every letter would be one" in done.stderr
        assert SECRET not in done.output


def test_no_secret(shop_at: MakeShop, sqlite_url: str, redis_url: str, folder: Path) -> None:
    app = shop_at(sqlite_url, SECRET_KEY=None)
    signed_in(app, "ann")
    found = Findings(run_in(app, "doctor", "--json"))
    assert (found.severity("004"), found.severity("005")) == ("warning", "ok")
    (folder / "moored.db-secret").chmod(0o644)
    assert Findings(run_in(app, "doctor", "--json")).severity("005") == "error"

    on_redis = Findings(run_in(shop_at(redis_url, SECRET_KEY=None), "doctor", "--json"))
    assert on_redis.severity("004") == "error"
    assert doctor(redis_url).severity("004") == "note"  # nobody knows of which app


# --- A Flask application ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"SESSION_COOKIE_SECURE": True}, {}),
        ({}, {"302": "warning"}),
        ({"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_SAMESITE": "None"}, {"303": "warning"}),
        ({"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_SAMESITE": "Strict"}, {}),
        ({"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_HTTPONLY": False}, {"304": "warning"}),
    ],
)
def test_settings_of_an_app(shop_at: MakeShop, config: dict[str, Any], found: dict[str, str]) -> None:
    done = Findings(run_in(shop_at("memory:", **config), "doctor", "--json"))
    assert done.not_ok() == {"006": "warning"} | found


def test_an_app_in_debug_mode(shop_at: MakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    done = Findings(run_in(shop_at("memory:"), "doctor", "--json"))
    assert done.not_ok() == {"006": "warning", "302": "note", "305": "note"}


def test_sessions_that_something_else_keeps(shop_at: MakeShop) -> None:
    app = shop_at("memory:")
    app.session_interface = SecureCookieSessionInterface()
    assert Findings(run_in(app, "doctor", "--json")).severity("301") == "warning"


# --- The page about it ----------------------------------------------------------------------------


def test_every_finding_is_documented() -> None:
    assert dict(re.findall(r"^\| `(MRD-D\d+)` \| (.+?) \|", DOCS.read_text(), re.MULTILINE)) == TOPICS


def test_every_topic_is_looked_at() -> None:
    folder = Path(checks.__file__).parent
    sources = [path.read_text() for path in folder.glob("*.py") if path.name != "__init__.py"]
    sources += [(folder.parent / name).read_text() for name in ("doctor.py", "config.py")]
    assert set(re.findall(r"MRD-D\d+", "".join(sources))) == set(TOPICS)
