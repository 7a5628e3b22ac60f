"""The key ring: what it made it knows again, until the key is taken out; nothing else passes."""

from __future__ import annotations

import base64
import copy
import hmac
import pickle
import subprocess
import sys
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from moored.errors import ConfigurationError, MisuseError
from moored.seal import KeyRing, hkdf_expand, hkdf_extract, random_secret
from moored.web.weak_secret import fault

OLD, NEW, OTHER = "the old secret, long enough", b"the new secret, long enough", "somebody else's secret"

# RFC 5869, appendix A.1 to A.3: secret, salt, info, pseudorandom key, output.
RFC_5869 = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    (
        "0b" * 22,
        "",
        "",
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


@pytest.mark.parametrize(("secret", "salt", "info", "key", "output"), RFC_5869, ids=["A.1", "A.2", "A.3"])
def test_hkdf_gives_what_its_rfc_gives(secret: str, salt: str, info: str, key: str, output: str) -> None:
    made = hkdf_extract(bytes.fromhex(salt), bytes.fromhex(secret))
    assert made.hex() == key
    assert hkdf_expand(made, bytes.fromhex(info), len(output) // 2).hex() == output


@given(st.binary(min_size=1), st.binary(), st.binary(), st.integers(1, 8160))
def test_hkdf_agrees_with_another_implementation(secret: bytes, salt: bytes, info: bytes, size: int) -> None:
    assert hkdf_expand(hkdf_extract(salt, secret), info, size) == HKDF(SHA256(), size, salt, info).derive(
        secret
    )


# --- What is stored or lies with browsers ---------------------------------------------------------


def derived(secret: bytes, info: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, b"moored", info).derive(secret)


def test_the_form_of_a_check() -> None:
    tag = KeyRing([NEW]).check("cookie", b"data", 32)
    assert tag == hmac.digest(derived(NEW, b"check cookie", 32), b"data", "sha256")
    assert tag.hex() == "ad54df6d3ad8b5cfec6082b745866fb8ee45423c0f70f919d01dca1b16907921"
    assert [KeyRing([NEW]).check("cookie", b"data", size) for size in range(4, 33)] == [
        tag[:size] for size in range(4, 33)
    ]


def test_the_form_of_what_is_sealed() -> None:
    sealed = KeyRing([NEW]).seal("cookie", b"data", b"context")
    key = derived(NEW, b"seal cookie", 34)
    header, nonce, rest = sealed[:3], sealed[3:15], sealed[15:]
    assert header == b"\x01" + key[32:]
    assert AESGCM(key[:32]).decrypt(nonce, rest, header + b"context") == b"data"
    assert len(sealed) == len(b"data") + 31


def test_what_an_earlier_release_sealed_is_unsealed() -> None:
    sealed = bytes.fromhex("01b34dfbe600af22ea279ca024d51f6f77d67ebb24d2cafd96febc35e6f828d65a7505")
    assert KeyRing([NEW]).unseal("cookie", sealed, b"context") == b"data"


# --- Rotation -----------------------------------------------------------------------------------

RINGS: list[tuple[Sequence[str | bytes], bool]] = [
    ([OLD], True),
    ([OLD.encode()], True),
    ([NEW, OLD], True),
    ([OTHER, NEW, OLD], True),
    ([NEW], False),
    ([OTHER, NEW], False),
]


@pytest.mark.parametrize(("secrets", "accepted"), RINGS)
def test_what_an_old_key_made_counts_until_the_key_is_taken_out(
    secrets: Sequence[str | bytes], accepted: bool
) -> None:
    before, after = KeyRing([OLD]), KeyRing(secrets)
    assert after.checks("cookie", b"data", before.check("cookie", b"data", 4)) is accepted
    unsealed = after.unseal("cookie", before.seal("cookie", b"data", b"c"), b"c")
    assert unsealed == (b"data" if accepted else None)


def test_only_the_first_key_makes_anything() -> None:
    ring = KeyRing([NEW, OLD])
    assert KeyRing([NEW]).checks("cookie", b"data", ring.check("cookie", b"data", 16))
    assert not KeyRing([OLD]).checks("cookie", b"data", ring.check("cookie", b"data", 16))
    sealed = ring.seal("cookie", b"data")
    assert KeyRing([NEW]).unseal("cookie", sealed) == b"data"
    assert KeyRing([OLD]).unseal("cookie", sealed) is None


def test_two_keys_with_the_same_id_are_told_apart() -> None:
    secrets = {}
    for number in range(100_000):
        secret = f"secret number {number}".encode()
        key_id = derived_id(secret)
        if key_id in secrets:
            break
        secrets[key_id] = secret
    else:
        raise AssertionError("no two of 100,000 keys share an id of 2 bytes")
    ring = KeyRing([secret, secrets[key_id]])
    for one in (secret, secrets[key_id]):
        sealed = KeyRing([one]).seal("cookie", b"data")
        assert sealed[1:3] == key_id
        assert ring.unseal("cookie", sealed) == b"data"


def derived_id(secret: bytes) -> bytes:
    return hkdf_expand(hkdf_extract(b"moored", secret), b"seal cookie", 34)[32:]


# --- What must not pass -------------------------------------------------------------------------


def test_another_purpose_data_or_context_is_refused() -> None:
    ring = KeyRing([NEW, OLD])
    tag = ring.check("cookie", b"data", 16)
    assert ring.checks("cookie", b"data", tag)
    assert not ring.checks("cookies", b"data", tag)
    assert not ring.checks("cookie", b"Data", tag)
    sealed = ring.seal("cookie", b"data", b"context")
    assert ring.unseal("cookie", sealed, b"context") == b"data"
    assert ring.unseal("cookies", sealed, b"context") is None
    assert ring.unseal("cookie", sealed, b"Context") is None
    assert ring.unseal("cookie", sealed) is None


@pytest.mark.parametrize("size", [4, 16, 32])
def test_a_tag_with_any_bit_changed_is_refused(size: int) -> None:
    ring = KeyRing([NEW, OLD])
    tag = ring.check("cookie", b"data", size)
    for place in range(size):
        for bit in range(8):
            assert not ring.checks("cookie", b"data", changed(tag, place, bit))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 33, 64])
