"""When the engine is away, or a session cannot be saved: what visitors see, what apps can catch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import flask
import pytest
from flask import Flask, get_flashed_messages, render_template_string
from tests.frameworks.rig import MakeRig, Rig, cookies, session, value
from werkzeug.exceptions import HTTPException

from moored import ConflictError, MooredError, OutcomeUnknown, RefusalError, Unavailable
from moored.testing.servers import RedisServer


class Outage:
    """An app on a Redis server of its own, which can be away."""

    def __init__(self, rig: Rig, server: RedisServer) -> None:
        self.rig, self.server = rig, server

    def begin(self) -> None:
        self.server.kill()

    def end(self) -> None:
        self.server.start()


@pytest.fixture
def outage(make_rig: MakeRig) -> Iterator[Outage]:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        url = f"{server.url}?deadline=1"
        rig, other = make_rig(url), make_rig(server.url)
        # By another app: Flask takes no handlers after a first request.
        assert other.visit(lambda: session().update(name="ann")).status_code == 200
        rig.client.set_cookie("session", value(other.client))
        yield Outage(rig, server)


JSON = {"Accept": "application/json"}


def test_a_dead_engine_is_a_503_with_retry_after_on_first_touch(outage: Outage) -> None:
    outage.begin()
    rig = outage.rig
    assert rig.visit(lambda: "not touched").status_code == 200
    answer = rig.visit(lambda: session().get("name"))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Vary"] == "Cookie"
    assert cookies(answer) == []
    assert answer.mimetype == "text/html"
    assert "Your session cannot be reached right now" in answer.text
    assert "redis" not in answer.text.lower()
    assert "Traceback" not in answer.text
    assert rig.visit(lambda: session().update(a=1), rig.browser()).status_code == 503


def test_the_answer_is_problem_json_where_json_is_asked_for(outage: Outage) -> None:
    outage.begin()
    answer = outage.rig.visit(lambda: session().get("name"), headers=JSON)
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    problem = answer.get_json(force=True)
    assert problem["title"] == "Service Unavailable"
    assert problem["status"] == 503
    assert problem["code"].startswith("MRD-00")
    assert answer.headers["Retry-After"]
    browser = {"Accept": "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8"}
    assert outage.rig.visit(lambda: session().get("name"), headers=browser).mimetype == "text/html"


def test_a_dead_engine_does_not_stop_routing(outage: Outage) -> None:
    outage.begin()
    assert outage.rig.client.get("/no-such-page").status_code == 404
    assert outage.rig.client.delete("/").status_code == 405


def test_it_recovers(outage: Outage) -> None:
    outage.begin()
    assert outage.rig.visit(lambda: session().get("name")).status_code == 503
    outage.end()
    assert outage.rig.data() == {"name": "ann"}


def test_a_save_that_fails_answers_503_and_sends_nothing_of_the_page(outage: Outage) -> None:
    def buy() -> Any:
        session()["order"] = 1
        outage.begin()
        headers = {
            "X-Order": "1",
            "Set-Cookie": "promise=kept",
            "Access-Control-Allow-Origin": "https://shop.example",
            "Content-Security-Policy": "default-src 'none'",
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
        }
        return "thank you for your order", headers

    answer = outage.rig.visit(buy)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "thank you" not in answer.text
    assert "X-Order" not in answer.headers
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert cookies(answer) == []
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    outage.end()
    assert outage.rig.data() == {"name": "ann"}


def test_a_sign_out_that_could_not_be_stored_is_a_503_and_can_be_tried_again(
    outage: Outage, make_rig: MakeRig
) -> None:
    rig = outage.rig
    rig.visit(lambda: session().login("ann"))
    cookie = value(rig.client)

    def leave() -> None:
        session().logout()
        outage.begin()

    answer = rig.visit(leave)
    assert answer.status_code == 503
    assert cookies(answer) == []
    outage.end()
    assert rig.data() == {}  # this process serves it no more, though the engine still holds it
    assert rig.mooring.state.sessions.of("ann") != []
    other = make_rig(outage.server.url)
    other.client.set_cookie("session", cookie)
    assert other.data() == {"name": "ann"}
    assert cookies(other.visit(lambda: session().logout())) != []
    assert rig.mooring.state.sessions.of("ann") == []


# --- What the app can catch ---------------------------------------------------------------------------


def handled(app: Flask, what: Any) -> None:
    @app.errorhandler(what)
    def branded(error: Exception) -> tuple[str, int]:
        return f"our own page: {type(error).__name__}", 503


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ([Unavailable, OutcomeUnknown], "Unavailable"),
        ([MooredError], "Unavailable"),
        ([503], "ServiceUnavailable"),
        ([HTTPException], "ServiceUnavailable"),
    ],
    ids=["classes", "base class", "status", "HTTPException"],
)
@pytest.mark.parametrize("when", ["reading", "saving"])
def test_the_apps_own_handlers_catch_it(outage: Outage, what: list[Any], name: str, when: str) -> None:
    for kind in what:
        handled(outage.rig.app, kind)

    def save() -> None:
        session()["a"] = 1
        outage.begin()

    if when == "reading":
        outage.begin()
        answer = outage.rig.visit(lambda: session().get("name"))
    else:
        answer = outage.rig.visit(save)
    assert answer.status_code == 503
    # A save whose connection breaks off may have been carried out, or not.
    names = {name, "OutcomeUnknown"} if name == "Unavailable" and when == "saving" else {name}
    assert answer.text in {f"our own page: {name}" for name in names}
    if name == "ServiceUnavailable":
        assert answer.headers["Retry-After"]


def test_handlers_of_before_moored_are_kept() -> None:
    app = Flask("early")
    app.config.update(SECRET_KEY="a secret", MOORED_URL="memory:")
    handled(app, Unavailable)
    from moored.flask import Moored

    Moored(app)

    @app.get("/")
    def view() -> str:
        raise Unavailable("as if")

    assert app.test_client().get("/").text == "our own page: Unavailable"


def test_a_handler_of_everything_that_lets_http_errors_pass(outage: Outage) -> None:
    @outage.rig.app.errorhandler(Exception)
    def everything(error: Exception) -> Any:
        return error if isinstance(error, HTTPException) else ("wrong", 500)

    outage.begin()
    answer = outage.rig.visit(lambda: session().get("name"))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_refusals_are_conflicts(rig: Rig, make_rig: MakeRig) -> None:
    def refuse() -> None:
        raise ConflictError("others won")

    answer = make_rig().visit(refuse, headers=JSON)
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (409, "MRD-011")
    assert "Retry-After" not in answer.headers

    @rig.app.errorhandler(RefusalError)
    def refused(error: RefusalError) -> tuple[str, int]:
        return "our own refusal", 409

    assert rig.visit(refuse).text == "our own refusal"


def test_nobody_writes_the_log_s_lines(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    forged = "\n[2026-01-01] INFO in auth: admin signed in\x1b[2K\u2028"

    @rig.app.before_request
    def refuse() -> None:
        raise ConflictError(f"ann{forged} was logged out everywhere")

    assert rig.client.get("/ann" + quote(forged)).status_code == 409
    line = caplog.records[-1].getMessage()
    assert line.startswith(
        r"GET /ann\n[2026-01-01] INFO in auth: admin signed in\x1b[2K\u2028 was not served: "
    )
    assert line.isprintable()


BASE = (
    "{{ session.get('name', 'nobody') }}:"
    "{% for m in get_flashed_messages() %}{{ m }}{% endfor %}:{{ 'cart' in session }}"
)


@pytest.mark.parametrize("what", [503, Unavailable], ids=["status", "class"])
def test_an_error_page_that_looks_at_the_session_is_no_loop(outage: Outage, what: Any) -> None:
    @outage.rig.app.errorhandler(what)
    def page(error: Exception) -> tuple[str, int]:
        return render_template_string(BASE), 503

    outage.begin()
    answer = outage.rig.visit(lambda: session().get("name"))
    assert (answer.status_code, answer.text) == (503, "nobody::False")


def test_an_error_page_may_use_the_session_that_could_not_be_saved(outage: Outage) -> None:
    rig = outage.rig

    @rig.app.errorhandler(503)
    def page(error: Exception) -> tuple[str, int]:
        flask.session["seen"] = True
        return render_template_string(BASE), 503

    def save() -> None:
        flask.flash("in the cart")
        session()["cart"] = ["book"]
        outage.begin()

    answer = rig.visit(save)
    assert (answer.status_code, answer.text) == (503, "ann:in the cart:True")
    assert cookies(answer) == []
    outage.end()
    assert rig.data() == {"name": "ann"}


def test_what_was_not_read_can_not_be_written_over(outage: Outage) -> None:
    """An app that swallows the outage and goes on must not seem to have saved something."""

    def swallow() -> str:
        try:
            session().get("name")
        except Unavailable:
            outage.end()
        session()["cart"] = ["book"]
        return "saved"

    outage.begin()
    answer = outage.rig.visit(swallow)
    assert (answer.status_code, answer.text != "saved") == (503, True)
    assert outage.rig.data() == {"name": "ann"}


def test_a_value_that_cannot_be_stored_is_a_500_that_names_its_path_in_the_log_only(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig = make_rig(TESTING=False)

    @rig.app.errorhandler(500)
    def page(error: Exception) -> tuple[str, int]:
        flask.flash("sorry")
        return f"{session().get('a')} {get_flashed_messages()}", 500

    def save() -> None:
        session().update(a=2, cart=[{"price": float, "secret": "swordfish"}])

    rig.visit(lambda: session().update(a=1))
    answer = rig.visit(save)
    assert (answer.status_code, answer.text) == (500, "2 ['sorry']")
    assert "cart[0].price" in caplog.text
    assert "swordfish" not in caplog.text
    assert rig.data() == {"a": 1}


def test_a_session_over_the_limit_is_a_500_that_names_the_field(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig = make_rig(TESTING=False, MOORED_SESSION_MAX_BYTES=1000)
    answer = rig.visit(lambda: session().update(a=1, picture="x" * 1000))
    assert answer.status_code == 500
    assert "its largest field is 'picture'" in caplog.text
    assert "xxxx" not in caplog.text
    assert cookies(answer) == []


def test_a_view_that_fails_keeps_its_changes_as_in_flask(make_rig: MakeRig) -> None:
    rig = make_rig(TESTING=False, PROPAGATE_EXCEPTIONS=False)

    def fail() -> None:
        session()["before"] = 1
        raise RuntimeError("a bug of the app")

    assert rig.visit(fail).status_code == 500
    assert rig.data() == {"before": 1}


# --- Served without a session -------------------------------------------------------------------------


def test_on_outage_anonymous_serves_without_a_session(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        rig = make_rig(f"{server.url}?deadline=1", MOORED_ON_OUTAGE="anonymous")
        rig.visit(lambda: session().update(name="ann"))
        server.kill()
        with caplog.at_level(logging.WARNING, "moored"):
            answer = rig.visit(lambda: [session().get("name"), len(session()), session().update(a=1)][:2])
        assert (answer.status_code, answer.json) == (200, [None, 0])
        assert cookies(answer) == []
        assert rig.mooring.counts["served_without_session"] == 1
        answer = rig.visit(lambda: session().update(a=1), rig.browser())  # who had no session before
        assert (answer.status_code, cookies(answer)) == (200, [])
        # Whoever signs in or out is told that it could not be stored.
        assert rig.visit(lambda: session().login("ann"), rig.browser()).status_code == 503
        for leave in (lambda: session().clear(), lambda: session().logout()):
            answer = rig.visit(leave)
            assert answer.status_code == 503
            assert cookies(answer) == []
        server.start()
        assert rig.data() == {}, "this process serves it no more"


def test_an_after_request_function_that_reads_the_session_is_answered_with_503(make_rig: MakeRig) -> None:
    """As Flask-Login's does."""
    with RedisServer() as server:
        rig = make_rig(f"{server.url}?deadline=1")

        @rig.app.after_request
        def look(response: Any) -> Any:
            session().get("theme")
            return response

        rig.visit(lambda: session().update(a=1))
        server.kill()
        answer = rig.visit()
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
