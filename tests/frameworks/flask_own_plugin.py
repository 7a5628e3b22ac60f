"""A pytest plugin for Flask's own tests: every app in them uses Moored, and what happened is written down.

``MOORED_INJECT=no`` leaves the apps alone, to see what fails without us as well.  The file
named by ``MOORED_OUTCOMES`` gets, for each test, its outcome, whether its source names
sessions or flashes, and whether a session of ours was opened or looked at while it ran.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
from pathlib import Path
from typing import Any

import _pytest.monkeypatch
import flask.sessions
import pytest
from flask import Flask

import moored.web.lazy_session
from moored.flask import Moored
from moored.flask.extension import mooring
from moored.flask.interface import MooredSessionInterface
from moored.state import State
from moored.web.host import SessionHost

if not hasattr(_pytest.monkeypatch, "notset"):  # Flask's conftest uses its name in older versions of pytest
    _pytest.monkeypatch.notset = _pytest.monkeypatch.NOTSET  # type: ignore[attr-defined]

SESSIONS = re.compile(r"session|flash")
NOT_OURS = re.compile(r"pytest|scope=.session|session_id")

found: dict[str, dict[str, Any]] = {}
running: list[str] = []  # the name of the test that runs
kept: list[State] = []  # so that no connection is left behind unclosed while tests run


class InjectedInterface(MooredSessionInterface):
    """In place of Flask's SecureCookieSessionInterface, where a test makes a subclass of that."""

    def __init__(self) -> None:
        super().__init__(self.no_app)

    @staticmethod
    def no_app() -> SessionHost:
        """Replaced when an app is made with it."""
        raise AssertionError


def inject() -> None:
    """Give every app Moored, but for those whose test brings an interface of its own."""
    init = Flask.__init__
    default = Flask.session_interface

    @functools.wraps(init)
    def with_moored(self: Flask, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        own = type(self).session_interface
        if own is default or isinstance(own, InjectedInterface):
            Moored(self)
            kept.append(mooring(self).state)
        if isinstance(own, InjectedInterface):
            made = self.session_interface
            assert isinstance(made, MooredSessionInterface)
            own._make_host = made._make_host
            self.session_interface = own

    Flask.__init__ = with_moored  # type: ignore[method-assign]
    flask.sessions.SecureCookieSessionInterface = InjectedInterface  # type: ignore[misc, assignment]
    note(MooredSessionInterface, "open_session", "opened")
    note(moored.web.lazy_session, "load", "looked")


def note(owner: Any, function: str, what: str) -> None:
    """Write down in which tests a function is called."""
    calls = getattr(owner, function)

    def noting(*args: Any) -> Any:
        for name in running:
            found.setdefault(name, {})[what] = True
        return calls(*args)

    setattr(owner, function, noting)


if os.environ["MOORED_INJECT"] != "no":
    inject()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Function) -> None:
    running[:] = [item.nodeid]
    lines = inspect.getsource(item.function).splitlines()
    names = any(SESSIONS.search(NOT_OURS.sub("", line)) for line in lines)
    found.setdefault(item.nodeid, {})["named"] = names


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    entry = found.setdefault(report.nodeid, {})
    if report.when == "call" or report.outcome != "passed":
        entry["outcome"] = report.outcome
        entry["why"] = str(report.longrepr) if report.outcome != "passed" else ""


def pytest_sessionfinish() -> None:
    Path(os.environ["MOORED_OUTCOMES"]).write_text(json.dumps(found))
