"""The session cookie: its attributes, and which of several is believed."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from moored.errors import ConfigurationError
from moored.spelling import WrongWord, one_of

MOST = 20  # different cookies of our name that are looked at
MOST_GENUINE = 4  # of them that the engine is asked about

Found = TypeVar("Found")

_NAME = re.compile(r"[!#$%&'*+.^_`|~\w-]+", re.ASCII)  # a token (RFC 9110, section 5.6.2)
_DOMAIN = re.compile(r"\.?[\w-]+(\.[\w-]+)*")
_PATH = re.compile(r"/[^;\x00-\x20\x7f]*")

_same_site = one_of("Strict", "Lax", "None")


def as_text(raw: bytes) -> str:
    """Bytes as the value of a cookie: base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """What ``as_text`` made the text of.  Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def check_attributes(
    name: str, *, domain: str | None, path: str, secure: bool, samesite: str | None, partitioned: bool
) -> None:
    """Raise ConfigurationError for what browsers reject (RFC 6265bis, sections 4.1 and 5)."""
    if not _is(name, _NAME):
        raise ConfigurationError(f"{name!r} cannot be the name of a cookie: use letters, digits, - and _.")
    if domain and not _is(domain, _DOMAIN):
        raise ConfigurationError(
            f"{domain!r} cannot be the domain of a cookie: give the name of a host, such as example.com,"
            " without scheme, port and path."
        )
    if not _is(path, _PATH):
        raise ConfigurationError(
            f"{path!r} cannot be the path of a cookie, and browsers would take another: it begins with / and"
            " has no semicolon or space."
        )
    try:
        same = None if samesite is None else _same_site(str(samesite))
    except WrongWord as wrong:
        raise ConfigurationError(f"a cookie's SameSite is {wrong}, not {samesite!r}.{wrong.hint}") from None
    if same == "None" and not secure:
        raise ConfigurationError(
            "browsers reject a cookie with SameSite=None that is not Secure: set Secure."
        )
    if partitioned and not secure:
        raise ConfigurationError("browsers reject a Partitioned cookie that is not Secure: set Secure.")
    if name.startswith("__Secure-") and not secure:
        raise ConfigurationError("browsers reject a __Secure- cookie that is not Secure: set Secure.")
    if name.startswith("__Host-") and (not secure or domain or path != "/"):
        raise ConfigurationError(
            "browsers reject a __Host- cookie unless it is Secure, has the path / and no domain: set these,"
            " or choose another name."
        )


def _is(value: object, what: re.Pattern[str]) -> bool:
    return isinstance(value, str) and what.fullmatch(value) is not None


class TooManyCookiesError(ValueError):
    """There are so many cookies of our name that somebody must have planted some."""


def genuine(values: Iterable[str], opened: Callable[[str], Found | None]) -> list[Found]:
    """What the different cookies of our name prove; usually nothing or one thing.

    ``opened`` answers what a value proves, None if it is not genuine.  Raises
    TooManyCookiesError for more cookies, or more genuine ones, than any browser has of
    its own accord.
    """
    different = dict.fromkeys(values)
    if len(different) > MOST:
        raise TooManyCookiesError
    found = [proof for value in different if (proof := opened(value)) is not None]
    if len(found) > MOST_GENUINE:
        raise TooManyCookiesError
    return found
