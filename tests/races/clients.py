"""Browsers, and many of them at once."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
TIMEOUT = 30.0  # seconds; no answer may take so long


class Answer(NamedTuple):
    """A response, and how many seconds it took."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body, which must be that of a success."""
        assert self.status == 200, (self.status, self.body[:500])
        return json.loads(self.body)

    @property
    def cookies(self) -> list[str]:
        """What it sets or deletes."""
        return self.headers.get_all("Set-Cookie") or []


class Browser:
    """Keeps the session cookie; each request has a connection of its own.  Not for several threads."""

    def __init__(self, port: int, base: str = "", cookie: str = "") -> None:
        self.port, self.base, self.cookie = port, base, cookie

    def twin(self) -> Browser:
        """Another tab, or somebody else with the same cookie."""
        return Browser(self.port, self.base, self.cookie)

    def get(self, path: str = "/", **headers: str) -> Answer:
        """A GET, with the cookie unless ``headers`` bring one."""
        return self.request("GET", path, headers)

    def post(self, path: str, **headers: str) -> Answer:
        """A POST."""
        return self.request("POST", path, headers)

    def request(self, method: str, path: str, headers: dict[str, Any], body: str = "") -> Answer:
        """A request; OSError or HTTPException if there is no answer."""
        if self.cookie and "Cookie" not in headers:
            headers = {**headers, "Cookie": f"session={self.cookie}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            began = time.monotonic()
            connection.request(method, self.base + path, body or None, headers)
            response = connection.getresponse()
            content = response.read()
            answer = Answer(response.status, response.headers, content, time.monotonic() - began)
        finally:
            connection.close()
        for line in answer.cookies:
            jar = SimpleCookie(line)
            if "session" in jar:
                self.cookie = jar["session"].value
        return answer

    @property
    def data(self) -> dict[str, Any]:
        """What is in the session."""
        found = self.get().json["data"]
        assert isinstance(found, dict)
        return found


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each returns; they start together.  What one raises is raised."""
    barrier = threading.Barrier(len(calls))

    def start(call: Callable[[], T]) -> T:
        barrier.wait(TIMEOUT)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(start, calls))


class Background:
    """A request under way: ``Background(browser.post, "/add/late?gate=g")``; ``result`` waits for it."""

    def __init__(self, call: Callable[..., T], *args: Any) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(call, *args)

    def result(self) -> Any:
        """The answer."""
        self._pool.shutdown(wait=False)
        return self._future.result(TIMEOUT)
