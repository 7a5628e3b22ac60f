"""Requests that another site made the browser send."""

from __future__ import annotations

from urllib.parse import urlsplit

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1


def is_cross_site(method: str, fetch_site: str | None, origin: str | None, host: str) -> bool:
    """Did another site cause this unsafe request?

    By ``Sec-Fetch-Site`` (W3C Fetch Metadata) where the browser sends it, else by
    ``Origin``; a request with neither is not from a browser that could tell.  An ``Origin``
    that cannot be parsed is nobody's own.
    """
    if method in SAFE:
        return False
    if fetch_site:
        return fetch_site == "cross-site"
    if not origin:
        return False
    try:
        return urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:
        return True
