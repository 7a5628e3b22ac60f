"""Which word was meant: the nearest one, if there is one."""

from __future__ import annotations

import pytest

from moored.errors import ConfigurationError
from moored.spelling import did_you_mean, nearest
from moored.url import parse

STORES = ("engine", "signed-cookie", "sealed-cookie")


@pytest.mark.parametrize(
    ("written", "known", "meant"),
    [
        ("signed_cookie", STORES, "signed-cookie"),
        ("Sealed-Cookie ", STORES, "sealed-cookie"),
        ("enigne", STORES, "engine"),
        ("cookie", STORES, None),  # as near to one as to the other
        ("redis", STORES, None),
        ("", STORES, None),
        ("engine", (), None),
        ("sqllite", ("memory", "sqlite", "redis", "rediss", "unix"), "sqlite"),
        ("REDIS", ("redis", "rediss", "redis"), "redis"),  # twice the same word is one
        ("rediz", ("rediss", "redis"), "redis"),
    ],
)
def test_the_nearest_word(written: str, known: tuple[str, ...], meant: str | None) -> None:
    assert nearest(written, known) == meant


def test_what_all_begin_with_makes_nothing_alike() -> None:
    known = ("MOORED_URL", "MOORED_SECRET")
    assert nearest("MOORED_COLOUR", known, beginning="MOORED_") is None
    assert nearest("MOORED_ULR", known, beginning="MOORED_") == "MOORED_URL"


def test_the_sentence() -> None:
    assert did_you_mean("ful", ("full", "normal")) == " Did you mean 'full'?"
    assert did_you_mean("sqlit", ("sqlite",), "{}:") == " Did you mean sqlite:?"
    assert did_you_mean("off", ("full", "normal")) == ""


def test_no_hint_tells_what_an_option_holds_that_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    from moored.engines.memory import MemoryEngine
    from moored.spelling import one_of

    monkeypatch.setattr(MemoryEngine, "options", {"password": one_of("hunter2", "hunter3x")})
    with pytest.raises(ConfigurationError) as caught:
        parse("memory:?password=hunter22")
    assert "Did you mean" not in str(caught.value)
