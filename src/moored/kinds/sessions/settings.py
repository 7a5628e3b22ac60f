"""What can be set about sessions: lifetimes, bounds, merging, and what counts as signing in."""

from __future__ import annotations

from msgspec import Struct

from moored.codec import DEPTH
from moored.errors import ConfigurationError
from moored.merge_rules import NO_RULES, Rules

DAY = 86_400_000  # milliseconds

# Fields that must not survive a sign-in: whoever planted the visitor's cookie knows them.
FRESH_ON_LOGIN = frozenset({"csrf_token", "_csrf_token", "oauth_state", "oauth_nonce", "nonce"})
# Fields that say who is signed in, by the habits of Django, Flask-Login and tutorials.
IDENTITY = ("_auth_user_id", "_user_id", "user_id", "user")


class SessionSettings(Struct, frozen=True):
    """The settings of sessions.

    ``idle`` and ``absolute`` are milliseconds: a session ends that long after its last use,
    and that long after it was made.  ``largest`` is the size of all fields in bytes, ``most``
    their number, ``depth`` how deeply a value may be nested, ``each`` the number of sessions
    of one subject, beyond which the oldest is ended.  ``identity`` are the fields whose
    change is a sign-in or sign-out (none: only ``login()`` and ``logout()``).
    """

    idle: int = 31 * DAY
    absolute: int = 90 * DAY
    largest: int = 2 * 1024 * 1024
    most: int = 16_384
    depth: int = DEPTH
    each: int = 50
    identity: tuple[str, ...] = IDENTITY
    fresh_on_login: frozenset[str] = FRESH_ON_LOGIN
    merge: Rules = NO_RULES

    def __post_init__(self) -> None:
        for name in ("idle", "absolute", "largest", "most", "depth", "each"):
            if getattr(self, name) < 1:
                raise ConfigurationError(
                    f"the session setting {name!r} must be above 0, not {getattr(self, name)}."
                )

    @property
    def lifetime(self) -> int:
        """The longest that a record may be left alone: the sooner of idle and absolute."""
        return min(self.idle, self.absolute)
