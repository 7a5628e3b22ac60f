"""A browser: a cookie jar, and real HTTP over loopback."""

from __future__ import annotations

import http.client
import json
import threading
from http.cookies import SimpleCookie
from typing import Any

from msgspec import Struct

from moored.prove.gate import NotRun

TIMEOUT = 20.0  # seconds; no answer may take so long


class Visits(Struct):
    """What the browsers of a scene have seen: processes that answered, answers that were errors."""

    processes: set[str] = set()
    statuses: list[int] = []


class Browser:
    """One jar for all its tabs, as browsers have it; every request has a connection of its own.

    A tab is a thread that uses it.  Its requests carry the cookies that are in the jar when
    they start, and what a response sets is put there when it arrives.
    """

    def __init__(self, port: int, visits: Visits) -> None:
        self.jar: dict[str, str] = {}
        self._port, self._visits = port, visits
        self._lock = threading.Lock()

    def post(self, path: str, *, gate: bool = False) -> bool:
        """Send a form: was it answered with a success?  ``gate``: the handler waits at the gate."""
        return self._send("POST", path, gate)[0] == 200

    def must(self, path: str) -> None:
        """Send a form without which there is nothing to see; NotRun if it fails."""
        status, body = self._send("POST", path, False)
        if status != 200:
            raise NotRun(f"POST {path} was answered with {status}: {body[:120].decode(errors='replace')}")

    def session(self) -> dict[str, Any]:
        """What is in the session, as the shop sees it; NotRun if it cannot say."""
        status, body = self._send("GET", "/session", False)
        if status != 200:
            raise NotRun(f"GET /session was answered with {status}: {body[:120].decode(errors='replace')}")
        found: dict[str, Any] = json.loads(body)
        return found

    def _send(self, method: str, path: str, gate: bool) -> tuple[int, bytes]:
        headers = {"Connection": "close"}
        with self._lock:
            if self.jar:
                headers["Cookie"] = "; ".join([f"{name}={value}" for name, value in self.jar.items()])
        if gate:
            headers["Gate"] = "wait"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotRun(f"{method} {path} was not answered: {str(error) or type(error).__name__}") from error
        finally:
            connection.close()
        with self._lock:
            for line in response.headers.get_all("Set-Cookie") or ():
                self._keep(line)
            self._visits.processes.add(response.headers.get("Process", ""))
            self._visits.statuses.append(response.status)
        return response.status, body

    def _keep(self, line: str) -> None:
        for name, morsel in SimpleCookie(line).items():
            if morsel["max-age"] == "0" or not morsel.value:
                self.jar.pop(name, None)
            else:
                self.jar[name] = morsel.value
