"""The key ring of a Flask application."""

from __future__ import annotations

from typing import Any

from flask import Config

from moored.errors import ConfigurationError
from moored.operation import Binding, Blocking
from moored.seal import KeyRing
from moored.web.host import log
from moored.web.secret import in_force, key_ring
from moored.web.weak_secret import weakness


class Ring:
    """The app's key ring; made anew when its keys change, because they may be set after Moored(app)."""

    def __init__(self, config: Config, binding: Binding[Blocking]) -> None:
        self._config, self.binding = config, binding
        self._keys: tuple[Any, ...] | None = None
        self._ring: KeyRing | None = None
        self._told: set[str] = set()
        earlier = config.get("SECRET_KEY_FALLBACKS")
        self._judge((config["SECRET_KEY"], *(earlier if isinstance(earlier, (list, tuple)) else ())))

    def __call__(self) -> KeyRing:
        """The ring of the keys as they are now.  Raises ConfigurationError if they can be none."""
        config = self._config
        earlier = config.get("SECRET_KEY_FALLBACKS") or ()
        if isinstance(earlier, (str, bytes)):
            raise ConfigurationError(
                "SECRET_KEY_FALLBACKS must be a list of keys: of a single text, every letter would be a key."
            )
        keys = (config["SECRET_KEY"], *earlier)
        if self._ring is None or keys != self._keys:
            ring = key_ring(keys, self.binding.engine, "SECRET_KEY of the Flask app")
            self._judge(keys)
            self._keys, self._ring = keys, ring
        return self._ring

    def _judge(self, keys: tuple[Any, ...]) -> None:
        """Warn of secrets that can be guessed, once; not in debug mode and tests: nothing is at stake there.

        What is no secret at all is told where the ring is made.
        """
        if self._config["DEBUG"] or self._config["TESTING"]:
            return
        own = [key for key in keys if key and isinstance(key, (str, bytes))]
        found = weakness(
            in_force(own), "SECRET_KEY of the app" if own else "MOORED_SECRET in the environment"
        )
        if found is not None and found[0] not in self._told:
            self._told.add(found[0])
            log.warning("%s %s", *found)
