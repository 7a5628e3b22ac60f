"""Where the key ring comes from: the host's own key, ``MOORED_SECRET``, or a file beside the database."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from moored.errors import ConfigurationError
from moored.run import Engine
from moored.seal import KeyRing, random_secret

log = logging.getLogger("moored")


def key_ring(secrets: Sequence[str | bytes], engine: Engine, how: str) -> KeyRing:
    """The ring of the host's secrets (the active one first), or of what stands in for them.

    ``how`` tells how the host's own key is set.  Raises ConfigurationError where several
    hosts may share the engine, because each would make keys of its own.
    """
    given = [secret for secret in secrets if secret]
    if not given and (fallback := os.environ.get("MOORED_SECRET")):
        given = [fallback]
    if given:
        return KeyRing(given)
    path: Path | None = getattr(engine, "path", None)
    if path is None and engine.name != "memory":
        raise ConfigurationError(
            f"no secret is set, and {engine.name}: may be shared by several hosts, so none can be made up."
            f" Set {how}, or MOORED_SECRET in the environment; `moored init` makes one."
        )
    if path is None:
        log.warning("No secret is set: sessions end with this process. Set %s, or MOORED_SECRET.", how)
        return KeyRing([random_secret()])
    return KeyRing([_kept(Path(f"{path}-secret"), how)])


def _kept(path: Path, how: str) -> str:
    """The secret in a file that only this user can read; made if it is not there."""
    if not path.exists():
        with suppress(OSError):  # somebody else made it meanwhile; or reading it says what is wrong
            _make(path)
            log.warning(
                "No secret is set: a random one was made, in %s. Set %s, or MOORED_SECRET.", path, how
            )
    try:
        secret = path.read_text("ascii").strip()
    except OSError as error:
        raise ConfigurationError(
            f"the secret in {path} cannot be read: {error.strerror}. Let this process read that file, or set"
            " a secret of your own."
        ) from None
    except UnicodeDecodeError:
        secret = ""
    if len(secret) < 32:
        raise ConfigurationError(
            f"{path} holds no secret. Restore it, or remove it to have a new one made: everybody then has to"
            " sign in again."
        )
    return secret


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
