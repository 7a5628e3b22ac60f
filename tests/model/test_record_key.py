"""The keys of records: names as they are, as digests, or refused."""

from __future__ import annotations

import pytest

from moored.commands import KEY_BYTES, record_key
from moored.errors import EncodingError


@pytest.mark.parametrize(
    "name", ["visits", "", "a:b", "ünï", "a\0b", "x" * KEY_BYTES, "ü" * (KEY_BYTES // 2)]
)
def test_a_name_is_part_of_the_key_as_it_is(name: str) -> None:
    assert record_key("counter", name) == f"counter:{name}"


@pytest.mark.parametrize("name", ["x" * (KEY_BYTES + 1), "ü" * (KEY_BYTES // 2 + 1), "~", "~x"])
def test_a_long_name_and_one_that_looks_like_a_digest_are_digested(name: str) -> None:
    key = record_key("counter", name)
    assert key.startswith("counter:~")
    assert len(key) == len("counter:~") + 40


@pytest.mark.parametrize("kind", ["counter", "subject"])
@pytest.mark.parametrize("name", ["hunter2\ud800", "~\udcff", "\udfff" + "x" * KEY_BYTES])
def test_a_name_that_utf_8_cannot_hold_is_refused_and_not_shown(kind: str, name: str) -> None:
    with pytest.raises(EncodingError) as caught:
        record_key(kind, name)
    assert str(caught.value) == (
        f"the name of a {kind} is not Unicode text: it holds a lone surrogate, which UTF-8 cannot hold."
        " Where it was read from, decode it strictly, or give another name. [MRD-024]"
    )
    assert caught.value.__context__ is None  # that would hold the name