def test_a_tag_of_no_proper_length_is_refused(size: int) -> None:
    ring = KeyRing([NEW])
    tag = (ring.check("cookie", b"data", 32) * 2)[:size]
    assert not ring.checks("cookie", b"data", tag)
    with pytest.raises(MisuseError, match=f"A check has 4 to 32 bytes, and {size} were asked for"):
        ring.check("cookie", b"data", size)


def test_what_is_sealed_is_refused_with_any_bit_changed_or_any_byte_less_or_more() -> None:
    ring = KeyRing([NEW, OLD])
    sealed = ring.seal("cookie", b"data", b"context")
    for place in range(len(sealed)):
        for bit in range(8):
            assert ring.unseal("cookie", changed(sealed, place, bit), b"context") is None
    for size in range(len(sealed)):
        assert ring.unseal("cookie", sealed[:size], b"context") is None
        assert ring.unseal("cookie", sealed[size + 1 :], b"context") is None
    assert ring.unseal("cookie", sealed + b"\0", b"context") is None


def test_the_header_is_not_part_of_the_context() -> None:
    ring = KeyRing([NEW])
    sealed = ring.seal("cookie", b"", b"ab")
    assert ring.unseal("cookie", sealed, b"ab") == b""
    assert ring.unseal("cookie", sealed, sealed[1:3] + b"ab") is None


def test_another_version_is_refused_even_if_our_key_made_it() -> None:
    key = derived(NEW, b"seal cookie", 34)
    for version, expected in (1, b"data"), (0, None), (2, None):
        header = bytes([version]) + key[32:]
        sealed = header + bytes(12) + AESGCM(key[:32]).encrypt(bytes(12), b"data", header)
        assert KeyRing([NEW]).unseal("cookie", sealed) == expected


@given(st.binary(max_size=80))
def test_random_bytes_are_refused(data: bytes) -> None:
    ring = KeyRing([NEW, OLD])
    assert ring.unseal("cookie", data) is None
    assert ring.unseal("cookie", b"\x01" + derived_id(NEW) + data) is None


