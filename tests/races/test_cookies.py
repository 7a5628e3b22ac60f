"""2,000 cookies that nobody was given: no error, nobody's data, and not a word to the engine."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from tests.races.clients import Answer, Browser, at_once
from tests.races.conftest import Shop

from moored.testing.servers import RedisServer

ALPHABET = string.ascii_letters + string.digits + "-_"
FORGED = 2_000
THREADS = 8
NOT_DATA = {"info", "hello", "ping", "client", "select", "time", "script", "config", "command", "auth"}


def forged(rng: Random, good: list[str]) -> str:
    """A session cookie's value that is none of the good ones."""
    makers: list[Callable[[], str]] = [
        lambda: changed(rng, rng.choice(good)),
        lambda: rng.choice(good)[: rng.randrange(40)],
        lambda: rng.choice(good)[rng.randrange(1, 40) :],
        lambda: rng.choice(good) + rng.choice(ALPHABET) * rng.randrange(1, 5),
        lambda: spliced(rng, *rng.sample(good, 2)),
        lambda: flipped(rng, rng.choice(good)),
        lambda: rng.choice(good)[::-1],
        lambda: rng.choice(good).swapcase(),
        lambda: "".join(rng.choices(ALPHABET, k=40)),
        lambda: "".join(rng.choices(ALPHABET, k=rng.randrange(200))),
        lambda: "".join(map(chr, rng.choices(range(0x80, 0x100), k=40))),
        lambda: rng.choice(good)[:-1] + chr(rng.randrange(0x80, 0x100)),
        lambda: "".join(rng.choices(string.punctuation.replace(";", "") + " ", k=rng.randrange(60))),
        lambda: rng.choice(
            ["", '""', "=", "==", "null", "None", "{}", "../../etc/passwd", "' OR 1=1 --", "%00"]
        ),
        lambda: base64.urlsafe_b64encode(b"\0" * 30).decode(),
        lambda: rng.choice(good) * rng.randrange(2, 180),  # up to 7 KB: gunicorn takes 8 KB a header
        lambda: "A" * rng.randrange(4000, 7900),
        lambda: "; session=".join(changed(rng, rng.choice(good)) for _ in range(rng.randrange(2, 30))),
        lambda: "".join(f"%{ord(c):02x}" for c in rng.choice(good)),
        lambda: rng.choice(good)[:20] + rng.choice(" \t,\\\"'") + rng.choice(good)[20:],
        lambda: "\\055".join(rng.choice(good)[:39].split("-")),
    ]
    while (made := rng.choice(makers)()) in good:
        pass
    return made


def changed(rng: Random, cookie: str) -> str:
    """With one to three other letters."""
    letters = list(cookie)
    for at in rng.sample(range(40), rng.randrange(1, 4)):
        letters[at] = rng.choice(ALPHABET.replace(letters[at], ""))
    return "".join(letters)


def flipped(rng: Random, cookie: str) -> str:
    """With one bit flipped."""
    raw = bytearray(base64.urlsafe_b64decode(cookie))
    raw[rng.randrange(30)] ^= 1 << rng.randrange(8)
    return base64.urlsafe_b64encode(raw).decode()


def spliced(rng: Random, one: str, other: str) -> str:
    """The selector, the verifier and the check of two sessions, mixed."""
    a, b = base64.urlsafe_b64decode(one), base64.urlsafe_b64decode(other)
    parts = rng.choice([(a, b, a), (a, b, b), (a, a, b)])
    return base64.urlsafe_b64encode(parts[0][:10] + parts[1][10:26] + parts[2][26:]).decode()


def asked(server: RedisServer) -> int:
    """How many commands about data the engine has been sent."""
    lines = str(server.cli("INFO", "commandstats")).splitlines()
    stats = [line.removeprefix("cmdstat_").split(":") for line in lines if line.startswith("cmdstat_")]
    return sum(
        int(rest.split(",")[0].removeprefix("calls="))
        for name, rest in stats
        if name.partition("|")[0] not in NOT_DATA
    )


