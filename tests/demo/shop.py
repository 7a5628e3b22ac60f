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

PASSWORD = "three calm words"
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
        self.folder = folder
        self.said: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:  # it says all when it listens, and answers from then on
            self.said.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        place = urlsplit(" ".join(re.findall(r"http://\S+", "\n".join(self.said))))
        assert place.port, self.said
        self.port = place.port

    def work(self) -> float:
        """The processor time that all its processes have spent, in seconds, to a hundredth."""
        spent = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:  # proc(5): the fields follow the name, which ends with the last bracket
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[2]) == self.process.pid:
                spent += int(fields[11]) + int(fields[12])
        return spent / os.sysconf("SC_CLK_TCK")

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
def serving(folder: Path, url: str | None = None, workers: int = 2) -> Generator[Server]:
    server = Server(folder, url, workers=workers)
    try:
        yield server
    finally:
        server.end()


class Browser:
    """Keeps its cookies, sends forms, follows no redirect."""

    def __init__(self, server: Server, agent: str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0") -> None:
        self.server, self.agent = server, agent
        self.name = f"moored_demo_{server.port}"
        self.jar: dict[str, str] = {}

    @property
    def cookie(self) -> str:
        """The session's."""
        return self.jar.get(self.name, "")

    def tab(self) -> Browser:
        """Another tab: it has the cookies as they are now."""
        other = Browser(self.server, self.agent)
        other.jar = dict(self.jar)
        return other

    def send(self, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["User-Agent"] = self.agent
        if self.jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request("GET" if form is None else "POST", path, urlencode(form or {}), headers)
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        for line in response.headers.get_all("Set-Cookie") or ():
            for name, morsel in SimpleCookie(line).items():
                self.jar[name] = morsel.value
                if not morsel.value:
                    del self.jar[name]
        return response, body

    def post(self, path: str, **form: str) -> int:
        """Send a form, as the page does; the status."""
        return self.submit(path, **form)[0].status

    def submit(self, path: str, **form: str) -> tuple[HTTPResponse, str]:
        """Send a form, as the page does; the answer."""
        return self.send(path, form, Origin=f"http://127.0.0.1:{self.server.port}")

    def ask(self, path: str, **form: str) -> Any:
        """The JSON that a form is answered with."""
        response, body = self.send(path, form)
        assert response.status == 200, body
        return json.loads(body)

    def page(self, path: str = "/") -> str:
        response, body = self.send(path)
        assert response.status == 200, body
        return unescape(body)

    def add(self, *names: str) -> None:
        for name in names:
            assert self.post("/cart", product=name) == 303

    def cart(self) -> dict[str, int]:
        """What the page says is in the cart."""
        found = re.findall(r'id="quantity-(\w+)".*?value="(\d+)"', self.page("/cart"))
        return {name: int(quantity) for name, quantity in found}

    def stock(self) -> dict[str, int]:
        """What the shelf says is left."""
        cards = re.findall(r'id="card-(\w+)".*?class="stock[^>]*>(.*?)</span>', self.page(), re.DOTALL)
        return {name: int("".join(filter(str.isdigit, text)) or 0) for name, text in cards}

    def checkout(self) -> dict[str, str]:
        """The form of the checkout, filled in."""
        fields = re.findall(r'name="(number|lines)" value="([^"]*)"', self.page("/checkout"))
        return {**dict(fields), "boat": "Marlin"}

    def order(self, *names: str) -> str:
        """Order these; where the order is shown."""
        self.add(*names)
        response, body = self.submit("/checkout", **self.checkout())
        assert response.status == 303, body
        return response.headers["Location"]

    def sign_up(self, name: str, password: str = PASSWORD) -> None:
        assert self.post("/sign-up", name=name, password=password) == 303

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        assert self.post("/sign-in", name=name, password=password) == 303

    def subject(self) -> str | None:
        """Whose page it is."""
        found = re.search(r"<dt>Signed in</dt><dd>as (.*?)</dd>", self.page("/account"))
        return found[1] if found else None

    def devices(self) -> dict[str, bool]:
        """Selectors of the devices on the page, and which is this one."""
        page = self.page("/account")
        lines = re.findall(r"<li>(?:(?!</li>).)*?end-[\w-]+(?:(?!</li>).)*?</li>", page, re.DOTALL)
        return {re.findall(r'end-([\w-]+)"', line)[0]: "this one" in line for line in lines}

    def told(self, path: str = "/sign-in") -> str:
        """What the page says of how the last session here ended."""
        found = re.search(r'class="[^"]*notice"[^>]*>(.*?)</p>', self.page(path), re.DOTALL)
        return re.sub(r"<[^>]+>|\s+", " ", found[1]) if found else ""
