"""Where the key ring comes from: the host's own key, ``MOORED_SECRET``, or a file beside the database."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

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
    log.warning("No secret is set: using a random one. Set %s, or MOORED_SECRET in the environment.", how)
    return KeyRing([random_secret() if path is None else _kept(Path(f"{path}-secret"))])


def _kept(path: Path) -> str:
    """The secret in a file that only this user can read; made if it is not there."""
    with suppress(FileExistsError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        file = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w") as out:
            out.write(random_secret())
        try:
            os.link(draft, path)  # whoever is first wins, and nobody reads half a file
        finally:
            draft.unlink()
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
