"""A browser without a screen, played by the server against itself, so that every answer can be seen."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from moored.demo.books import Books

PATIENCE = 10.0  # seconds to wait for an answer


class Site(Struct, frozen=True):
    """Where the shop is, the name of its cookie, and when the scene began."""

    host: str
    port: int
    cookie: str
    began: float

    def clock(self) -> float:
        """Seconds since the scene began."""
        return round(time.monotonic() - self.began, 3)


class Exchange(Struct, frozen=True, tag="exchange"):
    """A request and its answer; ``cookie`` is "new", "deleted" or "none"."""

    who: str
    request: str
    status: int
    cookie: str
    says: str
    at: float


class Verdict(Struct, frozen=True, tag="verdict"):
    """How it ended: what was tried, what held, and the numbers that tell."""

    held: bool
    text: str
    numbers: dict[str, int] = {}


class Answer(Struct, frozen=True):
    """What came back."""

    exchange: Exchange
    body: str
    location: str

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return msgspec.json.decode(self.body)

    def hidden(self, name: str) -> str:
        """The value of a hidden field of the page's form."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.body)
        return found[1] if found else ""


class Robot:
    """One such browser: it keeps the cookie that it is sent, and follows no redirect."""

    def __init__(self, site: Site, who: str) -> None:
        self._site, self._who = site, who
        self.jar: str = ""

    def get(self, path: str, says: str = "") -> Answer:
        """Look at a page."""
        return self._send("GET", path, None, says)

    def post(self, path: str, says: str = "", **form: str) -> Answer:
        """Send a form."""
        return self._send("POST", path, form, says)

    def _send(self, method: str, path: str, form: dict[str, str] | None, says: str) -> Answer:
        name = self._site.cookie
        headers = {"User-Agent": self._who}
        if self.jar:
            headers["Cookie"] = f"{name}={self.jar}"
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection(self._site.host, self._site.port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if form is None else urlencode(form), headers)
            response = connection.getresponse()
            body = response.read().decode()
            sent = SimpleCookie("\n".join(response.headers.get_all("Set-Cookie") or ())).get(name)
        finally:
            connection.close()
        if sent is not None:
            self.jar = sent.value
        cookie = "none" if sent is None else "new" if sent.value else "deleted"
        at = self._site.clock()
        exchange = Exchange(self._who, f"{method} {path}", response.status, cookie, says, at)
        return Answer(exchange, body, response.headers["Location"] or "")


@contextmanager
def somebody(books: Books) -> Generator[tuple[str, str]]:
    """Name and password of an account that is there as long as the scene is played."""
    name, password = f"robot {secrets.token_hex(4)}", secrets.token_urlsafe(12)
    books.open_account(name, password)
    try:
        yield name, password
    finally:
        books.close_account(name)
