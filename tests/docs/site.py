"""A small site under Moored, for bad input that comes by HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, request, session
from tests.docs.bad_input import Ground
from werkzeug.test import TestResponse

from moored.flask import Moored
from moored.flask.extension import mooring

SECRET = "a secret of this site's own"


class Site:
    """The site, one browser, and what the engine was asked.

    ``/`` shows what is in the session, ``/add`` puts a book into its cart, ``/in`` and ``/out``
    sign in and out, ``/plain`` does not touch it.
    """

    def __init__(self, ground: Ground, url: str = "memory:", **config: Any) -> None:
        self.ground = ground
        self.app = app = Flask("shop", instance_path=str(ground.folder))
        app.config.update({"SECRET_KEY": SECRET, "MOORED_URL": url})
        app.config.update(config)
        Moored(app)
        app.add_url_rule("/", view_func=self._show)
        app.add_url_rule("/add", view_func=self._add)
        app.add_url_rule("/in", view_func=self._sign_in, methods=["GET", "POST"])
        app.add_url_rule("/out", view_func=self._sign_out)
        app.add_url_rule("/view", view_func=self._answer)
        app.add_url_rule("/plain", view_func=lambda: "plain", endpoint="plain")
        self.state = mooring(app).state
        self.asked = 0
        self._count_steps()
        ground.closing(self.state.close)
        self.client = app.test_client()
        self._view: Callable[[], Any] = str

    def visit(self, view: Callable[[], Any]) -> TestResponse:
        """The answer of the browser's next request, which ``view`` serves."""
        self._view = view
        return self.client.get("/view")

    def _answer(self) -> Any:
        return self._view()

    def _show(self) -> Any:
        return dict(session)

    def _add(self) -> Any:
        session.setdefault("cart", []).append("book")
        return dict(session)

    def _sign_in(self) -> Any:
        session["user_id"] = request.args.get("who", "ann")
        return dict(session)

    def _sign_out(self) -> Any:
        session.clear()
        return dict(session)

    def _count_steps(self) -> None:
        engine: Any = self.state.binding.engine
        execute = engine.execute

        def counted(*step: Any) -> Any:
            self.asked += 1
            return execute(*step)

        engine.execute = counted

    @property
    def cookie(self) -> str:
        """What the browser has."""
        cookie = self.client.get_cookie("session")
        assert cookie is not None
        return cookie.value

    def selector(self) -> str:
        """The public name of the browser's session; messages are told without it."""
        with self.app.test_request_context(headers={"Cookie": f"session={self.cookie}"}):
            found: Any = session
            selector = found.selector
        assert isinstance(selector, str)
        self.ground.call(selector, "…")
        return selector

    def send(self, *cookies: str, path: str = "/") -> TestResponse:
        """The answer to a request with these cookies of our name."""
        client = self.app.test_client(use_cookies=False)
        header = "; ".join(f"session={cookie}" for cookie in cookies)
        return client.get(path, headers={"Cookie": header.encode().decode("latin-1")})

    def told(self, *cookies: str, path: str = "/") -> str:
        """What became of such a request, in words."""
        self.asked = 0
        self.ground.logged()
        answer = self.send(*cookies, path=path)
        return told(answer, "; the engine is not asked" if not self.asked else "", self.ground.logged())


def told(answer: TestResponse, more: str = "", log: str = "") -> str:
    """An answer in words."""
    assert b"Traceback" not in answer.data
    if answer.status_code == 200:
        words = "served with the session" if answer.json else "served as if there were no session"
    else:
        retry = answer.headers.get("Retry-After")
        words = f"{answer.status_code}" + (f" with `Retry-After: {retry}`" if retry else "")
    for cookie in answer.headers.getlist("Set-Cookie"):
        words += "; the cookie is deleted" if "Max-Age=0" in cookie else "; a cookie is set"
    return words + more + (f"; log: {log}" if log else "")