def owners(shop: Shop) -> list[Browser]:
    """Visitors, each with something of their own."""
    made = [shop.visitor() for _ in range(10)]
    for n, browser in enumerate(made):
        browser.post(f"/set/mine/secret{n}")
    return made


def ask_all(shop: Shop, method: str, path: str, cookies: Iterable[str]) -> list[Answer]:
    """The answers to requests with these cookies."""
    queue = list(cookies)

    def some(part: list[str]) -> list[Answer]:
        return [
            shop.browser().request(method, path, {"Cookie": f"session={cookie}".encode("latin-1")})
            for cookie in part
        ]

    parts = at_once([partial(some, queue[n::THREADS]) for n in range(THREADS)])
    return [answer for part in parts for answer in part]


def test_2000_forged_cookies(shop: Shop, redis_server: RedisServer) -> None:
    rng = Random(20_260_101)
    good = [browser.cookie for browser in owners(shop)]
    cookies: set[str] = set()
    while len(cookies) < FORGED:
        cookies.add(forged(rng, good))
    before = asked(redis_server)
    answers = ask_all(shop, "GET", "/", sorted(cookies))
    if shop.engine == "redis":
        assert asked(redis_server) == before
    assert len(answers) == FORGED
    assert {answer.status for answer in answers} == {200}
    assert [found for answer in answers if (found := answer.json)["data"] or found["selector"]] == []
    assert [answer.cookies for answer in answers if answer.cookies] == []


def test_a_forged_cookie_is_never_adopted(shop: Shop) -> None:
    rng = Random(5)
    good = [browser.cookie for browser in owners(shop)]
    cookies = [forged(rng, good) for _ in range(60)]
    for cookie in cookies:
        browser = shop.browser()
        answer = browser.request("POST", "/add/x", {"Cookie": f"session={cookie}".encode("latin-1")})
        assert answer.json == {"cart": ["x"]}
        assert len(answer.cookies) == 1
        assert browser.cookie not in cookies
        assert browser.data == {"cart": ["x"]}


def test_bytes_that_no_header_may_have_are_no_error_of_ours(shop: Shop) -> None:
    for raw in (b"\x00", b"\x01\x02", b"\x7f", b"a\x0bb"):
        answer = shop.browser().request("GET", "/", {"Cookie": b"session=" + raw})
        assert answer.status in (200, 400)
        assert answer.cookies == []
    answer = shop.browser().request("GET", "/", {"Cookie": b"session=" + b"A" * 9000})
    assert answer.status in (200, 400, 431)


def test_the_same_cookie_in_other_clothes_is_good(shop: Shop, redis_server: RedisServer) -> None:
    everybody = owners(shop)
    other = shop.visitor()
    clothes = [
        "session={0}",
        'session="{0}"',
        " session={0} ",
        "session={0}; session={0}",
        "a=b; session={0}; c",
    ]
    clothes += ["session=junk; session={0}", "session={0}; session=", "session={0}; Session=x; session_=y"]
    before = asked(redis_server)
    for n, browser in enumerate(everybody):
        for cloth in clothes:
            answer = shop.browser().get(Cookie=cloth.format(browser.cookie))
            assert answer.json["data"] == {"visited": "yes", "mine": f"secret{n}"}, cloth
    if shop.engine == "redis":
        assert asked(redis_server) - before == len(everybody) * len(clothes)
    two = shop.browser().get(Cookie=f"session={other.cookie}; session={everybody[0].cookie}")
    assert two.json["data"] == {}  # somebody may have planted one of them


def test_replayed_cookies_are_worth_nothing(shop: Shop, name: str) -> None:
    browser = shop.visitor()
    visitor = browser.cookie
    browser.post(f"/login/{name}")
    member = browser.cookie
    browser.post("/logout")
    answers = ask_all(shop, "GET", "/", [visitor, member] * 10)
    assert {answer.status for answer in answers} == {200}
    assert [answer for answer in answers if answer.json["data"] or answer.cookies] == []
