"""Which requests another site made the browser send."""

from __future__ import annotations

import pytest

from moored.web.cross_site import SAFE, is_cross_site

HOST = "shop.example:8000"


@pytest.mark.parametrize("method", sorted(SAFE))
def test_a_safe_request_is_never_one(method: str) -> None:
    assert not is_cross_site(method, "cross-site", "https://elsewhere.example", HOST)


@pytest.mark.parametrize(
    ("fetch_site", "origin", "foreign"),
    [
        ("cross-site", None, True),
        ("cross-site", f"https://{HOST}", True),
        ("same-origin", "https://elsewhere.example", False),
        ("none", None, False),
        (None, None, False),
        (None, "", False),
        (None, f"https://{HOST}", False),
        (None, f"https://{HOST.upper()}", False),
        (None, "https://shop.example", True),
        (None, "https://elsewhere.example", True),
        (None, "null", True),
    ],
)
def test_by_the_fetch_metadata_and_else_by_the_origin(
    fetch_site: str | None, origin: str | None, foreign: bool
) -> None:
    assert is_cross_site("POST", fetch_site, origin, HOST) is foreign


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://]", "http://[x]/", "http://℀", "\0"])
def test_an_origin_that_cannot_be_parsed_is_foreign(origin: str) -> None:
    assert is_cross_site("POST", None, origin, HOST)
