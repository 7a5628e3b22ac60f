"""Every Python snippet of README and documentation runs, and answers what is written beside it.

The snippets of a page are run in order, in one namespace and a folder of their own.  An
expression followed by ``# -> 42`` must have that ``repr``.  Where a page speaks of port 6379,
a Redis server of this test listens on another one, which is put in its place.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import Snippet, pages, snippets

from moored import State
from moored.testing.servers import RedisServer

# Pieces of the code itself, for those who read it; they are shown, not run.
EXCERPTS = {"architecture.md"}

PORT = "6379"
RUN = [page for page in pages() if page.name not in EXCERPTS]
_ANSWER = re.compile(r"#\s*->\s*(.*?)\s*$")
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("MOORED_URL", "MOORED_SECRET"):
        monkeypatch.delenv(name, raising=False)
    found = [snippet for snippet in snippets(page) if snippet.language == "python"]
    namespace: dict[str, Any] = {"__name__": "shop"}
    with ExitStack() as stack:
        port = PORT
        if any(PORT in snippet.text for snippet in found):
            port = str(stack.enter_context(RedisServer()).port)
        loop = stack.enter_context(asyncio.Runner())
        stack.callback(_close, namespace)
        for snippet in found:
            _run(snippet, page, port, namespace, loop)


def _close(namespace: dict[str, Any]) -> None:
    for value in namespace.values():
        if isinstance(value, State):
            value.close()


def test_what_is_not_run_is_there() -> None:
    assert {page.name for page in pages()} >= EXCERPTS


def test_a_wrong_answer_is_found(tmp_path: Path) -> None:
    with asyncio.Runner() as loop, pytest.raises(AssertionError, match="line 2"):
        _run(Snippet("python", "n = 2\nn + 1  # -> 4\n", 1), tmp_path, PORT, {}, loop)


def _run(snippet: Snippet, page: Path, port: str, namespace: dict[str, Any], loop: asyncio.Runner) -> None:
    lines = snippet.text.splitlines()
    tree = ast.parse("\n" * (snippet.line - 1) + snippet.text.replace(PORT, port), str(page))
    for statement in tree.body:
        answer = _ANSWER.search(lines[(statement.end_lineno or 0) - snippet.line])
        if isinstance(statement, ast.Expr) and answer:
            code = compile(ast.Expression(statement.value), str(page), "eval", _FLAGS)
            found = repr(_evaluated(code, namespace, loop))
            assert found == answer[1], f"{page.name}, line {statement.lineno}: it is {found}"
        else:
            _evaluated(compile(ast.Module([statement], []), str(page), "exec", _FLAGS), namespace, loop)


def _evaluated(code: Any, namespace: dict[str, Any], loop: asyncio.Runner) -> Any:
    result = eval(code, namespace)
    if code.co_flags & inspect.CO_COROUTINE:
        return loop.run(result)
    return result
