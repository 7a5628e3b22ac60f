"""Runs the benchmarks: all of them, or those named."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import monotonic

import msgspec

from benchmarks.ground import Ground, machine
from benchmarks.report import Result, markdown, targets_table, write_into
from moored.testing.servers import RedisServer

ALL = (
    "session_requests",
    "breakdown",
    "large_sessions",
    "contention",
    "commits",
    "counters",
    "policy",
    "memory",
    "starting",
)
PEERS = ("flask", "flask-session", "redis", "hiredis", "sqlalchemy", "cachelib", "msgspec")
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
DOCUMENT = ROOT / "docs" / "performance.md"


def main() -> None:
    parser = argparse.ArgumentParser("scripts/benchmark", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*ALL, []], help=f"one of {', '.join(ALL)}; default: all")
    parser.add_argument("--keep", action="store_true", help="write the results, the charts and the document")
    asked = parser.parse_args()
    if asked.keep and asked.name:
        parser.error("--keep keeps the results of a whole run: name no benchmarks")
    warnings.simplefilter("ignore", DeprecationWarning)
    logging.getLogger("moored").setLevel(logging.ERROR)
    started = monotonic()

    def say(what: str) -> None:
        print(f"[{monotonic() - started:4.0f} s] {what}", file=sys.stderr, flush=True)

    results: dict[str, Result] = {}
    with RedisServer() as server, tempfile.TemporaryDirectory() as folder:
        described = machine(server)
        for name in asked.name or ALL:
            module = import_module(f"benchmarks.{name}")
            say(module.TITLE)
            server.cli("FLUSHALL")
            results[name] = module.run(Ground(server, Path(folder), say))
            for table in results[name].tables:
                print(f"\n{table.title}\n\n{markdown(table.columns, table.rows)}\n", flush=True)
    targets = [target for result in results.values() for target in result.targets]
    print(f"\n{targets_table(targets)}\n")
    say(f"done; {sum(not target.hit for target in targets)} targets missed")
    if asked.keep:
        keep(described, results)


def keep(described: str, results: dict[str, Result]) -> None:
    """Write what was found where the documentation takes it from."""
    from benchmarks.charts import draw

    versions = {name: version(name) for name in PEERS}
    found = {"machine": described, "versions": versions, "benchmarks": results}
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    draw(results, ROOT / "docs" / "images")
    blocks = {
        name: "\n\n".join(f"{t.title}:\n\n{markdown(t.columns, t.rows)}" for t in result.tables)
        for name, result in results.items()
    }
    blocks["targets"] = targets_table([target for result in results.values() for target in result.targets])
    blocks["machine"] = f"{described}; " + ", ".join(f"{name} {number}" for name, number in versions.items())
    write_into(DOCUMENT, blocks)


if __name__ == "__main__":
    main()
