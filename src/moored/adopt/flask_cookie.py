"""Flask's own sessions, which are kept in their cookies: signed, with the time of the signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadData

from moored.adopt.place import Row
from moored.errors import ConfigurationError, EncodingError


class FlaskCookie:
    """Verified and made by Flask itself: its keys (SECRET_KEY_FALLBACKS too), lifetime and JSON."""

    name = "Flask's session cookie"

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._interface = SecureCookieSessionInterface()

    def open(self, cookie: str) -> Row | None:
        """The session in a cookie; None if it is forged, too old, or no session."""
        serializer = self._interface.get_signing_serializer(self._app)
        if serializer is None:
            return None
        lifetime = int(self._app.permanent_session_lifetime.total_seconds())
        try:
            values, signed = serializer.loads(cookie, max_age=lifetime, return_timestamp=True)
        except (BadData, UnicodeError):
            return None
        if not isinstance(values, dict):
            return None
        written = int(signed.timestamp() * 1000)
        return Row(cookie.encode(), values, written + lifetime * 1000, written)

    def sign(self, values: Mapping[str, Any]) -> str:
        """A cookie that Flask reads as a session of its own.

        Raises EncodingError for what its JSON cannot carry, ConfigurationError without a key.
        """
        serializer = self._interface.get_signing_serializer(self._app)
        if serializer is None:
            raise ConfigurationError("Flask's session cookie is signed, and there is no SECRET_KEY: set it.")
        try:
            return serializer.dumps(dict(values))
        except Exception as error:
            kind = type(error).__name__
        raise EncodingError(
            f"the session holds a value that Flask's cookie cannot carry ({kind}). While workers without"
            " Moored still serve, keep to what it could store."
        )
