"""The demo under a server of its own, and a browser without a screen."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from html import unescape
from http.client import HTTPConnection, HTTPResponse
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

SERVE = "import sys; from moored.demo import serve; sys.exit(serve(*eval(sys.argv[1])))"


class Server:
    """``moored.demo.serve`` in a process (and process group) of its own."""

    def __init__(self, folder: Path, url: str | None = None, port: int = 0, workers: int = 2) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MOORED_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, repr((url, port, workers))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**environment, "XDG_STATE_HOME": str(folder)},
            start_new_session=True,
        )
        self.said: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:  # it says all when it listens, and answers from then on
            self.said.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        place = urlsplit(" ".join(re.findall(r"http://\S+", "\n".join(self.said))))
        assert place.port, self.said
        self.port = place.port

    def end(self, number: int = signal.SIGTERM, *, everybody: bool = False) -> tuple[int, str]:
        """End it, or (``everybody``) all its processes, as Ctrl-C does; exit status and last words."""
        if everybody:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        try:
            rest, _ = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return self.process.returncode, rest.strip()


@contextmanager
def serving(folder: Path, url: str | None = None) -> Generator[Server]:
    server = Server(folder, url)
    try:
        yield server
    finally:
        server.end()


class Browser:
    """Keeps its cookie, sends forms, follows no redirect."""

    def __init__(self, server: Server, agent: str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0") -> None:
        self.port, self.agent, self.cookie = server.port, agent, ""
        self.name = f"moored_demo_{server.port}"

    def send(self, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["User-Agent"] = self.agent
        if self.cookie:
            headers["Cookie"] = f"{self.name}={self.cookie}"
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request("GET" if form is None else "POST", path, urlencode(form or {}), headers)
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        for line in response.headers.get_all("Set-Cookie") or ():
            self.cookie = SimpleCookie(line)[self.name].value
        return response, body

    def post(self, path: str, **form: str) -> int:
        """Send a form, as the page does; the status."""
        return self.send(path, form, Origin=f"http://127.0.0.1:{self.port}")[0].status

    def ask(self, path: str, **form: str) -> Any:
        """The JSON that a form is answered with."""
        response, body = self.send(path, form)
        assert response.status == 200, body
        return json.loads(body)

    def page(self) -> str:
        response, body = self.send("/")
        assert response.status == 200
        return unescape(body)

    def cart(self) -> dict[str, int]:
        """What the page says is in the cart."""
        found = re.findall(r'id="quantity-(\w+)".*?value="(\d+)"', self.page())
        return {name: int(quantity) for name, quantity in found}

    def sign_in(self, name: str) -> None:
        assert self.post("/sign-in", name=name, password="moored") == 303

    def subject(self) -> str | None:
        """Whose page it is."""
        found = re.search(r'data-says="(?:Signed in as (.*?), on|Not signed in)', self.page())
        assert found is not None
        return found[1]

    def devices(self) -> dict[str, bool]:
        """Selectors of the devices on the page, and which is this one."""
        lines = re.findall(r"<li>(?:(?!</li>).)*?end-[\w-]+(?:(?!</li>).)*?</li>", self.page(), re.DOTALL)
        return {re.findall(r'end-([\w-]+)"', line)[0]: "this one" in line for line in lines}