@given(st.binary(), st.binary())
def test_what_is_sealed_comes_back_and_is_never_the_same_twice(data: bytes, context: bytes) -> None:
    ring = KeyRing([NEW])
    first, second = ring.seal("cookie", data, context), ring.seal("cookie", data, context)
    assert first[3:15] != second[3:15]
    assert ring.unseal("cookie", first, context) == ring.unseal("cookie", second, context) == data


def changed(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


@pytest.mark.parametrize("maker", [NEW, OLD, OTHER, "nobody"])
def test_every_key_is_compared_in_constant_time(maker: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing([NEW, OLD, OTHER])
    tag = KeyRing([maker]).check("cookie", b"data", 16)
    seen: list[bool] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        seen.append(real(one, other))
        return seen[-1]

    monkeypatch.setattr("moored.seal.hmac.compare_digest", compare)
    assert ring.checks("cookie", b"data", tag) is (maker != "nobody")
    assert seen == [maker == NEW, maker == OLD, maker == OTHER]


# --- Secrets ------------------------------------------------------------------------------------

NOT_SECRETS = [
    ([], "There is no secret to make keys of: set one, `moored init` makes it"),
    ("abc", "The secrets are a list, and a single secret was given: put it in a list"),
    (b"abc", "The secrets are a list, and a single secret was given: put it in a list"),
    ([""], "A secret is text or bytes, and not empty: `moored init` makes a good one"),
    ([NEW, b""], "A secret is text or bytes, and not empty: `moored init` makes a good one"),
    ([None], "A secret is text or bytes, and not empty: `moored init` makes a good one"),
    ([12345], "A secret is text or bytes, and not empty: `moored init` makes a good one"),
    (["\ud800"], "A secret is text or bytes, and not empty: `moored init` makes a good one"),
]


@pytest.mark.parametrize(
    ("secrets", "message"), NOT_SECRETS, ids=[repr(secrets) for secrets, _ in NOT_SECRETS]
)
def test_what_is_no_secret_is_named(secrets: Sequence[str | bytes], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeyRing(secrets)
    assert caught.value.args == (message,)
    assert caught.value.__context__ is None  # a UnicodeEncodeError would hold the secret


def test_a_short_secret_works() -> None:
    ring = KeyRing(["dev-key"])
    assert ring.checks("cookie", b"data", ring.check("cookie", b"data", 4))


def test_a_ring_shows_no_secret() -> None:
    ring = KeyRing([NEW, OLD])
    ring.check("cookie", b"data", 4)
    ring.seal("cookie", b"data")
    assert repr(ring) == str(ring) == f"{ring}" == "<KeyRing of 2 keys>"
    assert repr(KeyRing([NEW])) == "<KeyRing of 1 key>"
    assert not hasattr(ring, "__dict__")
    held = repr([getattr(ring, name) for name in KeyRing.__slots__])
    assert NEW.decode() not in held
    assert OLD not in held


def test_a_ring_is_not_pickled_and_its_copy_is_itself() -> None:
    ring = KeyRing([NEW])
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(MisuseError, match="A key ring is not pickled"):
            pickle.dumps(ring, protocol)
    assert copy.copy(ring) is ring
    assert copy.deepcopy({"ring": ring})["ring"] is ring


def test_a_random_secret_is_256_bits_of_base64url() -> None:
    made = {random_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert len(secret) == 43
        assert len(base64.b64decode(secret + "=", b"-_", validate=True)) == 32
        assert not fault(secret)


# --- Without the package cryptography -------------------------------------------------------------

WITHOUT = """
import sys
from moored.errors import ConfigurationError
from moored.seal import KeyRing
ring = KeyRing(["a secret that is long enough"])
assert ring.checks("cookie", b"data", ring.check("cookie", b"data", 4))
print("cryptography" in sys.modules)
sys.modules["cryptography"] = None  # as if it were not installed
for call in (lambda: ring.seal("cookie", b"data"), lambda: ring.unseal("cookie", bytes(40))):
    try:
        call()
    except ConfigurationError as error:
        print(error)
"""


def test_without_cryptography_checks_work_and_sealing_names_the_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    message = "Sealing needs the package cryptography: pip install 'moored[crypto]' [MRD-022]"
    assert done.stdout.splitlines() == ["False", message, message]
