"""What came of it, in words and in members of a JSON object."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

from moored.prove.place import Ground
from moored.prove.proof import Proof
from moored.prove.scenes import Scene
from moored.prove.sides import Side
from moored.prove.worker import THREADS, WORKERS

PACKAGES = ("moored", "flask", "flask-session", "redis", "gunicorn")


def versions(ground: Ground) -> dict[str, str]:
    """Of everything that takes part."""
    import sqlite3

    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in PACKAGES}
    found["cachelib"] = version("cachelib")
    found["sqlite"] = sqlite3.sqlite_version
    found["redis-server"] = ground.version
    found["system"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return {name: what for name, what in found.items() if what}


def versions_line(ground: Ground, proof: Proof) -> str:
    """The versions that a picture or a table needs, in one line."""
    used = {side.id.partition("-")[2] for side in proof.sides} | {side.id for side in proof.sides}
    names = {
        "moored": "Moored",
        "flask": "Flask",
        "flask-session": "Flask-Session",
        "gunicorn": "gunicorn",
        "redis-server": "Redis",
        "sqlite": "SQLite",
        "python": "Python",
    }
    if "flask-session-files" in used:
        names["cachelib"] = "cachelib"
    found = versions(ground)
    return " · ".join([f"{name} {found[key]}" for key, name in names.items() if key in found])


def setting() -> str:
    """What all sides have in common."""
    server = f"gunicorn with {WORKERS} processes of {THREADS} threads"
    return f"the same handlers under {server}, real HTTP on loopback"


def verdicts(proof: Proof) -> list[tuple[Side, str, bool]]:
    """Of each side in a sentence: what it lost and, as plainly, what it did not; and: is all well with it?"""
    return [(side, _verdict(proof, side), _is_well(proof, side)) for side in proof.sides]


def _is_well(proof: Proof, side: Side) -> bool:
    return all([proof.of(scene, side).whole for scene in proof.scenes])


def _verdict(proof: Proof, side: Side) -> str:
    lost = [scene.title for scene in proof.scenes if proof.of(scene, side).lost]
    held = [scene.title for scene in proof.scenes if proof.of(scene, side).whole]
    if len(held) == len(proof.scenes):
        return "lost nothing"
    rest = [
        f"{scene.title}: {proof.of(scene, side).said(scene)}"
        for scene in proof.scenes
        if scene.title not in (*lost, *held)
    ]
    said = [
        f"lost in {', '.join(lost)}" if lost else "",
        f"lost nothing in {', '.join(held)}" if held else "",
        *rest,
    ]
    return "; ".join(filter(None, said))


def remarks(proof: Proof) -> list[str]:
    """What is to be said for peers that lost."""
    return [
        f"{scene.title.capitalize()}: {scene.remark}"
        for scene in proof.scenes
        if scene.remark and _a_peer_lost(proof, scene)
    ]


def errors(proof: Proof) -> list[str]:
    """Why what was not run was not run."""
    found = [
        f"{side.title}, {scene.title}: {proof.of(scene, side).error}."
        for side in proof.sides
        for scene in proof.scenes
        if proof.of(scene, side).error
    ]
    return list(dict.fromkeys(found))


def _a_peer_lost(proof: Proof, scene: Scene) -> bool:
    return any([proof.of(scene, side).lost > 0 for side in proof.sides if not side.ours])


def members(proof: Proof, ground: Ground) -> dict[str, Any]:
    """The members of the JSON object that docs/prove.md describes."""
    return {
        "ok": not (proof.lost or proof.not_run),
        "seed": proof.seed,
        "seconds": round(proof.seconds, 3),
        "server": {"name": "gunicorn", "processes": WORKERS, "threads": THREADS},
        "redis": ground.said,
        "versions": versions(ground),
        "sides": [
            {"id": side.id, "library": side.library, "store": side.store, "ours": side.ours}
            for side in proof.sides
        ],
        "scenes": [
            {
                "id": scene.id,
                "title": scene.title,
                "does": scene.does,
                "remark": scene.remark,
                "results": [_result(proof, scene, side) for side in proof.sides],
            }
            for scene in proof.scenes
        ],
    }


def _result(proof: Proof, scene: Scene, side: Side) -> dict[str, Any]:
    result = proof.of(scene, side)
    return {
        "side": side.id,
        "verdict": result.said(scene),
        "expected": result.expected,
        "kept": result.kept,
        "lost": result.lost,
        "failed": result.failed,
        "processes": result.processes,
        "seconds": result.seconds,
        "error": result.error or None,
    }
