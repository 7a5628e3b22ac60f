"""The SQLite engine: the model inside a transaction.

Write-ahead log, ``synchronous=FULL`` unless the URL says otherwise; one writer at a time in
each process, whose transaction takes along what waits (``commits.py``); readers each have a
connection and never wait.  Several processes may use one file.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from msgspec import MsgspecError

from moored.commands import Bury, Command, Op, Page, Patch, Read, Record, Scan, Step
from moored.engines.commits import Commits, Ticket, too_busy
from moored.engines.memory import wall_clock
from moored.engines.packing import pack, unpack
from moored.engines.reserve import SIZE as RESERVE
from moored.engines.reserve import Reserve
from moored.errors import (
    ConfigurationError,
    CorruptRecord,
    EncodingError,
    MooredError,
    OutcomeUnknown,
    Unavailable,
)
from moored.model import apply
from moored.url import Url, one_of

LAYOUT = "1"
SCHEMA = """
CREATE TABLE IF NOT EXISTS moored_records (
  key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, expires INTEGER, hour INTEGER, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS moored_hours ON moored_records (hour) WHERE hour IS NOT NULL;
CREATE TABLE IF NOT EXISTS moored_meta (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO moored_meta VALUES ('layout', '1') ON CONFLICT DO NOTHING;
INSERT INTO moored_meta VALUES ('store', lower(hex(randomblob(8)))) ON CONFLICT DO NOTHING;
"""
LOAD = "SELECT version, expires, body FROM moored_records WHERE key = ?"
# An upsert rather than a replace: a smaller row stays where it is, which works on a full disk.
STORE = (
    "INSERT INTO moored_records VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
    " version = excluded.version, expires = excluded.expires, hour = excluded.hour, body = excluded.body"
)
REMOVE = "DELETE FROM moored_records WHERE key = ?"
SCAN = (
    "SELECT key FROM moored_records WHERE key > ? AND key >= ? AND key < ?"
    " AND (expires IS NULL OR expires > ?) ORDER BY key LIMIT ?"
)
# The index holds hours, not milliseconds, so that moving a deadline rarely touches it.
SWEEP = (
    "DELETE FROM moored_records WHERE rowid IN"
    " (SELECT rowid FROM moored_records WHERE hour < ? ORDER BY hour LIMIT ?) AND expires <= ?"
)
EXPIRED = (
    "DELETE FROM moored_records WHERE rowid IN"
    " (SELECT rowid FROM moored_records WHERE hour <= ? AND expires <= ? LIMIT ?)"
)
HOUR = 3_600_000
SWEPT = 100  # expired records removed in one transaction
SWEPT_AT_ONCE = 1_000  # the same, where somebody asked for it
SWEEP_EVERY = 30.0, 60.0  # seconds, drawn at random so that processes take turns
BUSY_PAUSE = 0.0002, 0.002  # seconds between two tries to begin while another process writes
READ_PATIENCE = 1.0  # seconds a reader waits while the log is being recovered

SMALL = 64  # bytes that a step may write and still count as one that ends something: an epoch, a verifier
FORK_PATIENCE = 5.0  # seconds for which a fork waits for what other threads have under way

# What Python and SQLite say of names and values that cannot be stored.
UNFIT = (
    ValueError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
# What is wrong with one ticket.  Anything else comes from a signal handler, and is for the caller
# whose thread it interrupted: a time limit on one's request must not end up with somebody else.
OWN = (
    MooredError,
    MsgspecError,
    TypeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    ValueError,
)

T = TypeVar("T")

_abandoned: list[Any] = []  # connections of a parent process: closing them here would harm it


class SqliteEngine:
    """Keeps records in a SQLite file; ``clock`` answers microseconds since 1970."""

    name: ClassVar[str] = "sqlite"
    traits: ClassVar[frozenset[str]] = frozenset({"durable", "server_clock", "scans"})
    options: ClassVar[dict[str, Callable[[str], Any]]] = {"synchronous": one_of("full", "normal")}
    _all: ClassVar[weakref.WeakSet[SqliteEngine]] = weakref.WeakSet()
    _forking: ClassVar[list[SqliteEngine]] = []

    def __init__(
        self, path: str | Path, *, synchronous: str = "full", clock: Callable[[], int] = wall_clock
    ) -> None:
        self.path: Path = Path(path).absolute()
        self.time = clock
        self._synchronous = synchronous
        self._reserve = Reserve(self.path)
        self._commits = Commits(self._carry_out)
        self._start_again()
        self._all.add(self)

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

    def _start_again(self) -> None:
        self._guard = threading.Lock()  # over the four below; held by a thread that forks
        self._under_way: set[threading.Lock] = set()  # one for each step, held while it lasts
        self._closings = 0  # a connection lent before the last of them is closed when it comes back
        self._readers: deque[sqlite3.Connection] = deque()  # those that nobody reads from just now
        self._writer: sqlite3.Connection | None = None
        self._writing = threading.Lock()  # held while the writer is in use
        self._sweep_at = 0.0

    # SQLite keeps its locks in the memory of the process, where a child would inherit them
    # without holding them.  So nothing is open while a process forks (sqlite.org/howtocorrupt.html).

    @classmethod
    def before_fork(cls) -> None:
        """Wait until no step is under way, let none begin, and close everything."""
        ends = time.monotonic() + FORK_PATIENCE
        cls._forking = list(cls._all)
        for engine in cls._forking:
            engine._guard.acquire()
            while engine._busy() and time.monotonic() < ends:
                engine._guard.release()
                time.sleep(BUSY_PAUSE[0])
                engine._guard.acquire()
            if not engine._busy():
                engine._close()

    @classmethod
    def after_fork_in_parent(cls) -> None:
        """Go on."""
        for engine in cls._forking:
            engine._guard.release()

    @classmethod
    def after_fork_in_child(cls) -> None:
        """Open everything again on first use."""
        for engine in cls._all:
            _abandoned.append((engine._readers, engine._writer))  # none, unless a step took too long
            engine._start_again()
            engine._commits.start_again()

    # --- The engine's protocol ------------------------------------------------------------

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

    def close(self) -> None:
        """Close all connections; one that a step is using just now is closed when the step ends."""
        self._commits.close()
        with self._guard:
            self._close()

    def _busy(self) -> bool:
        return any([step.locked() for step in self._under_way])

    def _close(self) -> None:
        self._closings += 1
        connections = list(self._readers)
        self._readers.clear()
        if self._writer is not None and not self._writing.locked():
            connections.append(self._writer)
            self._writer = None
        for connection in connections:
            with suppress(sqlite3.Error):
                connection.close()

    async def aclose(self) -> None:
        """The same."""
        self.close()

    def remembered(self, key: str, timeout: float) -> int:
        """How many operations the record of that key remembers."""
        try:
            with closing(self._open(timeout, timeout)) as db:
                record = self._load(db, key)
        except sqlite3.Error as error:
            raise self._mapped(error) from error
        return 0 if record is None else len(record.ops)

    def sweep(self, timeout: float) -> int:
        """Remove up to a thousand records that have expired, in one transaction; how many there were.

        Changes do the same in passing, a hundred at a time and up to an hour late.  Raises
        Unavailable if others kept the file busy for ``timeout`` seconds.
        """
        under_way = threading.Lock()
        with under_way:
            try:
                with self._guard:
                    self._under_way.add(under_way)
                with closing(self._open(timeout)) as db:
                    if not self._begin(db, time.monotonic() + timeout):
                        raise too_busy()
                    now = self.time() // 1000
                    swept = db.execute(EXPIRED, (now // HOUR, now, SWEPT_AT_ONCE)).rowcount
                    db.execute("COMMIT")
                    return swept
            except sqlite3.Error as error:
                raise self._mapped(error) from error
            finally:
                with self._guard:
                    self._under_way.discard(under_way)

    # --- Reading ----------------------------------------------------------------------------

    def _look(self, step: Step, timeout: float) -> list[Any]:
        db: sqlite3.Connection | None = None
        closings = -1
        under_way = threading.Lock()
        with under_way:  # a with statement lets go of it whatever a signal handler raises, and when
            try:
                with self._guard:
                    self._under_way.add(under_way)
                    closings = self._closings
                    db = self._readers.pop() if self._readers else None
                if db is None:
                    db = self._open(timeout, READ_PATIENCE)
                return [self._one(db, command, None) for command in step]
            except sqlite3.Error as error:
                raise self._mapped(error) from error
            finally:
                with self._guard:
                    self._under_way.discard(under_way)
                    if db is not None and closings == self._closings:
                        self._readers.append(db)
                    elif db is not None:
                        db.close()

    def _one(self, db: sqlite3.Connection, command: Command[Any], op: Op | None) -> Any:
        try:
            return self._ask(db, command, op)
        except UnicodeEncodeError:
            raise EncodingError(
                "a key or a field name holds half of a surrogate pair, which is no character and cannot be"
                " stored. Decode it with errors='replace', or refuse it."
            ) from None
        except UNFIT as error:
            raise EncodingError(
                f"a key, a field name or a value cannot be stored in SQLite ({type(error).__name__}): it is"
                " too large, or of a type that SQLite does not know."
            ) from None

    def _ask(self, db: sqlite3.Connection, command: Command[Any], op: Op | None) -> Any:
        if isinstance(command, Scan):
            return self._scan(db, command)
        old = self._load(db, command.key)
        new, answer = apply(command, old, self.time(), op)
        if new is None:
            if old is not None and not isinstance(command, Read):
                db.execute(REMOVE, (command.key,))
        elif new is not old:
            hour = None if new.expires is None else new.expires // HOUR
            db.execute(STORE, (command.key, new.version, new.expires, hour, pack(new)))
        return answer

    def _load(self, db: sqlite3.Connection, key: str) -> Record | None:
        row = db.execute(LOAD, (key,)).fetchone()
        return None if row is None else unpack(key, *row)

    def _scan(self, db: sqlite3.Connection, command: Scan) -> Page:
        end = command.key[:-1] + chr(ord(command.key[-1]) + 1) if command.key else "\U0010ffff"
        now = self.time() // 1000
        rows = db.execute(SCAN, (command.cursor, command.key, end, now, command.limit + 1)).fetchall()
        keys = tuple(key for (key,) in rows[: command.limit])
        return Page(keys, keys[-1] if len(rows) > command.limit else "")

    # --- Writing ----------------------------------------------------------------------------

    def _carry_out(self, batch: list[Ticket]) -> None:
        """One transaction for all; each alone if the disk is full, so that what shrinks gets through."""
        closings = -1
        with self._writing:
            try:
                with self._guard:
                    self._under_way.add(self._writing)
                    closings = self._closings
                self._carry_out_together(batch)
            finally:
                with self._guard:
                    self._under_way.discard(self._writing)
                    if closings != self._closings and self._writer is not None:
                        self._writer.close()
                        self._writer = None

    def _carry_out_together(self, batch: list[Ticket]) -> None:
        if self._reserve.spent():
            self._fail([ticket for ticket in batch if not _frees(ticket)], self._full())
            batch = [ticket for ticket in batch if _frees(ticket)]
            if not batch:
                return
        try:
            self._transaction(batch)
        except MooredError as error:  # the file could not be opened
            self._fail(batch, error)
        except sqlite3.Error as error:
            if _code(error) != sqlite3.SQLITE_FULL:
                self._fail(batch, self._mapped(error))
                return
            for ticket in batch:
                self._squeeze(ticket)

    def _squeeze(self, ticket: Ticket) -> None:
        try:
            self._transaction([ticket])
        except sqlite3.Error as error:
            if not _frees(ticket):
                self._fail([ticket], self._mapped(error))
                return
            self._reserve.release()
            try:
                self._transaction([ticket])
            except sqlite3.Error as still:
                self._fail([ticket], self._mapped(still))

    def _transaction(self, batch: list[Ticket]) -> None:
        ends = min([ticket.ends for ticket in batch])
        db = self._writer
        if db is None:
            db = self._writer = self._open(ends - time.monotonic())
            self._reserve.fill()
        committing = False
        try:
            with db:  # rolls back before anything that a signal handler raises can come between
                if not self._begin(db, ends):
                    self._fail(batch, too_busy())
                    return
                answers = [self._fill(db, ticket) for ticket in batch]
                if time.monotonic() >= self._sweep_at:
                    self._sweep(db)
                committing = True
                self._commit(db, batch, answers)
        except sqlite3.Error:
            raise
        except BaseException:
            if not committing:
                self._fail(
                    batch, Unavailable("the transaction was interrupted; nothing was changed.", outage=False)
                )
            raise

    @staticmethod
    def _commit(db: sqlite3.Connection, batch: list[Ticket], answers: list[list[Any] | None]) -> None:
        """Commit, and only then give out the answers."""
        try:
            db.execute("COMMIT")
        except sqlite3.Error:
            raise
        except BaseException:  # a signal handler's, raised before the commit or after it
            if not db.in_transaction:
                _answer(batch, answers)
            raise
        _answer(batch, answers)

    def _fill(self, db: sqlite3.Connection, ticket: Ticket) -> list[Any] | None:
        """Carry out one ticket; what is wrong with its records is its own affair, not the batch's."""
        ticket.error = None
        try:
            return [self._one(db, command, op) for command, op in zip(ticket.step, ticket.ops, strict=True)]
        except OWN as error:
            ticket.error = error
            return None

    @staticmethod
    def _begin(db: sqlite3.Connection, ends: float) -> bool:
        """Begin a transaction; false if another process kept the file busy until ``ends``."""
        if db.in_transaction:  # of one that was interrupted
            db.execute("ROLLBACK")
        try:
            _once_free(lambda: db.execute("BEGIN IMMEDIATE"), ends)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def _sweep(self, db: sqlite3.Connection) -> None:
        now = self.time() // 1000
        swept = db.execute(SWEEP, (now // HOUR, SWEPT, now)).rowcount
        self._sweep_at = time.monotonic() + (0 if swept == SWEPT else random.uniform(*SWEEP_EVERY))

    @staticmethod
    def _fail(batch: list[Ticket], error: MooredError) -> None:
        for ticket in batch:
            ticket.error = error

    # --- Opening ----------------------------------------------------------------------------

    def _open(self, timeout: float, patience: float = 0.0) -> sqlite3.Connection:
        """A new connection, within ``timeout`` seconds; SQLite itself waits ``patience`` for locks."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Others on this host have no business in it; SQLite gives its log the same mode.
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            why = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror
            raise ConfigurationError(
                f"the SQLite file {self.path} cannot be opened: {why}. Name a file in a folder that this"
                " process may write to."
            ) from None
        if self.path.is_dir():
            raise ConfigurationError(f"{self.path} is a folder: name a file in it.")
        try:
            db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            layout = _once_free(lambda: self._prepare(db), time.monotonic() + timeout)
            db.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")
        except sqlite3.Error as error:
            raise self._mapped(error) from error
        if layout is None or layout[0] != LAYOUT:
            raise ConfigurationError(
                f"the tables in {self.path} were made by another version of Moored (layout"
                f" {layout and layout[0]}, this version knows {LAYOUT}): use that version, or another file."
            )
        return db

    def _prepare(self, db: sqlite3.Connection) -> tuple[str] | None:
        """Make what is missing in the file; the layout of its tables.  May be tried any number of times."""
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={self._synchronous.upper()}")
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'moored_meta'").fetchone():
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT")
        layout: tuple[str] | None = db.execute(
            "SELECT value FROM moored_meta WHERE name = 'layout'"
        ).fetchone()
        return layout

    def _mapped(self, error: sqlite3.Error) -> MooredError:
        match _code(error):
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return Unavailable(
                    f"{self.path.name} is busy: another process is writing to it.", outage=False
                )
            case sqlite3.SQLITE_FULL:
                return self._full()
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
                return Unavailable(
                    f"{self.path} cannot be written to ({error}); nothing was changed. Look at the modes of"
                    " the file and its folder, and at how the disk is mounted.",
                    outage=False,
                )
            case sqlite3.SQLITE_ERROR:  # of our statements, only where they do not fit the tables
                return ConfigurationError(
                    f"the tables in {self.path} are not Moored's ({error}): name another file, or restore it"
                    " from a backup."
                )
            case sqlite3.SQLITE_NOTADB:
                return ConfigurationError(f"{self.path} is not a SQLite database: name another file.")
            case sqlite3.SQLITE_CORRUPT:
                return CorruptRecord(f"{self.path} is damaged ({error}): restore it from a backup.")
            case sqlite3.SQLITE_IOERR:
                return OutcomeUnknown(f"the disk with {self.path.name} failed ({error}).")
        return Unavailable(f"SQLite could not carry out the step: {error}.")

    def _full(self) -> Unavailable:
        return Unavailable(
            f"the disk with {self.path.name} is full; nothing was changed. Make room on it, at least"
            f" {2 * RESERVE // 2**20} MB; until then only what ends something is carried out.",
            outage=False,
        )


def _code(error: sqlite3.Error) -> int:
    """SQLite's own code; -1 for what the module found wrong by itself."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code if code < 0 else code & 0xFF


def _answer(batch: list[Ticket], answers: list[list[Any] | None]) -> None:
    for ticket, its in zip(batch, answers, strict=True):
        ticket.answers = its


def _frees(ticket: Ticket) -> bool:
    """Does the step end something, so that it may use up the reserve?"""
    return any(map(_ends_something, ticket.step))


def _ends_something(command: Command[Any]) -> bool:
    if isinstance(command, Patch):
        return bool(command.unset) and sum(map(len, command.set.values())) <= SMALL
    return isinstance(command, Bury)


def _once_free(attempt: Callable[[], T], ends: float) -> T:
    """What the attempt answers, tried until no other process keeps the file busy, or until ``ends``.

    SQLite's own busy handler soon looks only ten times a second, and another process that
    writes without a pause would hardly ever be caught between two transactions.
    """
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            pause = random.uniform(*BUSY_PAUSE)
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() + pause >= ends:
                raise
        time.sleep(pause)


os.register_at_fork(
    before=SqliteEngine.before_fork,
    after_in_parent=SqliteEngine.after_fork_in_parent,
    after_in_child=SqliteEngine.after_fork_in_child,
)
