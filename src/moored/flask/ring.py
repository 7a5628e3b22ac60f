"""The key ring of a Flask application."""

from __future__ import annotations

from flask import Config

from moored.flask.secrets import app_secrets
from moored.operation import Binding, Blocking
from moored.seal import KeyRing
from moored.web.host import log
from moored.web.secret import Secret, in_force, key_ring
from moored.web.weak_secret import weakness


class Ring:
    """The app's key ring; made anew when its keys change, because they may be set after Moored(app)."""

    def __init__(self, config: Config, binding: Binding[Blocking]) -> None:
        self._config = config
        self.binding: Binding[Blocking] = binding
        self._secrets: tuple[Secret, ...] | None = None
        self._ring: KeyRing | None = None
        self._told: set[str] = set()
        self._judge(app_secrets(config))

    def __call__(self) -> KeyRing:
        """The ring of the keys as they are now.  Raises ConfigurationError if they can be none."""
        secrets = app_secrets(self._config)
        if self._ring is None or secrets != self._secrets:
            ring = key_ring(secrets, self.binding.engine, "SECRET_KEY of the Flask app")
            self._judge(secrets)
            self._secrets, self._ring = secrets, ring
        return self._ring

    def _judge(self, secrets: tuple[Secret, ...]) -> None:
        """Warn of secrets that can be guessed, once; in debug mode and tests nothing is at stake."""
        if self._config["DEBUG"] or self._config["TESTING"]:
            return
        found = weakness(in_force(secrets))
        if found is not None and found.what not in self._told:
            self._told.add(found.what)
            log.warning("%s", found)
