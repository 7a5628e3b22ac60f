"""What Flask's users expect of ``session``: when it is read, when it is written, what comes back."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import flask
import pytest
from flask import get_flashed_messages, render_template_string, stream_with_context
from markupsafe import Markup
from tests.frameworks.rig import MakeRig, Rig, cookies, make_app, session, value
from werkzeug.routing import BaseConverter

from moored import MisuseError
from moored.codec import encode
from moored.flask.interface import FlaskSession

READ, PATCH = ("Read",), ("Patch",)


# --- When the engine is asked ----------------------------------------------------------------


def test_an_untouched_request_sends_no_command_no_cookie_and_no_vary(each: Rig) -> None:
    each.visit(lambda: session().update(cart=["book"]))
    each.steps()
    for client in (each.client, each.browser()):
        answer = each.visit(lambda: "nothing to do with sessions", client)
        assert answer.status_code == 200
        assert each.steps() == []
        assert cookies(answer) == []
        assert "Vary" not in answer.headers


def test_a_session_shows_applications_what_is_meant_for_them(rig: Rig) -> None:
    """And nothing of what Moored does with remember-me cookies."""

    def look() -> tuple[set[str], type]:
        kind = type(flask.session._get_current_object())  # type: ignore[attr-defined]
        return {name for name in dir(flask.session) if not name.startswith("_")}, kind

    names, kind = rig.look(look)
    assert names == {name for name in dir(FlaskSession) if not name.startswith("_")}
    assert kind.__module__ == "moored.flask.login"


def test_looking_at_the_proxy_alone_does_not_touch(rig: Rig) -> None:
    rig.visit(lambda: session().update(a=1))
    rig.steps()
    answer = rig.visit(lambda: repr(flask.session) + str(flask.session.accessed))
    assert answer.text == "<Session, not loaded>False"
    assert rig.steps() == []
    assert "Vary" not in answer.headers


def test_rendering_a_template_does_not_touch(rig: Rig) -> None:
    rig.visit(lambda: session().update(a=1))
    rig.steps()
    page = "{{ request.path }} {{ g }} {{ config.DEBUG }} {{ url_for('test_view') }}"
    answer = rig.visit(lambda: render_template_string(page))
    assert rig.steps() == []
    assert "Vary" not in answer.headers
    assert rig.visit(lambda: render_template_string("{{ session.a }}")).text == "1"
    assert rig.steps() == [READ]


def test_a_visitor_without_a_cookie_costs_nothing_to_look_at(each: Rig) -> None:
    answer = each.visit(lambda: str(session().get("cart")))
    assert answer.text == "None"
    assert each.steps() == []
    assert cookies(answer) == []
    assert answer.headers["Vary"] == "Cookie"


def test_a_first_change_is_one_step_a_read_one_a_later_change_two(each: Rig) -> None:
    assert len(cookies(each.visit(lambda: session().update(n=1)))) == 1
    assert each.steps() == [("Put",)]
    answer = each.visit(lambda: [session()["n"], session().get("m"), "n" in session(), len(session())])
    assert answer.json == [1, None, True, 1]
    assert each.steps() == [READ]
    assert cookies(answer) == []
    answer = each.visit(lambda: session().update(n=2))
    assert each.steps() == [READ, PATCH]
    assert cookies(answer) == []
    assert answer.headers["Vary"] == "Cookie"
    assert each.data() == {"n": 2}


def test_reading_never_writes(each: Rig) -> None:
    values = {
        "list": [1, [2]],
        "dict": {"b": {"x": 1}, "a": 2},
        "set": {3, 1, 2},
        "when": datetime.now(UTC),
        "money": Decimal("1.10"),
        "markup": Markup("<b>"),
        "float": float("nan"),
    }
    each.visit(lambda: session().update(values))
    each.steps()

    def read_all() -> str:
        copied = {**session()}
        for name in session():
            assert session()[name] is session().get(name)
        assert set(copied) == {*session().keys()} == {name for name, _ in session().items()} == {*values}
        assert session()["dict"]["b"]["x"] == 1
        assert session().get("nothing", []) == []
        with pytest.raises(KeyError):
            session()["nothing"]
        session().pop("nothing", None)
        return str(session().modified)

    answer = each.visit(read_all)
    assert answer.text == "False"
    assert each.steps() == [READ]
    assert cookies(answer) == []


def test_what_is_set_to_what_it_was_is_not_written(rig: Rig) -> None:
    rig.visit(lambda: session().update(n=1, cart=["a"]))
    rig.steps()
    rig.visit(lambda: session().update(n=1, cart=["a"]))
    assert rig.steps() == [READ]


def test_nested_changes_count_without_a_flag(each: Rig) -> None:
    each.visit(lambda: session().update(cart=[], tree={"a": {"b": [1]}}, seen={1}))

    def change() -> None:
        session()["cart"].append("book")
        session()["tree"]["a"]["b"][0] = 2
        session()["seen"].add(2)
        session().setdefault("new", []).append("x")

    each.visit(change)
    assert each.data() == {"cart": ["book"], "tree": {"a": {"b": [2]}}, "seen": {1, 2}, "new": ["x"]}


def test_only_what_changed_travels(rig: Rig) -> None:
    rig.visit(lambda: session().update(big="x" * 10_000, small=1))
    rig.visit(lambda: [session()["big"][:1], session().update(small=2)][0])
    records = rig.mooring.state.binding.engine.records  # type: ignore[attr-defined]
    (record,) = records.values()
    assert record.fields[".small"] == encode(2)
    assert rig.data()["big"] == "x" * 10_000


def test_modified_is_accepted_and_changes_nothing(rig: Rig) -> None:
    rig.visit(lambda: session().update(cart=["a"]))
    rig.steps()

    def flagged() -> str:
        session()["cart"].append("b")
        session().modified = True
        return str(session().modified)

    assert rig.visit(flagged).text == "True"
    assert rig.data() == {"cart": ["a", "b"]}
    rig.steps()

    def flag_alone() -> None:
        session().modified = True

    answer = rig.visit(flag_alone)
    assert cookies(answer) == []
    assert (PATCH in rig.steps()) is False
    assert rig.data() == {"cart": ["a", "b"]}

    def unflagged() -> None:
        session()["cart"].append("c")
        session().modified = False  # Flask's users cannot undo a change like this either

    rig.visit(unflagged)
    assert rig.data() == {"cart": ["a", "b", "c"]}


def test_modified_tells_of_a_change_also_after_it_was_saved(rig: Rig) -> None:
    with rig.client:
        rig.visit(lambda: session().update(n=1))
        assert (flask.session.modified, flask.session.accessed) == (True, True)
    with rig.client:
        rig.visit(lambda: str(session()["n"]))
        assert (flask.session.modified, flask.session.accessed) == (False, True)
    with rig.client:
        rig.visit()
        assert (flask.session.modified, flask.session.accessed) == (False, False)


# --- What comes back --------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "none": None,
    "bool": True,
    "int": 2**70,
    "float": 1.5,
    "text": "grüße \U0001f600",
    "bytes": b"\xff\x00",
    "tuple": (1, ("a",)),
    "set": {1, 2},
    "frozenset": frozenset({"x"}),
    "markup": Markup("<em>"),
    "uuid": UUID(int=5),
    "datetime": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    "date": date(2026, 1, 2),
    "timedelta": timedelta(days=1, seconds=2),
    "decimal": Decimal("1.10"),
    "nested": {"a": [({"b": (b"", Markup("x"))},)], " t": "no tag", "1": {1: "int key"}},
}


def test_values_come_back_with_their_types(each: Rig) -> None:
    each.visit(lambda: session().update(VALUES))
    back = each.data()
    assert back == VALUES
    assert {name: type(back[name]) for name in VALUES} == {name: type(VALUES[name]) for name in VALUES}
    assert type(back["nested"]["a"][0]) is tuple
    assert type(back["nested"]["a"][0][0]["b"][1]) is Markup


def test_session_transaction(each: Rig) -> None:
    with each.client.session_transaction() as opened:
        opened["cart"] = ["a"]
    assert each.data() == {"cart": ["a"]}
    with each.client.session_transaction() as opened:
        assert opened["cart"] == ["a"]
        opened["cart"].append("b")
    assert each.data() == {"cart": ["a", "b"]}


def test_flashed_messages_are_shown_once(each: Rig) -> None:
    each.visit(lambda: flask.flash("saved"))
    each.visit(lambda: flask.flash(Markup("<b>bold</b>"), "warning"))
    assert each.data()["_flashes"] == [("message", "saved"), ("warning", Markup("<b>bold</b>"))]
    page = "{% for m in get_flashed_messages() %}{{ m }} {% endfor %}"
    assert each.visit(lambda: render_template_string(page)).text == "saved <b>bold</b> "
    assert each.look(get_flashed_messages) == []


def test_flashes_of_two_requests_at_once_are_both_shown(rig: Rig) -> None:
    rig.visit(lambda: session().update(a=1))
    late = rig.client.session_transaction()
    with late as opened:
        rig.visit(lambda: flask.flash("first"))
        opened.setdefault("_flashes", []).append(("message", "second"))
    assert rig.look(get_flashed_messages) == ["first", "second"]


# --- How long it lives ---------------------------------------------------------------------------------


def test_permanent_gives_the_cookie_a_lifetime(rig: Rig) -> None:
    assert "Max-Age" not in cookies(rig.visit(lambda: session().update(a=1)))[0]

    def keep(permanent: bool) -> None:
        session().permanent = permanent

    (kept,) = cookies(rig.visit(lambda: keep(True)))
    assert f"Max-Age={31 * 86_400};" in kept
    assert "Expires=" in kept
    assert rig.look(lambda: (session().permanent, session().get("_permanent"))) == (True, True)
    assert cookies(rig.visit(lambda: keep(True))) == []
    (brief,) = cookies(rig.visit(lambda: keep(False)))
    assert "Max-Age" not in brief
    assert "Expires" not in brief
    assert rig.data() == {"a": 1, "_permanent": False}


def test_remember_lasts_longer_than_the_answer_to_the_login(rig: Rig) -> None:
    (first,) = cookies(rig.visit(lambda: session().login("ann", remember=True)))
    assert "Max-Age" in first
    rig.wait(86_400 * 10)
    (renewed,) = cookies(rig.visit(lambda: str(session().subject)))
    assert "Max-Age" in renewed
    (brief,) = cookies(rig.visit(lambda: session().login("ann", remember=False)))
    assert "Max-Age" not in brief


def test_use_renews_a_session_and_its_cookie_a_twentieth_of_the_idle_time_apart(make_rig: MakeRig) -> None:
    rig = make_rig(PERMANENT_SESSION_LIFETIME=100)
    rig.visit(lambda: session().update(a=1, _permanent=True))
    cookie = value(rig.client)
    rig.steps()
    rig.wait(4.9)
    assert cookies(rig.visit(lambda: str(session()["a"]))) == []
    assert rig.steps() == [READ]
    rig.wait(0.1)
    (renewed,) = cookies(rig.visit(lambda: str(session()["a"])))
    assert f"session={cookie};" in renewed
    assert "Max-Age=100;" in renewed
    assert rig.steps() == [READ, PATCH]
    rig.wait(99)
    assert rig.data() == {"a": 1, "_permanent": True}
    rig.wait(101)
    assert rig.data() == {}


def test_a_session_that_is_always_written_to_renews_its_cookie_as_well(make_rig: MakeRig) -> None:
    """Or a browser drops the cookie of somebody who comes every day, a month after it was first sent."""
    rig = make_rig(PERMANENT_SESSION_LIFETIME=20 * 3600)
    rig.visit(lambda: flask.session.update(n=0))
    sent = 0

    def count() -> None:
        flask.session["n"] += 1

    for _ in range(10):
        rig.wait(1800)
        sent += len(cookies(rig.visit(count)))
    assert sent == 5


def test_a_request_can_tell_that_its_session_was_ended(each: Rig) -> None:
    each.visit(lambda: session().login("ann"))
    old = value(each.client)
    assert not each.look(lambda: session().superseded)
    each.mooring.state.sessions.revoke_subject("ann")
    each.client.set_cookie("session", old)
    assert each.look(lambda: session().superseded)
    assert not each.look(lambda: session().superseded, each.browser())


def test_without_refresh_each_request_use_renews_nothing(make_rig: MakeRig) -> None:
    rig = make_rig(PERMANENT_SESSION_LIFETIME=100, SESSION_REFRESH_EACH_REQUEST=False)
    rig.visit(lambda: session().update(a=1))
    rig.wait(60)
    rig.steps()
    assert cookies(rig.visit(lambda: str(session()["a"]))) == []
    assert rig.steps() == [READ]
    rig.wait(41)
    assert rig.data() == {}


def test_no_use_outlasts_the_absolute_lifetime(make_rig: MakeRig) -> None:
    rig = make_rig(PERMANENT_SESSION_LIFETIME=100, MOORED_SESSION_ABSOLUTE=250)
    rig.visit(lambda: session().update(a=1))
    for _ in range(3):
        rig.wait(80)
        assert rig.data() == {"a": 1}
    rig.wait(11)
    assert rig.data() == {}


# --- How Flask calls it ----------------------------------------------------------------------------------


def test_streaming_sees_the_session_and_a_change_after_the_first_byte_raises(rig: Rig) -> None:
    rig.visit(lambda: session().update(n=1))

    def stream() -> Any:
        session()["n"] += 1

        def body() -> Any:
            yield f"{session()['n']} "
            with pytest.raises(MisuseError, match="saved when the response began"):
                session()["late"] = 1
            with pytest.raises(MisuseError, match="before the first byte"):
                session().login("ann")
            yield "ended"

        return stream_with_context(body())

    assert rig.visit(stream).text == "2 ended"
    assert rig.data() == {"n": 2}


def test_a_session_first_touched_while_streaming_can_be_read_and_not_changed(rig: Rig) -> None:
    rig.visit(lambda: session().update(n=1))

    def stream() -> Any:
        def body() -> Any:
            with pytest.raises(MisuseError, match="saved when the response began"):
                session()["late"] = 1
            yield str(session()["n"])

        return stream_with_context(body())

    assert rig.visit(stream).text == "1"
    assert rig.data() == {"n": 1}


def test_an_after_request_handler_can_change_the_session(rig: Rig) -> None:
    @rig.app.after_request
    def count(response: flask.Response) -> flask.Response:
        flask.session["seen"] = flask.session.get("seen", 0) + 1
        return response

    rig.visit()
    assert rig.data() == {"seen": 1}
    assert rig.data() == {"seen": 2}


def test_the_session_is_there_before_routing(rig: Rig) -> None:
    class Mine(BaseConverter):
        def to_python(self, value: str) -> str:
            return f"{flask.session.get('name', 'nobody')}/{value}"

    blueprint = flask.Blueprint("b", __name__, url_prefix="/b")

    @blueprint.before_request
    def note() -> None:
        flask.session["visits"] = flask.session.get("visits", 0) + 1

    @blueprint.get("/<mine:path>")
    def show(path: str) -> str:
        return path

    rig.app.url_map.converters["mine"] = Mine
    rig.app.register_blueprint(blueprint)
    assert rig.client.get("/b/x").text == "nobody/x"
    with rig.client.session_transaction() as opened:
        opened["name"] = "ann"
    assert rig.client.get("/b/x").text == "ann/x"
    assert rig.data() == {"name": "ann", "visits": 2}


def test_asynchronous_views(each: Rig) -> None:
    @each.app.get("/async")
    async def view() -> str:
        flask.session.setdefault("cart", []).append("book")
        return str(len(flask.session["cart"]))

    assert each.client.get("/async").text == "1"
    assert each.client.get("/async").text == "2"
    assert each.data() == {"cart": ["book", "book"]}


def test_several_apps_in_one_process_do_not_mix(make_rig: MakeRig) -> None:
    one, two = make_rig(), make_rig(SESSION_COOKIE_NAME="other")
    one.visit(lambda: session().update(app=1))
    two.visit(lambda: session().update(app=2))
    assert one.data() == {"app": 1}
    assert two.data() == {"app": 2}
    taken = value(one.client)
    two.client.set_cookie("other", taken)
    assert two.data() == {}
    assert one.mooring.state is not two.mooring.state


def test_two_apps_on_one_url_and_secret_share_a_session(make_rig: MakeRig, sqlite_url: str) -> None:
    one, two = make_rig(sqlite_url), make_rig(sqlite_url)
    one.visit(lambda: session().update(cart=["a"]))
    two.client.set_cookie("session", value(one.client))
    two.visit(lambda: session()["cart"].append("b"))
    assert one.data() == {"cart": ["a", "b"]}


def test_an_app_is_freed_when_it_is_let_go() -> None:
    app = make_app()
    found = weakref.ref(app)
    gc.disable()  # a cycle would be found sooner or later, and hide
    try:
        del app
        assert found() is None
    finally:
        gc.enable()


def test_one_extension_object_for_several_apps() -> None:
    from moored.flask import Moored

    moored = Moored(url="memory:")
    apps = [flask.Flask(name) for name in ("one", "two")]
    for app in apps:
        moored.init_app(app)
    with apps[0].app_context():
        moored.state.counter("n").add()
    with apps[1].app_context():
        assert moored.state.counter("n").value() == 0
    with pytest.raises(MisuseError, match="has Moored already"):
        moored.init_app(apps[0])


# --- Keys -------------------------------------------------------------------------------------------------


def test_keys_rotate_with_secret_key_fallbacks(rig: Rig) -> None:
    rig.app.config.update(SECRET_KEY="first key of the app")
    rig.visit(lambda: session().update(a=1))
    old = value(rig.client)
    rig.app.config.update(SECRET_KEY="second key of the app")
    rig.steps()
    assert rig.data() == {}
    assert rig.steps() == []
    rig.app.config.update(SECRET_KEY_FALLBACKS=["first key of the app"])
    assert rig.data() == {"a": 1}
    rig.visit(lambda: session().login("ann"))
    assert value(rig.client) != old
    rig.app.config.update(SECRET_KEY_FALLBACKS=None)
    assert rig.data() == {"a": 1}


def test_without_a_secret_a_shared_engine_is_refused(
    make_rig: MakeRig, redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MOORED_SECRET", raising=False)
    rig = make_rig(redis_url, SECRET_KEY=None, TESTING=False)
    answer = rig.visit(lambda: session().update(a=1))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "no secret is set, and redis: may be shared by several hosts" in caplog.text
    assert "Set SECRET_KEY of the Flask app, or MOORED_SECRET" in caplog.text
    rig.app.config.update(SECRET_KEY="set after Moored(app)")
    rig.visit(lambda: session().update(a=1))
    assert rig.data() == {"a": 1}


def test_without_a_secret_one_is_made_beside_a_sqlite_file(
    make_rig: MakeRig, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MOORED_SECRET", raising=False)
    one, two = make_rig(sqlite_url, SECRET_KEY=None), make_rig(sqlite_url, SECRET_KEY=None)
    one.visit(lambda: session().update(a=1))
    two.client.set_cookie("session", value(one.client))
    assert two.data() == {"a": 1}
    assert "No secret is set" in caplog.text


def test_the_selector_and_not_the_cookie_is_shown(rig: Rig) -> None:
    rig.visit(lambda: session().update(secret_value="swordfish"))
    shown = rig.look(lambda: [session().selector, repr(session())])
    assert shown[0] in shown[1]
    assert value(rig.client) not in shown[1]
    assert "swordfish" not in shown[1]
