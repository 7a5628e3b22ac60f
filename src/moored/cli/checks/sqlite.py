"""A SQLite file: where it lies, who can reach it, and what a full disk or a power cut would do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from moored.cli.checks import Finding, error, note, ok, warning
from moored.cli.words import size
from moored.engines.reserve import SIZE as RESERVE

MIB = 1024 * 1024
LITTLE, HARDLY = 256 * MIB, 16 * MIB  # bytes of free space: a warning, an error
MAGIC = b"SQLite format 3\0"
WAL = 2  # the "file format write version" at byte 18 (SQLite's file format, 1.3)

# Where processes on several hosts could reach the file, which the write-ahead log forbids:
# it is an index in shared memory (https://sqlite.org/wal.html, section 2.2).
SHARED = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"}
    | {"fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"}
)
FLEETING = {
    "tmpfs": "in memory: it is gone after a restart of this host",
    "ramfs": "in memory: it is gone after a restart of this host",
    "overlay": "a container's own layer: it is gone with the container",
}


def check(path: Path, synchronous: str, *, thorough: bool) -> Iterator[Finding]:
    """Everything about the file at ``path``."""
    yield folder(path)
    there = path.is_file()
    if there:
        yield mode(path)
        yield journal(path)
    yield durability(synchronous)
    place = _existing(path.parent)
    yield space(place)
    if there:
        yield reserve(path)
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:  # there is none but on Linux
        mounts = ""
    if (kind := file_system(place, mounts)) is not None:
        yield sharing(kind)
    if there and thorough:
        yield integrity(path)


def folder(path: Path) -> Finding:
    """Can files be made beside it, as the write-ahead log must be?"""
    id, place = "MRD-D101", _existing(path.parent)
    if not place.is_dir():
        return error(
            id, f"{place} is not a folder, so {path} cannot be there.", "Name another file in the URL."
        )
    if not os.access(place, os.W_OK | os.X_OK):
        return error(
            id,
            f"This user may not make files in {place}, as SQLite must for its log.",
            "Give it the right, or run this as the application's user: sudo -u … moored doctor.",
        )
    if place != path.parent:
        return ok(id, f"The folder {path.parent} is not there yet; it can be made.")
    return ok(id, f"Files can be made in {place}.")


def mode(path: Path) -> Finding:
    """May this user write to it, and others not even read?"""
    id = "MRD-D102"
    if not os.access(path, os.R_OK | os.W_OK):
        return error(
            id,
            f"This user may not read and write {path}.",
            "Run this as the application's user, or correct the file's owner and mode.",
        )
    bits = path.stat().st_mode & 0o777
    if bits & 0o077:
        return warning(
            id, f"Other users of this host can reach {path.name} (mode {bits:o}).", f"chmod 600 '{path}'*"
        )
    return ok(id, f"Only its owner can read and write {path.name}.")


def journal(path: Path) -> Finding:
    """Is it in write-ahead mode, in which readers never wait?"""
    id = "MRD-D103"
    with path.open("rb") as file:
        head = file.read(20)
    if head and not head.startswith(MAGIC):
        return error(id, f"{path.name} is not a SQLite database.", "Name another file in the URL.")
    if head and head[18] != WAL:
        return warning(
            id,
            f"{path.name} is not in write-ahead mode: readers and writers wait for each other.",
            "Moored sets it when it opens the file: find the program that changes it back.",
        )
    return ok(id, "It is in write-ahead mode: readers never wait.")


def durability(synchronous: str) -> Finding:
    """What the URL says about the moment of an acknowledgement."""
    if synchronous == "full":
        return ok("MRD-D104", "A change is on the disk before it is acknowledged (synchronous=full).")
    return note(
        "MRD-D104",
        "A change may be acknowledged before it is on the disk (synchronous=normal): a power cut can undo"
        " the last ones, sign-outs among them. A crash of the application undoes none.",
        "Take synchronous=normal out of the URL if that matters.",
    )


def space(place: Path) -> Finding:
    """Is there room on the disk?"""
    free = shutil.disk_usage(place).free
    what = f"{size(free)} of disk are free."
    if free < HARDLY:
        return error("MRD-D105", what, "Make room: soon nothing can be saved.")
    if free < LITTLE:
        return warning("MRD-D105", what, "Make room.")
    return ok("MRD-D105", what)


def reserve(path: Path) -> Finding:
    """Is there space held back for revocations on a full disk?"""
    held = Path(f"{path}-reserve")
    if held.is_file() and held.stat().st_size >= RESERVE:
        return ok("MRD-D106", f"{size(RESERVE)} are held back, so that sign-outs succeed on a full disk.")
    return warning(
        "MRD-D106",
        "Nothing is held back for a full disk, on which a sign-out could then not be stored.",
        f"See that {size(2 * RESERVE)} are free and restart the application: it makes {held.name} itself.",
    )


def file_system(place: Path, mounts: str) -> str | None:
    """The type of the file system at ``place``, by the kernel's list of mounts (proc(5), mountinfo)."""
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split(" ")[4].encode().decode("unicode_escape"))  # \040 is a space
        depth = len(point.parts)
        if place.is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, after.split(" ")[0]
    return None if found is None else found[1]


def sharing(kind: str) -> Finding:
    """May other hosts reach the file, and will it still be there tomorrow?"""
    id = "MRD-D107"
    if kind in SHARED:
        return warning(
            id,
            f"Its file system ({kind}) is one that several hosts can share. Processes on two hosts would"
            " damage it.",
            "Use it from one host only, on a local disk; for several hosts use redis:.",
        )
    if kind in FLEETING:
        return note(
            id, f"Its file system ({kind}) is {FLEETING[kind]}.", "Put it on a disk or volume that stays."
        )
    return ok(id, f"Its file system ({kind}) belongs to this host.")


def integrity(path: Path) -> Finding:
    """Does every page of it make sense?  Reads all of it."""
    import sqlite3
    from contextlib import closing

    id = "MRD-D108"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as wrong:
        answer = str(wrong)
    if answer == "ok":
        return ok(id, "Every page of it was read and makes sense.")
    return error(id, f"It is damaged: {answer.splitlines()[-1]}.", "Restore it from a backup.")


def _existing(place: Path) -> Path:
    """The place itself, or what there is of the way to it."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.resolve()
