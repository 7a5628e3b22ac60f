"""What the benchmarks stand on: a real Redis server, a folder on disk, and what they cost there."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from moored.testing.servers import RedisServer


class Ground:
    """A server and a folder for the whole run; ``say`` tells how it gets on."""

    def __init__(self, server: RedisServer, folder: Path, say: Callable[[str], None]) -> None:
        self.server, self.folder, self.say = server, folder, say
        self.redis = server.url

    def path(self, name: str) -> Path:
        """A path in the folder."""
        return self.folder / name

    def statistics(self) -> dict[str, int]:
        """What the server counted so far, without what asking for it costs."""
        lines = [line.partition(":") for line in str(self.server.cli("INFO", "stats")).splitlines()]
        return {name: int(value) for name, _, value in lines if value.isdigit()}

    def used_memory(self) -> int:
        """The bytes that the server's data takes."""
        info = str(self.server.cli("INFO", "memory"))
        return next(int(line[12:]) for line in info.splitlines() if line.startswith("used_memory:"))


class Cost(Struct, frozen=True):
    """What one call costs elsewhere: packets and bytes to and from Redis, bytes written to files."""

    packets: float
    commands: float
    sent: float
    received: float
    written: float


COUNTED = (
    "total_reads_processed",
    "total_commands_processed",
    "total_net_input_bytes",
    "total_net_output_bytes",
)


def cost(ground: Ground, call: Callable[[], object], times: int = 50) -> Cost:
    """What a call costs, from the server's own statistics and the system's count for this process."""
    nothing = _spent(ground, lambda: None, 1)
    spent = _spent(ground, call, times)
    return Cost(*[round((mine - none) / times, 2) for mine, none in zip(spent, nothing, strict=True)])


def _spent(ground: Ground, call: Callable[[], object], times: int) -> list[int]:
    before, written = ground.statistics(), _written()
    for _ in range(times):
        call()
    written = _written() - written
    after = ground.statistics()
    return [*[after[name] - before[name] for name in COUNTED], written]


def _written() -> int:
    """Bytes that this process has handed to write(), sockets not among them (Linux)."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line[7:]) for line in lines if line.startswith("wchar:"))


def machine(server: RedisServer) -> str:
    """The machine in a few words."""
    redis = next(
        line.partition(":")[2]
        for line in str(server.cli("INFO", "server")).splitlines()
        if line.startswith("redis_version:")
    )
    python, (major, minor, *_) = platform.python_version_tuple(), redis.split(".")
    return f"{os.cpu_count()} shared cores, Python {python[0]}.{python[1]}, Redis {major}.{minor}"
