"""A Flask application whose view is whatever a test gives it, and the steps that its engine was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import flask
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from moored.flask import Moored
from moored.flask.extension import Mooring, mooring
from moored.flask.interface import FlaskSession
from moored.policy import Sent

View = Callable[[], Any]
MakeRig = Callable[..., "Rig"]


def session() -> FlaskSession:
    """The session of this request, with what Moored adds to Flask's."""
    return cast(FlaskSession, flask.session._get_current_object())  # type: ignore[attr-defined]


def make_app(url: str = "memory:", **config: Any) -> Flask:
    """An app with Moored."""
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": "the secret of these tests", "TESTING": True, "MOORED_URL": url})
    app.config.update(config)
    Moored(app)
    return app


class Rig:
    """An app, a browser, and what the engine was asked."""

    def __init__(self, url: str = "memory:", **config: Any) -> None:
        self.app = make_app(url, **config)
        self._view: View = str
        self._sent: list[Sent] = []
        self.mooring.state.observe(self._sent.append)
        self.app.add_url_rule("/", "test_view", self._answer, methods=["GET", "POST"])
        self.client = self.browser()

    def _answer(self) -> Any:
        answer = self._view()
        return "" if answer is None else answer

    @property
    def mooring(self) -> Mooring:
        return mooring(self.app)

    def browser(self) -> FlaskClient:
        """Another browser: it has no cookies yet."""
        return self.app.test_client()

    def visit(self, view: View = str, client: FlaskClient | None = None, **request: Any) -> TestResponse:
        """The answer to a request that is served by ``view``."""
        self._view = view
        request.setdefault("method", "GET")
        return (client or self.client).open("/", **request)

    def look(self, view: View, client: FlaskClient | None = None) -> Any:
        """What ``view`` finds in a request."""
        found: list[Any] = []
        assert self.visit(lambda: found.append(view()), client).status_code == 200
        return found[0]

    def data(self, client: FlaskClient | None = None) -> dict[str, Any]:
        """What is in the session."""
        found = self.look(lambda: dict(flask.session), client)
        assert isinstance(found, dict)
        return found

    def wait(self, seconds: float) -> None:
        """Let time pass for the engine, which is in memory."""
        binding = self.mooring.state.binding
        now = binding.engine.time() or 0
        binding.engine.time = binding.policy._engine_time = lambda: now + int(seconds * 1_000_000)  # type: ignore[method-assign]

    def steps(self) -> list[tuple[str, ...]]:
        """The steps sent since this was last asked, each as the names of its commands."""
        sent = [step.commands for step in self._sent]
        self._sent.clear()
        return sent


def cookies(response: TestResponse) -> list[str]:
    """What the response sets."""
    return response.headers.getlist("Set-Cookie")


def twin(client: FlaskClient, app: Flask | None = None) -> FlaskClient:
    """Another tab of the same browser; where ``app`` is given, at that worker."""
    tab = (app or client.application).test_client()
    if cookie := client.get_cookie("session"):
        tab.set_cookie("session", cookie.value)
    return tab


def value(client: FlaskClient) -> str:
    """The session cookie that the browser has; "" if it has none."""
    cookie = client.get_cookie("session")
    return cookie.value if cookie else ""
