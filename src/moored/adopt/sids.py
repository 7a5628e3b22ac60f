"""Flask-Session's ids: how they are made, recognised, signed, and turned into keys."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from itsdangerous import BadSignature, Signer

from moored.errors import ConfigurationError

# Of Flask-Session before 0.6, which also signs on with them under later versions.
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Sids:
    """Ids of ``length`` random bytes (SESSION_ID_LENGTH), behind ``prefix`` in the store.

    ``secret`` answers the app's SECRET_KEY where cookies are signed (SESSION_USE_SIGNER);
    None where they are not.  It is asked each time, since apps set their keys late.
    """

    def __init__(self, prefix: str, length: int, secret: Callable[[], str | bytes | None] | None) -> None:
        self.prefix = prefix
        self._length, self._secret = length, secret
        characters = -(-length * 4 // 3)  # of base64 without padding (RFC 4648, section 5)
        self._shape = re.compile(f"[A-Za-z0-9_-]{{{characters}}}|{_UUID}")

    def in_cookie(self, cookie: str) -> str | None:
        """The id in a cookie's value; None if it is forged, or cannot be one."""
        if self._secret is not None:
            try:
                cookie = self._signer().unsign(cookie).decode("ascii")
            except (BadSignature, UnicodeError):
                return None
        return cookie if self._shape.fullmatch(cookie) else None

    def to_cookie(self, sid: str) -> str:
        """The cookie's value for an id."""
        return sid if self._secret is None else self._signer().sign(sid).decode("ascii")

    def new(self) -> str:
        """An id that nobody has."""
        return secrets.token_urlsafe(self._length)

    def key(self, sid: str) -> str:
        """What the store has a session under."""
        return self.prefix + sid

    def in_key(self, key: str) -> str | None:
        """The id in a key of the store; None if the key cannot be Flask-Session's."""
        sid = key.removeprefix(self.prefix)
        return sid if key.startswith(self.prefix) and self._shape.fullmatch(sid) else None

    def _signer(self) -> Signer:
        assert self._secret is not None
        secret = self._secret()
        if not secret:
            raise ConfigurationError(
                "SESSION_USE_SIGNER says that cookies are signed, and there is no SECRET_KEY to verify them"
                " with: set it as it was."
            )
        return Signer(secret, salt="flask-session", key_derivation="hmac")


class ByKey:
    """A place whose row ids are the store's keys: the prefix and the id that is in the cookie."""

    _sids: Sids

    def row_id(self, cookie: str) -> str | None:
        """The key that a cookie names."""
        sid = self._sids.in_cookie(cookie)
        return None if sid is None else self._sids.key(sid)

    def new_id(self) -> str:
        """A key that does not exist yet."""
        return self._sids.key(self._sids.new())

    def cookie_of(self, row_id: str) -> str:
        """The cookie's value that names a key."""
        sid = self._sids.in_key(row_id)
        if sid is None:
            raise LookupError("this is no key of Flask-Session's.")
        return self._sids.to_cookie(sid)
