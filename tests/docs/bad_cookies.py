"""Cookies that a client made up, damaged, kept or doubled."""

from __future__ import annotations

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from tests.docs.bad_input import Ground, row
from tests.docs.site import SECRET, Site, told

from moored.kinds.sessions.record import Credential, to_cookie
from moored.seal import KeyRing


@row("cookie-forged")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/add")
    return site.told(site.cookie[:39] + ("A" if site.cookie[39] != "A" else "B"))


@row("cookie-truncated")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/add")
    return site.told(site.cookie[:39])


@row("cookie-oversized")
def _(ground: Ground) -> str:
    return Site(ground).told("A" * 8192)


@row("cookie-non-ascii")
def _(ground: Ground) -> str:
    return Site(ground).told("ü" * 40)


@row("cookie-empty")
def _(ground: Ground) -> str:
    return Site(ground).told("")


@row("cookie-of-flask")
def _(ground: Ground) -> str:
    site, plain = Site(ground), Flask("plain")
    plain.secret_key = SECRET
    serializer = SecureCookieSessionInterface().get_signing_serializer(plain)
    assert serializer is not None
    return site.told(serializer.dumps({"user_id": "ann"}))


@row("cookie-other-secret")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/add")
    site.app.config["SECRET_KEY"] = "another secret, and the old one is no fallback"
    return site.told(site.cookie)


@row("cookie-wrong-verifier")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/in")
    return site.told(to_cookie(Credential(site.selector(), bytes(16)), KeyRing([SECRET])))


@row("cookie-two-genuine")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/add")
    mine, site.client = site.cookie, site.app.test_client()
    site.client.get("/in?who=mallory")
    return site.told(site.cookie, mine)


@row("cookie-genuine-twice")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/add")
    return site.told(site.cookie, site.cookie)


@row("cookie-genuine-and-forged")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/add")
    return site.told("A" * 40, site.cookie)


@row("cookie-after-twenty")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/add")
    return site.told(*[f"{number}" * 20 for number in range(10, 30)], site.cookie)


@row("cookie-from-before-sign-in")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/add")
    planted = site.cookie
    site.client.get("/in")
    assert site.cookie != planted
    return site.told(planted)


@row("cookie-from-before-sign-in-writes")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/in")
    planted = site.cookie
    site.client.get("/in?who=bob")
    answer = site.send(planted, path="/add")
    assert answer.status_code == 200
    assert answer.json == {"cart": ["book"]}, "it sees what it wrote itself, and nothing of others"
    assert "Set-Cookie" not in answer.headers
    assert site.client.get("/").json == {"user_id": "bob"}
    return "served (200); what it writes is dropped, and no cookie is set"


@row("cookie-after-sign-out")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/in")
    kept = site.cookie
    site.client.get("/out")
    return site.told(kept)


def _cross_site(ground: Ground, setting: str) -> str:
    site = Site(ground, MOORED_LOGIN_CROSS_SITE=setting)
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
    answer = site.client.post("/in", headers=headers)
    return told(answer, log=ground.logged())


@row("sign-in-cross-site")
def _(ground: Ground) -> str:
    return _cross_site(ground, "warn")


@row("sign-in-cross-site-refused")
def _(ground: Ground) -> str:
    return _cross_site(ground, "refuse")


@row("cookie-after-everywhere")
def _(ground: Ground) -> str:
    site = Site(ground)
    site.client.get("/in")
    kept = site.cookie
    site.state.sessions.revoke_subject("ann")
    return site.told(kept)
