"""Cookies that hold whole sessions."""

from __future__ import annotations

from tests.docs.bad_input import Ground, row
from tests.docs.site import Site

STORE = {"MOORED_SESSION_STORE": "signed-cookie"}


@row("contents-forged")
def _(ground: Ground) -> str:
    site = Site(ground, **STORE)
    site.client.get("/add")
    return site.told(site.cookie[:-8] + "AAAAAAAA")


@row("contents-of-another-secret")
def _(ground: Ground) -> str:
    site = Site(ground, **STORE)
    site.client.get("/add")
    site.app.config["SECRET_KEY"] = "another secret, and the old one is no fallback"
    return site.told(site.cookie)
