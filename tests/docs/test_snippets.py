"""Every Python snippet of README and documentation runs, and answers what is written beside it.

The snippets of a page are run in order, in one namespace and a folder of their own.  An
expression followed by ``# -> 42`` must have that ``repr``, one followed by ``# raises KeyError``
must raise that.  Where a page speaks of port 6379,
a Redis server of this test listens on another one, which is put in its place.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import ROOT, Snippet, pages, snippets

from moored import State
from moored.testing.servers import RedisServer

# Pieces of the code itself, for those who read it; they are shown, not run.
EXCERPTS = {"architecture.md"}

PORT = "6379"
RUN = [page for page in pages() if page.name not in EXCERPTS]
_SAID = re.compile(r"#\s*(->|raises)\s+(.*?)\s*$")


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
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


@pytest.mark.parametrize("line", ["n + 1  # -> 4", "if n:\n    n + 1  # -> 4", "n + 1  # raises TypeError"])
def test_a_wrong_answer_is_found(line: str, tmp_path: Path) -> None:
    with asyncio.Runner() as loop, pytest.raises((AssertionError, pytest.fail.Exception)):
        _run(Snippet("python", f"n = 2\n{line}\n", 1), tmp_path, PORT, {}, loop)


def _run(snippet: Snippet, page: Path, port: str, namespace: dict[str, Any], loop: asyncio.Runner) -> None:
    tree = ast.parse("\n" * (snippet.line - 1) + snippet.text.replace(PORT, port), str(page))
    _Checked(page, snippet).visit(tree)
    namespace |= {"_is": _is, "_raises": _raises}
    for statement in ast.fix_missing_locations(tree).body:
        code: Any = compile(ast.Module([statement], []), str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, namespace)
        if code.co_flags & inspect.CO_COROUTINE:
            loop.run(result)


class _Checked(ast.NodeTransformer):
    """Puts checks around the expressions beside which something is said."""

    def __init__(self, page: Path, snippet: Snippet) -> None:
        self._name, self._first = page.name, snippet.line
        self._lines = snippet.text.splitlines()

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        said = _SAID.search(self._lines[(node.end_lineno or 0) - self._first])
        if said is None:
            return node
        where = ast.Constant(f"{self._name}, line {node.lineno}")
        if said[1] == "raises":
            raises = ast.Call(ast.Name("_raises", ast.Load()), [ast.Constant(said[2])], [])
            return ast.copy_location(ast.With([ast.withitem(raises)], [node]), node)
        arguments = [node.value, ast.Constant(said[2]), where]
        return ast.copy_location(ast.Expr(ast.Call(ast.Name("_is", ast.Load()), arguments, [])), node)


def _is(found: object, said: str, where: str) -> None:
    assert repr(found) == said, f"{where}: it is {found!r}"


@contextmanager
def _raises(name: str) -> Generator[None]:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its class is looked at below
        yield
    assert caught.type.__name__ == name
