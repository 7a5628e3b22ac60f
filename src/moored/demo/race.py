"""A second browser, played by the server: it signs out while a slow request is under way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from moored.kinds.sessions import EndedSession
from moored.state import State

NAME = "Second browser"
PATIENCE = 10.0  # seconds to wait for an answer

_running = BoundedSemaphore(2)  # in one worker: each takes a thread of it, and further requests need theirs


class Exchange(Struct, frozen=True, tag="exchange"):
    """A request and its answer; ``cookie`` is "new", "deleted" or "none", ``at`` seconds from the start."""

    request: str
    status: int
    cookie: str
    says: str
    at: float


class Verdict(Struct, frozen=True, tag="verdict"):
    """Did the session stay ended, and how it can be told."""

    held: bool
    text: str


class Race:
    """One run, against the shop at this address; ``run`` yields each exchange as it is over."""

    def __init__(self, host: str, port: int, cookie: str, state: State) -> None:
        self._host, self._port, self._cookie, self._state = host, port, cookie, state
        self._jar = ""  # the cookie that this browser holds
        self._began = time.monotonic()

    def run(self) -> Iterator[Exchange | Verdict]:
        """The exchanges and then the verdict."""
        if not _running.acquire(blocking=False):
            yield Verdict(False, "Several races are running already. Try again in a few seconds.")
            return
        try:
            yield from self._steps()
        except (OSError, HTTPException, msgspec.DecodeError, KeyError) as error:
            yield Verdict(False, f"The race could not be run: {str(error) or type(error).__name__}.")
        finally:
            _running.release()

    def _steps(self) -> Iterator[Exchange | Verdict]:
        self._began = time.monotonic()
        step, _ = self._send("POST", "/sign-in", {"name": NAME, "password": "moored"}, says="signs in")
        yield step
        cookie = self._jar
        with ThreadPoolExecutor(1) as elsewhere:
            pending = elsewhere.submit(self._send, "POST", "/lab/slow", {}, cookie, keep=False)
            selector = self._wait_until_begun(cookie)
            out, _ = self._send("POST", "/sign-out", {}, says="signs out, while /lab/slow is under way")
            yield out
            late, answer = pending.result()
            began = "signed in" if answer["subject"] == NAME else "not signed in"
            yield msgspec.structs.replace(late, says=f"began {began}, wrote to the session 2 s later")
        again, now = self._send("GET", "/lab/look", None, cookie, says="the old cookie, tried again")
        who = "signed in" if now["subject"] else "nobody"
        yield msgspec.structs.replace(again, says=f"{again.says}: {who}")
        yield self._verdict(selector, [out, late, again], answer["subject"], now["subject"])

    def _wait_until_begun(self, cookie: str) -> str:
        """The session's public name, once the slow request has read it."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            _, found = self._send("GET", "/lab/look", None, cookie, keep=False)
            if found["begun"]:
                return str(found["selector"])
            time.sleep(0.02)
        raise TimeoutError("the slow request did not begin")

    def _verdict(self, selector: str, steps: list[Exchange], began: Any, now: Any) -> Verdict:
        out, late, again = steps
        if began != NAME or not out.at < late.at:
            return Verdict(False, "The slow request was not under way when the sign-out came. Try again.")
        kept = self._state.sessions.show(selector)
        held = isinstance(kept, EndedSession) and now is None and late.cookie == again.cookie == "none"
        if held:
            return Verdict(
                True,
                "The session stayed ended. The late write was dropped, its answer set no cookie,"
                f" and the store still says why session {selector[:6]}… is over:"
                f" {kept.reason if isinstance(kept, EndedSession) else ''}.",
            )
        return Verdict(False, "The session came back to life.")

    def _send(
        self,
        method: str,
        path: str,
        form: dict[str, str] | None,
        cookie: str | None = None,
        *,
        says: str = "",
        keep: bool = True,
    ) -> tuple[Exchange, Any]:
        """Send one request on a connection of its own; its exchange, and the JSON of its answer."""
        cookie = self._jar if cookie is None else cookie
        headers = {"User-Agent": NAME, **({"Cookie": f"{self._cookie}={cookie}"} if cookie else {})}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection(self._host, self._port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if form is None else urlencode(form), headers)
            response = connection.getresponse()
            body = response.read()
            sent = SimpleCookie("\n".join(response.headers.get_all("Set-Cookie") or ())).get(self._cookie)
        finally:
            connection.close()
        if sent is not None and keep:
            self._jar = sent.value
        what = "none" if sent is None else "new" if sent.value else "deleted"
        is_json = "json" in (response.headers["Content-Type"] or "")
        at = round(time.monotonic() - self._began, 3)
        exchange = Exchange(f"{method} {path}", response.status, what, says, at)
        return exchange, msgspec.json.decode(body) if is_json else {}
