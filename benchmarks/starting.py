"""How long it takes to start: importing Moored, and its command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.ground import Ground
from benchmarks.measure import Contender, Figure, interleaved
from benchmarks.report import Result, Table, Target

TITLE = "Starting: milliseconds of a whole process"
ROUNDS = 15
UNWANTED = ("asyncio", "sqlite3", "redis", "flask", "click", "cryptography")


def process(*words: str) -> Contender:
    """A contender whose figure is the milliseconds of one process."""

    def contender() -> float:
        started = perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return (perf_counter() - started) * 1000

    return contender


def run(ground: Ground) -> Result:
    python = sys.executable
    ways = {
        "python -c pass": process(python, "-c", "pass"),
        "python -c 'import moored'": process(python, "-c", "import moored"),
        "python -c 'import flask'": process(python, "-c", "import flask"),
        "python -c 'import moored.flask'": process(python, "-c", "import moored.flask"),
        "moored --help": process(str(Path(python).with_name("moored")), "--help"),
    }
    ground.say(f"{len(ways)} ways, {ROUNDS} rounds of one process")
    found = interleaved(ways, ROUNDS)
    bare = found["python -c pass"]
    rows = [[name, figure, figure.median - bare.median] for name, figure in found.items()]
    code = f"import moored, sys; print(*[name for name in {UNWANTED} if name in sys.modules])"
    loaded = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    clicks = "importing click, and Python itself"
    targets = [
        Target(
            "import moored, net of bare Python",
            added(found),
            at_most=60,
            unit="ms",
            limited_by="half of it msgspec",
        ),
        Target("import moored: drivers, asyncio, sqlite3 loaded", len(loaded), at_most=0, unit="modules"),
        Target("moored --help", found["moored --help"].median, at_most=150, unit="ms", limited_by=clicks),
    ]
    return Result([Table(TITLE, ["", "ms", "net of bare Python"], rows)], targets)  # type: ignore[arg-type]


def added(found: dict[str, Figure]) -> float:
    return found["python -c 'import moored'"].median - found["python -c pass"].median
