"""A small file system of one's own, which may be filled up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT

MEGABYTES = 32
SMALL = 256  # megabytes: a file system of this size is nobody's only place for data
_MOUNT = 'mount -t tmpfs -o size="$1"m none "$2" && shift 2 && exec "$@"'


def run_on_small_disk(module: str, *args: str, folder: Path) -> str:
    """What ``python -m module DISK args`` prints, where DISK is a small file system.

    It is a tmpfs in a mount namespace of that process: root may have one, and so may every user
    where user namespaces are allowed (unshare(1), of util-linux).  Where neither is, as in some
    containers, ``/dev/shm`` serves if it is small.  Fails, saying what is missing, where no small
    file system can be had.
    """
    disk = folder / "disk"
    disk.mkdir()
    program = [sys.executable, "-m", module]
    for namespaces in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        inside = ["unshare", *namespaces, "sh", "-c", _MOUNT, "sh", str(MEGABYTES), str(disk)]
        if shutil.which("unshare") and _run([*inside, "true"]).returncode == 0:
            return _output([*inside, *program, str(disk), *args])
    shared = Path("/dev/shm")
    if shared.is_mount() and 2 * MEGABYTES <= shutil.disk_usage(shared).total >> 20 <= SMALL:
        own = shared / f"moored-{os.getpid()}"
        own.mkdir()
        try:
            return _output([*program, str(own), *args])
        finally:
            shutil.rmtree(own)
    raise AssertionError(
        "no small file system can be had here: run this as root, or allow user namespaces (in a container:"
        " --security-opt seccomp=unconfined), or have a /dev/shm of 64 to 256 MB."
    )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def _output(command: list[str]) -> str:
    ended = _run(command)
    assert ended.returncode == 0, ended.stderr[-5000:]
    return ended.stdout
