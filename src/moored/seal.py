"""The key ring: keyed checks and sealing under an application's secrets.

The first secret is the active one.  The others are those it replaced: Flask and Django call them
``SECRET_KEY_FALLBACKS``.  To rotate, put a new secret first; take the old one out when nothing
that was made under it matters any more.

Each secret is used only through keys derived by HKDF-SHA256 (RFC 5869), one for each purpose and
method: what was made for one is worth nothing for another.  Salt and labels are part of the
stored format.  A purpose is a fixed name in the code, never input: its keys are kept.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from moored.errors import ConfigurationError, MisuseError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SHORTEST_CHECK: Final = 4  # bytes; at least 32 bits (NIST SP 800-107 rev. 1, 5.3.3)
LONGEST_CHECK: Final = 32  # bytes: all of SHA-256

_HASH: Final = "sha256"
_HASH_BYTES: Final = 32
_SALT: Final = b"moored"
_VERSION: Final = b"\x01"
_HEADER_BYTES: Final = 3  # version and key id
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


def random_secret() -> str:
    """A new secret: 256 random bits as 43 characters of base64url."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def hkdf_extract(salt: bytes, secret: bytes) -> bytes:
    """A pseudorandom key of 32 bytes (RFC 5869, section 2.2)."""
    return hmac.digest(salt, secret, _HASH)  # HMAC pads an empty salt with zeros, as HKDF asks


def hkdf_expand(key: bytes, info: bytes, size: int) -> bytes:
    """``size`` bytes, at most 8160, of a pseudorandom key for ``info`` (RFC 5869, section 2.3)."""
    made = block = b""
    for counter in range(1, -(-size // _HASH_BYTES) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), _HASH)
        made += block
    return made[:size]


class KeyRing:
    """The secrets of an application, the active one first; immutable, and safe between threads.

    Raises ConfigurationError if there is no secret, or one is empty or not text or bytes.  It
    shows no secret, and can be copied (a copy is itself) but not pickled.
    """

    __slots__ = ("_checking", "_keys", "_sealing")

    def __init__(self, secrets: Sequence[str | bytes]) -> None:
        if isinstance(secrets, (str, bytes)):
            raise ConfigurationError(
                "The secrets are a list, and a single secret was given: put it in a list"
            )
        known = [_secret_bytes(secret) for secret in secrets]
        if not known:
            raise ConfigurationError("There is no secret to make keys of: set one, `moored init` makes it")
        self._keys = tuple(hkdf_extract(_SALT, secret) for secret in known)
        self._checking: dict[str, tuple[bytes, ...]] = {}
        self._sealing: dict[str, tuple[tuple[bytes, AESGCM], ...]] = {}

    def check(self, purpose: str, data: bytes, size: int) -> bytes:
        """``size`` bytes, 4 to 32, of HMAC-SHA256 over ``data`` under the active key.

        A check of n bytes is guessed with one of 256**n tries.  Raises MisuseError for other sizes.
        """
        if not SHORTEST_CHECK <= size <= LONGEST_CHECK:
            raise MisuseError(
                f"A check has {SHORTEST_CHECK} to {LONGEST_CHECK} bytes, and {size} were asked for"
            )
        return hmac.digest(self._check_keys(purpose)[0], data, _HASH)[:size]

    def every_check(self, purpose: str, data: bytes, size: int) -> list[bytes]:
        """What ``check`` answers under each key of the ring, the active one's first."""
        made = [hmac.digest(key, data, _HASH)[:size] for key in self._check_keys(purpose)]
        return [self.check(purpose, data, size), *made[1:]]

    def checks(self, purpose: str, data: bytes, tag: bytes) -> bool:
        """Whether ``tag`` is the check of ``data`` under any key of the ring.

        The time tells neither how much of it is right nor which key made it.  A tag proves no
        more than its length: where it comes from outside, the caller first sees that it has the
        length that was given out.
        """
        size = len(tag)
        if not SHORTEST_CHECK <= size <= LONGEST_CHECK:
            return False
        made = False
        for key in self._check_keys(purpose):
            made |= hmac.compare_digest(hmac.digest(key, data, _HASH)[:size], tag)
        return made

    def seal(self, purpose: str, data: bytes, context: bytes = b"") -> bytes:
        """``data`` encrypted and authenticated under the active key: 31 bytes longer.

        AES-256-GCM with a random nonce of 96 bits.  ``context`` is authenticated and not
        contained: unsealing needs the same one.  A key, that is a secret and a purpose, must not
        seal more than 2**32 messages (NIST SP 800-38D, section 8.3): at 1,000 a second rotate
        within seven weeks.  Equal data gives a different result each time.

        Raises ConfigurationError without the package ``cryptography``.
        """
        key_id, cipher = self._seal_keys(purpose)[0]
        header = _VERSION + key_id
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + cipher.encrypt(nonce, data, header + context)

    def unseal(self, purpose: str, sealed: bytes, context: bytes = b"") -> bytes | None:
        """What was sealed for this purpose and context by a key of the ring; None for all else.

        Raises ConfigurationError without the package ``cryptography``.
        """
        keys = self._seal_keys(purpose)
        header = sealed[:_HEADER_BYTES]
        if len(sealed) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES or not header.startswith(_VERSION):
            return None
        from cryptography.exceptions import InvalidTag

        nonce = sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        for key_id, cipher in keys:
            if key_id == header[len(_VERSION) :]:  # not a secret; two keys can have the same
                try:
                    return cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], header + context)
                except InvalidTag:
                    continue
        return None

    def _check_keys(self, purpose: str) -> tuple[bytes, ...]:
        keys = self._checking.get(purpose)
        if keys is None:
            info = b"check " + purpose.encode()
            keys = self._checking[purpose] = tuple(hkdf_expand(key, info, _HASH_BYTES) for key in self._keys)
        return keys

    def _seal_keys(self, purpose: str) -> tuple[tuple[bytes, AESGCM], ...]:
        keys = self._sealing.get(purpose)
        if keys is None:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError:
                raise ConfigurationError(
                    "Sealing needs the package cryptography: pip install 'moored[crypto]'"
                ) from None
            made = (hkdf_expand(key, b"seal " + purpose.encode(), 34) for key in self._keys)
            keys = self._sealing[purpose] = tuple((key[32:], AESGCM(key[:32])) for key in made)
        return keys

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._keys)} key{'s' if len(self._keys) > 1 else ''}>"

    def __copy__(self) -> KeyRing:
        return self

    def __deepcopy__(self, _memo: object) -> KeyRing:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise MisuseError(
            "A key ring is not pickled, because that would write its keys out: make it anew there"
        )


def _secret_bytes(secret: object) -> bytes:
    if isinstance(secret, str):
        try:
            secret = secret.encode()
        except UnicodeEncodeError:
            secret = None
    if not isinstance(secret, bytes) or not secret:
        raise ConfigurationError("A secret is text or bytes, and not empty: `moored init` makes a good one")
    return secret
