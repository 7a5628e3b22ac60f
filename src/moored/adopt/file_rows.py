"""Flask-Session's rows in a folder of files, as cachelib's ``FileSystemCache`` keeps them.

A file is named by a digest of the key, SHA-256 or in earlier versions of cachelib MD5, and holds
four bytes (the deadline in seconds, 0 for none, in the machine's byte order) and a pickle.

Compare and set holds among our workers, by a lock of ours in the folder.  cachelib takes no
lock, so a worker of the old library can still write between our look and our write.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pickle
import re
import struct
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from moored.adopt.formats import Pickle, row
from moored.adopt.place import MARKED, Replaced, Row, UnreadableRow
from moored.adopt.sids import Sids
from moored.adopt.unpickle import unpickle
from moored.errors import Unavailable

Digest = Callable[[bytes], Any]

HEADER: Final = struct.Struct("I")
LATEST: Final = 0xFFFF_FFFF  # seconds since 1970
SUFFIX: Final = ".__wz_cache"  # cachelib neither counts nor removes files whose name ends so
LOCK: Final = f"moored{SUFFIX}"
COUNT: Final = "__wz_cache_count"  # the key under which cachelib keeps the number of its files
PATIENCE: Final = 2.0  # seconds for which the lock is waited for
PAUSE: Final = 0.001  # seconds between two tries
LOOKS: Final = 1_000  # files that are looked at until it is no longer known soon whether one is live
REMEMBERED: Final = 1_000  # new ids whose cookies are known
_REFUSALS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class FileRows:
    """Sessions in ``folder``, which need not exist yet.

    ``digest`` is what cachelib names files by, where that is known; ``mode`` are permissions.
    """

    def __init__(
        self, folder: Path, sids: Sids, *, digest: Digest | None, mode: int, allow_pickle: bool
    ) -> None:
        self.name: str = f"Flask-Session in the folder {folder}"
        self._folder, self._sids, self._mode = folder, sids, mode
        self._digests = (_sha256, _md5) if digest is None else (digest, _sha256, _md5)
        self._chosen = digest
        sizes = {len(_named(digest, "")) for digest in self._digests}
        self._shape = re.compile("|".join(f"[0-9a-f]{{{size}}}" for size in sizes))
        self._counts = {_named(digest, COUNT): digest for digest in self._digests}
        self._form = Pickle(allow_pickle=allow_pickle)
        self._mark = self._form.dump(MARKED)
        self._made: OrderedDict[str, str] = OrderedDict()

    # --- The protocol of a place --------------------------------------------------------------

    def row_id(self, cookie: str) -> str | None:
        """The name of the file that a cookie names; the disk is asked which digest it goes by."""
        sid = self._sids.in_cookie(cookie)
        if sid is None:
            return None
        names = [_named(digest, self._sids.key(sid)) for digest in self._digests]
        with self._on_disk():
            there = next((name for name in names if (self._folder / name).is_file()), None)
        return there or _named(self._digest(), self._sids.key(sid))

    def new_id(self) -> str:
        """The name of a file that does not exist yet."""
        sid = self._sids.new()
        name = _named(self._digest(), self._sids.key(sid))
        self._made[name] = sid
        if len(self._made) > REMEMBERED:
            self._made.popitem(last=False)
        return name

    def cookie_of(self, row_id: str) -> str:
        """The cookie's value that names a file, if it was made here lately: names do not hold it."""
        sid = self._made.get(row_id)
        if sid is None:
            raise LookupError("the name of a file does not hold the cookie that names it.")
        return self._sids.to_cookie(sid)

    def read(self, row_id: str) -> Row | None:
        """The session in a file."""
        with self._on_disk():
            found = self._look(self._folder / row_id)
        if found is None:
            return None
        deadline, raw = found
        expires = deadline * 1000 if deadline else None
        if raw == self._mark:  # known also where pickles are not read
            return Row(raw, {"_permanent": False}, expires, moved=True)
        return row(self._form, raw, expires)

    def replace(
        self, row_id: str, before: bytes | None, values: Mapping[str, Any] | None, ttl: int
    ) -> Replaced | None:
        """Compare and set among our workers; never a half-written file for anybody."""
        raw = None if values is None else self._form.dump(values)
        path = self._folder / row_id
        with self._on_disk(), self._locked():
            found = self._look(path)
            if (None if found is None else found[1]) != before:
                return None
            existed = path.exists()  # it may be there and have expired
            if raw is not None:
                deadline = -int(-(time.time() + ttl / 1000) // 1)  # rounded up
                self._write(path, HEADER.pack(min(deadline, LATEST)) + raw)
            else:
                path.unlink(missing_ok=True)
            self._count((raw is not None) - existed)
        return Replaced(raw)

    def mark(self, row_id: str, before: bytes, ttl: int) -> bool:
        """Put our mark in the place of what is stored."""
        return self.replace(row_id, before, MARKED, ttl) is not None

    def ids(self) -> Iterator[str]:
        """The names of all files that look like cachelib's, expired ones too."""
        with self._on_disk():
            try:
                entries = os.scandir(self._folder)
            except FileNotFoundError:
                return
        with entries:
            while True:
                with self._on_disk():
                    entry = next(entries, None)
                if entry is None:
                    return
                if entry.name not in self._counts and self._shape.fullmatch(entry.name):
                    yield entry.name

    def is_empty(self) -> bool:
        """Is there no such file that is live?"""
        for looked, name in enumerate(self.ids()):
            with self._on_disk():
                if looked == LOOKS or self._look(self._folder / name) is not None:
                    return False
        return True

    def close(self) -> None:
        """Nothing: no file stays open."""

    # --- Files ----------------------------------------------------------------------------------

    def _look(self, path: Path) -> tuple[int, bytes] | None:
        """The deadline and the pickle; None for what cachelib takes for no file of its own."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(content) <= HEADER.size:
            return None
        (deadline,) = HEADER.unpack_from(content)
        return None if deadline and deadline < time.time() else (deadline, content[HEADER.size :])

    def _write(self, path: Path, content: bytes) -> None:
        number, draft = tempfile.mkstemp(SUFFIX, dir=self._folder)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
                os.fchmod(number, self._mode)
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def _digest(self) -> Digest:
        """What cachelib names files by: as configured, else as the count that it wrote last is named."""
        if self._chosen is not None:
            return self._chosen
        count = self._last_count()
        return self._digests[0] if count is None else self._counts[count.name]

    def _last_count(self) -> Path | None:
        written = {}
        for name in self._counts:
            with suppress(OSError):
                written[self._folder / name] = (self._folder / name).stat().st_mtime_ns
        return max(written, key=written.__getitem__, default=None)

    def _count(self, more: int) -> None:
        """Keep the number of files as cachelib would: by too high a number it removes live ones."""
        path = self._last_count() if more else None
        if path is None:
            return
        with suppress(OSError, UnreadableRow):  # the session itself is stored by now
            found = self._look(path)
            number = None if found is None else unpickle(found[1])
            if type(number) is int:
                self._write(path, HEADER.pack(0) + pickle.dumps(max(0, number + more)))

    @contextmanager
    def _locked(self) -> Generator[None, None, None]:
        """Our lock; the system gives it back when its holder dies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        ends = monotonic() + PATIENCE
        number = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if monotonic() > ends:
                        raise TimeoutError(errno.ETIMEDOUT, "another worker has it locked") from None
                time.sleep(PAUSE)
            yield
            fcntl.flock(number, fcntl.LOCK_UN)  # a child that was forked meanwhile has it too
        finally:
            os.close(number)

    @contextmanager
    def _on_disk(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:  # not chained: it holds the file's name
            raise Unavailable(
                f"{self.name} cannot be used ({error.strerror or type(error).__name__}); nothing was"
                " changed. Look at the folder's disk and permissions.",
                outage=error.errno not in _REFUSALS,
            ) from None


def _named(digest: Digest, key: str) -> str:
    name: str = digest(key.encode()).hexdigest()
    return name


def _sha256(key: bytes) -> Any:
    return hashlib.sha256(key)


def _md5(key: bytes) -> Any:
    return hashlib.md5(key, usedforsecurity=False)
