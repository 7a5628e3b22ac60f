"""Where the key ring comes from: the host's own key, ``MOORED_SECRET``, or a file beside the database.

To replace a key without signing anybody out it passes through three roles.  It is *staged*:
accepted by every process, and used by none.  Then it is *active*: what is sent from then on is
made with it.  Then it is *accepted* for as long as anything that was made with it matters.
``moored keys rotate`` moves keys on; processes read them when they start.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from msgspec import Struct

from moored.errors import ConfigurationError
from moored.run import Engine
from moored.seal import KeyRing, random_secret

log: logging.Logger = logging.getLogger("moored")

# Variables of the environment, and names in .env; the last one's secrets stand between spaces.
ACTIVE, STAGED, ACCEPTED = "MOORED_SECRET", "MOORED_SECRET_NEXT", "MOORED_SECRET_FALLBACKS"

SHORTEST_MADE = 32  # characters of a secret in a file of ours: what is shorter is the rest of one


class Secret(Struct, frozen=True):
    """A secret and where it was set.  It is no part of its text."""

    value: str | bytes
    source: str

    def __repr__(self) -> str:
        return f"<Secret: {self.source}>"


class Keys(Struct, frozen=True):
    """The secrets by role, the accepted ones newest first.  None is part of its text."""

    active: str
    staged: str = ""
    accepted: tuple[str, ...] = ()

    @property
    def ring(self) -> tuple[str, ...]:
        """All of them in the order of a key ring."""
        return (self.active, *([self.staged] if self.staged else ()), *self.accepted)

    def named_in(self, place: str) -> tuple[Secret, ...]:
        """The same, each with the variable that names it in this place."""
        staged = [Secret(self.staged, f"{STAGED} in {place}")] if self.staged else []
        accepted = [Secret(secret, f"{ACCEPTED} in {place}") for secret in self.accepted]
        return (Secret(self.active, f"{ACTIVE} in {place}"), *staged, *accepted)

    def __repr__(self) -> str:
        return f"<Keys: {len(self.ring)}>"


def in_force(own: Sequence[Secret]) -> tuple[Secret, ...]:
    """The secrets that are set, the active one first: the host's own, or those in the environment.

    Where the host's active secret is the one in ``MOORED_SECRET``, those that are staged and
    accepted beside it count too.
    """
    keys = from_variables(os.environ)
    if keys is None or (own and not same(own[0].value, keys.active)):
        return tuple(own)
    active, *others = keys.named_in("the environment")
    found: dict[str | bytes, Secret] = {}
    for secret in (*(own or [active]), *others):
        found.setdefault(secret.value, secret)
    return tuple(found.values())


def key_ring(own: Sequence[Secret], engine: Engine, how: str) -> KeyRing:
    """The ring of the host's secrets (the active one first), or of what stands in for them.

    ``how`` tells how the host's own key is set.  Raises ConfigurationError where several hosts may
    share the engine, because each would make keys of its own.
    """
    if found := in_force(own):
        return KeyRing([secret.value for secret in found])
    path: Path | None = getattr(engine, "path", None)
    if path is None and engine.name != "memory":
        raise ConfigurationError(
            f"no secret is set, and {engine.name}: may be shared by several hosts, so none can be made up."
            f" Set {how}, or MOORED_SECRET in the environment; `moored init` makes one."
        )
    if path is None:
        log.warning("No secret is set: sessions end with this process. Set %s, or MOORED_SECRET.", how)
        return KeyRing([random_secret()])
    return KeyRing(_kept(kept_beside(path), how).ring)


def same(one: str | bytes, other: str) -> bool:
    """Are these the same secret?"""
    return one == (other.encode(errors="surrogateescape") if isinstance(one, bytes) else other)


# --- In variables -----------------------------------------------------------------------------


def from_variables(values: Mapping[str, str]) -> Keys | None:
    """The keys that an environment, or a file ``.env``, names; None if it names no active one."""
    active = values.get(ACTIVE)
    if not active:
        return None
    return Keys(active, values.get(STAGED, ""), tuple(values.get(ACCEPTED, "").split()))


def to_variables(keys: Keys) -> dict[str, str | None]:
    """What to set so that ``from_variables`` gives these keys; None: nothing."""
    return {ACTIVE: keys.active, STAGED: keys.staged or None, ACCEPTED: " ".join(keys.accepted) or None}


# --- In a file beside the database --------------------------------------------------------------


def kept_beside(database: Path) -> Path:
    """The file for the secrets of a SQLite database."""
    return Path(f"{database}-secret")


def read_file(path: Path) -> Keys:
    """The keys in a file: the active one in the first line, others behind their role in lines of their own.

    Raises ConfigurationError, OSError.
    """
    try:
        text = path.read_text("ascii")
    except UnicodeDecodeError:
        text = ""
    first, *others = [line.split() for line in text.splitlines() if line.strip()] or [[]]
    by_role: dict[str, list[str]] = {"staged": [], "accepted": []}
    for words in others:
        if len(words) == 2 and words[0] in by_role:
            by_role[words[0]].append(words[1])
        else:
            first = []  # not a file of ours, or damaged
    staged = by_role["staged"]
    all_of_them = [*first, *staged, *by_role["accepted"]]
    if len(first) != 1 or len(staged) > 1 or any([len(secret) < SHORTEST_MADE for secret in all_of_them]):
        raise ConfigurationError(
            f"{path} holds no secret. Restore it, or remove it to have a new one made: everybody then has to"
            " sign in again."
        )
    return Keys(first[0], "".join(staged), tuple(by_role["accepted"]))


def write_file(path: Path, keys: Keys) -> None:
    """Put these keys there in place of those that are.  Raises OSError."""
    lines = [keys.active]
    lines += [f"staged {keys.staged}"] if keys.staged else []
    lines += [f"accepted {secret}" for secret in keys.accepted]
    replace_file(path, ("\n".join(lines) + "\n").encode())


def replace_file(path: Path, text: bytes) -> None:
    """Put a new text there, whole or not at all; only the file's owner, who stays the same, can read it.

    Raises OSError.
    """
    file, draft = mkstemp(dir=path.parent, prefix=f"{path.name}.")  # for this user only
    try:
        with os.fdopen(file, "wb") as out:
            if path.exists() and (owner := path.stat()).st_uid != os.geteuid():
                os.fchown(file, owner.st_uid, owner.st_gid)  # or the application could not read it any more
            out.write(text)
            out.flush()
            os.fsync(file)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _kept(path: Path, how: str) -> Keys:
    """The keys in a file that only this user can read; one is made if it is not there."""
    if not path.exists():
        with suppress(OSError):  # somebody else made it meanwhile; or reading it says what is wrong
            _make(path)
            log.warning(
                "No secret is set: a random one was made, in %s. Set %s, or MOORED_SECRET.", path, how
            )
    try:
        return read_file(path)
    except OSError as error:
        raise ConfigurationError(
            f"the secret in {path} cannot be read: {error.strerror}. Let this process read that file, or set"
            " a secret of your own."
        ) from None


def _make(path: Path) -> None:
    """Put a new secret there, whole or not at all.  Raises FileExistsError if another is first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file, draft = mkstemp(dir=path.parent)  # for this user only
    try:
        with os.fdopen(file, "w") as out:
            out.write(random_secret())
        os.link(draft, path)
    finally:
        Path(draft).unlink()
