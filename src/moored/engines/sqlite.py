"""The SQLite engine: the model inside a transaction.

Write-ahead log, ``synchronous=FULL`` unless the URL says otherwise; one writer at a time in
each process (``sqlite_writer.py``), whose transaction takes along what waits (``commits.py``);
readers each have a connection and never wait.  Several processes may use one file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from moored.commands import Op, Read, Scan, Step
from moored.engines.commits import Commits, too_busy
from moored.engines.memory import wall_clock
from moored.engines.sqlite_connections import Connections
from moored.engines.sqlite_errors import mapped
from moored.engines.sqlite_file import SqliteFile, begin
from moored.engines.sqlite_tables import answer, load, sweep
from moored.engines.sqlite_writer import Writer
from moored.errors import ConfigurationError
from moored.spelling import one_of
from moored.url import Url


class SqliteEngine:
    """Keeps records in a SQLite file; ``clock`` answers microseconds since 1970."""

    name: ClassVar[str] = "sqlite"
    traits: ClassVar[frozenset[str]] = frozenset({"durable", "server_clock", "scans"})
    options: ClassVar[dict[str, Callable[[str], Any]]] = {"synchronous": one_of("full", "normal")}

    def __init__(
        self, path: str | Path, *, synchronous: str = "full", clock: Callable[[], int] = wall_clock
    ) -> None:
        self.path: Path = Path(path).absolute()
        self.time = clock
        file = SqliteFile(self.path, synchronous)
        self._connections = Connections(file)
        self._writer = Writer(file, self._connections, clock)
        self._commits = Commits(self._writer.carry_out)

    @classmethod
    def from_url(cls, url: Url) -> SqliteEngine:
        """``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""
        path = url.database[1:]
        if url.parts.netloc or not path or path == ":memory:" or "\0" in path:
            raise ConfigurationError(
                "a sqlite: URL names a file: sqlite:///shop.db (relative) or sqlite:////var/lib/shop.db"
                " (absolute). For state that nothing survives, use memory:."
            )
        return cls(path, synchronous=url.options.get("synchronous", "full"))

    def connect(self, timeout: float) -> None:
        """Open the file; make it, and its tables, if there is none."""
        self._look((), timeout)

    async def aconnect(self, timeout: float) -> None:
        """The same."""
        self.connect(timeout)

    def execute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """Carry out each command of the step; one transaction if any of them can change something."""
        if any([not isinstance(command, (Read, Scan)) for command in step]):
            return self._commits.submit(step, ops, timeout)
        return self._look(step, timeout)

    async def aexecute(self, step: Step, ops: tuple[Op, ...], timeout: float) -> list[Any]:
        """The same; reads take microseconds and happen here, writes wait for the disk elsewhere."""
        if any([not isinstance(command, (Read, Scan)) for command in step]):
            return await self._commits.asubmit(step, ops, timeout)
        return self._look(step, timeout)

    def _look(self, step: Step, timeout: float) -> list[Any]:
        def answers(db: sqlite3.Connection) -> list[Any]:
            return [answer(db, command, None, self.time) for command in step]

        try:
            return self._connections.read(timeout, answers)
        except sqlite3.Error as error:
            raise mapped(error, self.path) from error

    def close(self) -> None:
        """Close all connections; one that a step is using just now is closed when the step ends."""
        self._commits.close()
        self._connections.close()

    async def aclose(self) -> None:
        """The same."""
        self.close()

    def remembered(self, key: str, timeout: float) -> int:
        """How many operations the record of that key remembers."""
        try:
            record = self._connections.apart(timeout, timeout, lambda db: load(db, key))
        except sqlite3.Error as error:
            raise mapped(error, self.path) from error
        return 0 if record is None else len(record.ops)

    def sweep(self, timeout: float) -> int:
        """Remove up to a thousand records that have expired, in one transaction; how many there were.

        Changes do the same in passing, a hundred at a time and up to an hour late.  Raises
        Unavailable if others kept the file busy for ``timeout`` seconds.
        """

        def swept(db: sqlite3.Connection) -> int:
            if not begin(db, time.monotonic() + timeout):
                raise too_busy()
            number = sweep(db, self.time() // 1000)
            db.execute("COMMIT")
            return number

        try:
            return self._connections.apart(timeout, 0.0, swept)
        except sqlite3.Error as error:
            raise mapped(error, self.path) from error
