"""The secrets in a Flask application's own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from moored.errors import ConfigurationError
from moored.web.secret import Secret

OWN: Final = "SECRET_KEY"
EARLIER: Final = "SECRET_KEY_FALLBACKS"


def app_secrets(config: Mapping[str, Any]) -> tuple[Secret, ...]:
    """``SECRET_KEY``, if it is set, and then what ``SECRET_KEY_FALLBACKS`` lists.

    Raises ConfigurationError for what is no secret, and no list of them.
    """
    own, earlier = config.get(OWN), config.get(EARLIER) or ()
    if isinstance(earlier, (str, bytes)):
        raise ConfigurationError(
            f"{EARLIER} must be a list of keys: of a single text, every letter would be one. Put it into"
            " a list."
        )
    if not isinstance(earlier, (list, tuple, set, frozenset)):  # an iterator is empty the second time
        raise ConfigurationError(f"{EARLIER} must be a list of keys, not {type(earlier).__name__}.")
    named = [(OWN, own), *[(EARLIER, key) for key in earlier]]
    return tuple([_secret(key, name) for name, key in named if key])


def _secret(key: object, name: str) -> Secret:
    if not isinstance(key, (str, bytes)):
        where = "must be" if name == OWN else "must be a list of"
        raise ConfigurationError(f"{name} {where} text or bytes, not {type(key).__name__}.")
    return Secret(key, f"{name} of the app")
