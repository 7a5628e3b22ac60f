"""Every snippet of README and documentation runs, and answers what is written beside it.

The snippets of a page are run in order, in a folder of their own; Python ones in one namespace.
An expression followed by ``# -> 42`` must have that ``repr``, one followed by ``# raises KeyError``
must raise that.  What bears the title of a file is written there instead.  Where a page speaks of
port 6379, a Redis server of this test listens on another one, which is put in its place.
``shell`` says which shell commands are run another way or not at all, and why.
"""

from __future__ import annotations

import ast
import asyncio
import configparser
import inspect
import json
import re
import secrets
import tomllib
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.docs import shell
from tests.docs.pages import ROOT, Snippet, name_of, pages, snippets

from moored import State
from moored.testing.servers import RedisServer

# Pages whose Python is not run, and why; it is parsed.
NOT_RUN = {
    "docs/architecture.md": "pieces of the code itself, for those who read it",
    "docs/tutorial.md": "run step by step against a real server, by test_tutorial.py",
}
# Languages that are read and not run.
READ: dict[str, Callable[[str], object]] = {
    "toml": tomllib.loads,
    "json": json.loads,
    "ini": lambda text: configparser.ConfigParser(strict=False, interpolation=None).read_string(text),
}
# What is neither run nor read, and why.
SHOWN = {
    "text": "pictures of folders, and what a program prints while it goes on",
    "html": "pieces of a template; browsers take anything",
}

PORT = "6379"
SECRET = "at least 16 random bytes, from the environment"  # stands for one, and is known as weak
_SAID = re.compile(r"#\s*(->|raises)\s+(.*?)\s*$")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("MOORED_URL", "MOORED_SECRET", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:
        _Page(page, tmp_path, stack).run()


def test_what_is_not_run_is_there() -> None:
    assert {name_of(page) for page in pages()} >= NOT_RUN.keys()


@pytest.mark.parametrize("line", ["n + 1  # -> 4", "if n:\n    n + 1  # -> 4", "n + 1  # raises TypeError"])
def test_a_wrong_answer_is_found(line: str, tmp_path: Path) -> None:
    page = ROOT / "README.md"
    with ExitStack() as stack, pytest.raises((AssertionError, pytest.fail.Exception)):
        _Page(page, tmp_path, stack).python(Snippet("python", f"n = 2\n{line}\n", 1))


@pytest.mark.parametrize(
    "snippet",
    [
        Snippet("sh", "false\n", 1),
        Snippet("sh", "if true\n", 1),
        Snippet("sh", "moored doctor --nothing\n", 1),
        Snippet("sh", "moored demo --nothing\n", 1),
        Snippet("sh", "moored nothing\n", 1),
        Snippet("console", "$ echo one\ntwo\n", 1),
        Snippet("console", "one\n", 1),
        Snippet("toml", "a = \n", 1),
        Snippet("cobol", "STOP RUN.\n", 1),
        Snippet("python", "def f(:\n", 1, title="app.py"),
    ],
    ids=lambda snippet: f"{snippet.language} {snippet.text.strip()}",
)
def test_a_wrong_snippet_is_found(snippet: Snippet, tmp_path: Path) -> None:
    with ExitStack() as stack, pytest.raises((AssertionError, SyntaxError, ValueError)):
        _Page(ROOT / "README.md", tmp_path, stack).snippet(snippet)


def test_what_is_printed_may_leave_things_out(tmp_path: Path) -> None:
    shell.run_console("$ printf 'one\\ntwo  three\\n'\none\n… three\n$ true\n", tmp_path, "here")


class _Page:
    """A page under way."""

    def __init__(self, page: Path, folder: Path, stack: ExitStack) -> None:
        self._page, self._folder, self._stack = page, folder, stack
        self._namespace: dict[str, Any] = {"__name__": "shop", "_is": _is, "_raises": _raises}
        self._port = ""
        self._loop = stack.enter_context(asyncio.Runner())
        stack.enter_context(_closing())

    def run(self) -> None:
        for snippet in snippets(self._page):
            self.snippet(snippet)

    def snippet(self, snippet: Snippet) -> None:
        where = f"{self._page.name}, line {snippet.line}"
        language = snippet.language
        if snippet.title:
            if language == "python":
                ast.parse(snippet.text, where)
            if language in READ:
                READ[language](snippet.text)
            path = self._folder / snippet.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._with_port(snippet.text.replace(SECRET, secrets.token_hex(16))))
        elif name_of(self._page) in NOT_RUN:
            if language == "python":
                ast.parse(snippet.text, where)
        elif language == "python":
            self.python(snippet)
        elif language == "sh":
            shell.run(self._with_port(snippet.text), self._folder, where)
        elif language == "console":
            shell.run_console(self._with_port(snippet.text), self._folder, where)
        elif language in READ:
            READ[language](snippet.text)
        else:
            assert language in SHOWN, f"{where}: {language} is neither run nor read"

    def _with_port(self, text: str) -> str:
        if PORT not in text:
            return text
        if not self._port:
            self._port = str(self._stack.enter_context(RedisServer()).port)
        return text.replace(PORT, self._port)

    def python(self, snippet: Snippet) -> None:
        text = self._with_port(snippet.text)
        tree = ast.parse("\n" * (snippet.line - 1) + text, str(self._page))
        _Checked(self._page, snippet.line, text).visit(tree)
        for statement in ast.fix_missing_locations(tree).body:
            code: Any = compile(
                ast.Module([statement], []), str(self._page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            )
            result = eval(code, self._namespace)
            if code.co_flags & inspect.CO_COROUTINE:
                self._loop.run(result)


@contextmanager
def _closing() -> Generator[None]:
    """Close every state that is made meanwhile, also one whose application was replaced by another."""
    made: list[State] = []
    bind = State._bind_to

    def bind_and_note(state: State, *args: Any) -> None:
        bind(state, *args)
        made.append(state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "_bind_to", bind_and_note)
        try:
            yield
        finally:
            for state in made:
                state.close()


class _Checked(ast.NodeTransformer):
    """Puts checks around the expressions beside which something is said."""

    def __init__(self, page: Path, first: int, text: str) -> None:
        self._name, self._first = page.name, first
        self._lines = text.splitlines()

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
