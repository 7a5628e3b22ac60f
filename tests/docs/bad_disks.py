"""SQLite files that cannot be opened, read or written, and disks that are full."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.docs.bad_input import Ground, Row, code, joined, row
from tests.docs.site import Site, told
from tests.docs.small_disk import run_on_small_disk
from tests.docs.unprivileged import unprivileged

from moored import State
from moored.url import sqlite_url


def _opened(prepare: Callable[[Path], object], name: str = "shop.db") -> Row:
    """What a state on such a file says to a read and to a change."""

    def attempt(ground: Ground) -> str:
        path = ground.folder / name
        prepare(path)
        with State(sqlite_url(path)) as state:
            counter = state.counter("visits")
            return joined(
                {"`value()`": ground.refusal(counter.value), "`add()`": ground.refusal(counter.add)}
            )

    return attempt


def _script(text: str) -> Callable[[Path], object]:
    def run(path: Path) -> None:
        db = sqlite3.connect(path)
        db.executescript(text)
        db.close()

    return run


META = "CREATE TABLE moored_meta (name TEXT PRIMARY KEY, value TEXT); INSERT INTO moored_meta VALUES"

row("file-in-a-file")(_opened(lambda path: path.parent.write_text(""), "a-file/shop.db"))
row("file-is-a-folder")(_opened(lambda path: path.mkdir()))
row("file-no-database")(_opened(lambda path: path.write_text("name,price\nbook,12\n" * 100)))
row("file-other-layout")(_opened(_script(f"{META} ('layout', '2')")))
row("file-foreign-table")(_opened(_script("CREATE TABLE moored_meta (id INTEGER)")))
row("file-missing-table")(_opened(_script(f"{META} ('layout', '1')")))


def _warm_up(ground: Ground) -> None:
    """Load what may be out of reach of somebody else."""
    with State(ground.url("sqlite")) as state:
        state.counter("visits").add()


@row("file-folder-not-writable")
def _(ground: Ground) -> str:
    folder = ground.folder / "state"
    folder.mkdir(mode=0o555)
    _warm_up(ground)
    with State(sqlite_url(folder / "shop.db")) as state, unprivileged(folder):
        return ground.refusal(state.counter("visits").add)


@row("file-damaged")
def _(ground: Ground) -> str:
    url, path = ground.url("sqlite"), ground.folder / "shop.db"
    site = Site(ground, url)
    site.client.get("/add")
    site.selector()
    for number in range(100):
        site.state.counter(f"counter {number}").add()
    site.state.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    path.write_bytes(data)
    ground.logged()
    reading = told(site.client.get("/"), log=ground.logged())
    writing = told(site.client.get("/in"), log=ground.logged())
    return f"reading: {reading}; writing: {writing}"


@row("database-read-only")
def _(ground: Ground) -> str:
    url = ground.url("sqlite")
    _warm_up(ground)
    with State(url) as state:
        state.counter("other").add()
        for path in (ground.folder, *ground.folder.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        with State(url) as another, unprivileged(ground.folder):
            assert another.counter("visits").value() == 1
            refusal = ground.refusal(another.counter("visits").add)
        ground.folder.chmod(0o755)
    return f"reads go on; changes: {refusal}"


def _filled(ground: Ground, *args: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(run_on_small_disk("tests.docs.full_disk", *args, folder=ground.folder))
    assert facts["acknowledged and stored"] is True
    assert facts["refused"] == [503, "2"]
    assert facts["with room"] == [200, 200], "it goes on without a restart"
    return facts


@row("disk-full")
def _(ground: Ground) -> str:
    facts = _filled(ground)
    assert facts["signed out"] == [200], "while others keep trying to save"
    assert facts["then served"] == ["{'notes': 0, 'who': None}"]
    assert facts["of user7"] == 0
    assert facts["reserve"] == 4 * 1024 * 1024, "it is taken again once there is room"
    (message,) = facts["log"]
    return (
        "what was acknowledged is there; reads and sign-outs go on; changes: 503 with `Retry-After: 2`; log:"
        f" {code(message)}; 200 once there is room, without a restart"
    )


@row("disk-full-without-reserve")
def _(ground: Ground) -> str:
    facts = _filled(ground, "--without-reserve")
    assert 503 in facts["signed out"]
    return "as above, but sign-outs get 503 as well; the cookie stays, for another try"
