"""The tutorial's steps, in their order, against a real server.

``flask … run`` is started on a free port, which is put in the place of 5000 everywhere, and is
started anew (without ``--debug``) when a file has changed, so that nothing waits for a reloader.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.docs import shell
from tests.docs.pages import DOCS, Snippet, snippets

from moored.testing.servers import RedisServer, free_port

PAGE = DOCS / "tutorial.md"
AT_THE_END = ", at the end"
RUN = re.compile(r"^flask .*\brun\b.*$", re.MULTILINE)
PATIENCE = 20.0  # seconds for the start of the server


def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOORED_URL", "MOORED_SECRET", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    steps = list(snippets(PAGE))
    assert {step.language for step in steps} == {"sh", "console", "python", "html"}
    with RedisServer() as redis, Reader(tmp_path, redis.port) as reader:
        for step in steps:
            reader.do(step)
        assert reader.starts == 2
        assert redis.cli("DBSIZE") != "0"


class Reader:
    """Somebody who does what the tutorial says."""

    def __init__(self, folder: Path, redis_port: int) -> None:
        self._folder, self._redis_port, self._port = folder, redis_port, free_port()
        self._command = ""
        self._server: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def do(self, step: Snippet) -> None:
        """One step; files first, then the server, if it runs, sees them."""
        where = f"tutorial.md, line {step.line}"
        text = step.text.replace("6379", str(self._redis_port)).replace("5000", str(self._port))
        if step.title:
            self._write(step.title, text)
            if self._command:
                self._start()
        elif step.language == "console":
            shell.run_console(text, self._folder, where)
        elif RUN.search(text):
            shell.read(text, where)
            self._command = self._to_start(text)
            self.starts += 1
            self._start()
        elif step.language == "sh":
            # The folder is there, and everybody's: tests of other pages make one of that name.
            shell.run(text.replace("mkdir shop\ncd shop\n", ""), self._folder, where)

    def _write(self, title: str, text: str) -> None:
        path = self._folder / title.removesuffix(AT_THE_END)
        path.parent.mkdir(exist_ok=True)
        if title.endswith(AT_THE_END):
            text = f"{path.read_text()}\n\n{text}"
        path.write_text(text)

    def _to_start(self, text: str) -> str:
        lines = [line for line in text.splitlines() if not line.startswith("pip ")]
        return RUN.sub(
            lambda line: f"exec {line[0].replace(' --debug', '')} --port {self._port}", "\n".join(lines)
        )

    def _start(self) -> None:
        self._stop()
        log = self._folder / "server.log"
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                ["sh", "-euc", self._command],
                cwd=self._folder,
                env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self._port}/static/none", timeout=5)
        except urllib.error.HTTPError:  # 404, from our server
            return True
        except OSError:
            return False
        return True

    def _stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(PATIENCE)
            self._server = None
