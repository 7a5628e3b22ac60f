"""Flask-Login: identity, freshness, session protection, and remember-me cookies with an epoch.

Several apps on one URL stand for the workers of one application.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import pytest
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from flask_login import current_user, user_loaded_from_cookie, user_logged_in
from flask_login.utils import encode_cookie
from tests.frameworks.ecosystem.login_app import make_app
from werkzeug.test import TestResponse

from moored import ConfigurationError, State
from moored.commands import Drop, Patch, Read, Record
from moored.flask import FlaskSession, Moored
from moored.flask.extension import mooring
from moored.flask.login import SUFFIX, Remembering
from moored.flask.testing import in_memory, sign_in
from moored.kinds.sessions.browsers import LONGEST_COOKIE, browsers_of
from moored.kinds.sessions.record import session_key
from moored.kinds.sessions.settings import DAY
from moored.kinds.sessions.subjects import subject_key
from moored.policy import Sent
from moored.run import Program
from moored.testing.servers import RedisServer
from moored.web.remember import FIRST

TOKEN, EPOCH = "remember_token", "remember_token" + SUFFIX
Close = Callable[[Flask], Flask]
Worker = Callable[..., Flask]


@pytest.fixture
def worker(shared_url: str, close: Close) -> Worker:
    """Starts another worker of the application, on an engine that they share."""

    def make(**config: Any) -> Flask:
        return close(make_app(MOORED_URL=shared_url, **config))

    return make


@pytest.fixture
def app(close: Close) -> Flask:
    """The application by itself, in memory."""
    return close(make_app(MOORED_URL="memory:"))


def state_of(app: Flask) -> State:
    return mooring(app).state


def run(app: Flask, program: Program[Any]) -> Any:
    return state_of(app).binding.run(program)


def record_of(app: Flask, subject: str) -> Record:
    async def read() -> Record | None:
        return await Read(subject_key(subject))

    found = run(app, read())
    assert isinstance(found, Record)
    return found


def value(client: FlaskClient, name: str = "session") -> str:
    cookie = client.get_cookie(name)
    return cookie.value if cookie else ""


def browser(app: Flask, **cookies: str) -> FlaskClient:
    """A browser at some worker, with these cookies."""
    client = app.test_client()
    for name, value in cookies.items():
        if value:
            client.set_cookie(name, value)
    return client


def remembered(app: Flask, name: str = "ann") -> dict[str, str]:
    """The remember-me cookies of somebody who has signed in."""
    client = browser(app)
    client.post(f"/in/{name}?remember=1")
    return remember_cookies(client)


def remember_cookies(client: FlaskClient) -> dict[str, str]:
    return {name: value(client, name) for name in (TOKEN, EPOCH)}


def plain(app: Flask, name: str = "ann") -> dict[str, str]:
    """A remember-me cookie as Flask-Login itself made it, before the move to Moored."""
    with app.app_context():
        return {TOKEN: encode_cookie(name)}


def me(client: FlaskClient) -> str:
    answer = client.get("/me")
    return answer.text if answer.status_code == 200 else str(answer.status_code)


@contextmanager
def steps(app: Flask) -> Generator[list[tuple[str, ...]]]:
    """The steps that the engine is sent in the block, each as the names of its commands."""
    sent: list[Sent] = []
    found: list[tuple[str, ...]] = []
    state_of(app).observe(sent.append)
    yield found
    found.extend(step.commands for step in sent)
    state_of(app).binding.policy.observers.remove(sent.append)


# --- Identity ---------------------------------------------------------------------------------------


def test_signing_in_is_a_new_cookie_and_signing_out_another(worker: Worker) -> None:
    app = worker()
    client = browser(app)
    client.post("/cart/book")
    before = value(client)
    assert me(client) == "302"
    client.post("/in/ann")
    during = value(client)
    assert during != before
    assert me(client) == "ann"
    assert [info.subject for info in state_of(app).sessions.of("ann")] == ["ann"]
    assert me(browser(app, session=before)) == "302"

    client.post("/out")
    assert value(client) not in ("", during)
    assert me(client) == "302"
    assert me(browser(app, session=during)) == "302"
    assert client.post("/cart/mug").json == ["book", "mug"]


def test_users_do_not_get_each_others_data(app: Flask) -> None:
    client = browser(app)
    client.post("/in/ann")
    client.post("/cart/letters-of-ann")
    client.post("/in/bob")
    assert me(client) == "bob"
    assert client.post("/cart/book").json == ["book"]
    assert state_of(app).sessions.of("ann") == []


def test_revoking_a_subject_signs_them_out_of_every_worker(worker: Worker) -> None:
    here, there = worker(), worker()
    client = browser(here)
    client.post("/in/ann")
    twin = browser(there, session=value(client))
    assert (me(client), me(twin)) == ("ann", "ann")
    state_of(there).sessions.revoke_subject("ann")
    assert (me(client), me(twin)) == ("302", "302")


def test_a_visitor_who_is_turned_away_is_told_why(app: Flask) -> None:
    client = browser(app)
    answer = client.get("/me")
    assert (answer.status_code, answer.location) == (302, "/door?next=%2Fme")
    assert client.get("/door").text == "sign in here: Please log in to access this page."
    assert client.get("/door").text == "sign in here: "


def test_the_page_to_go_to_next_can_be_in_the_session(close: Close) -> None:
    app = close(make_app(MOORED_URL="memory:", USE_SESSION_FOR_NEXT=True))
    client = browser(app)
    assert client.get("/me").location == "/door"
    with client.session_transaction() as kept:
        assert kept["next"] == "/me"


def test_flask_login_itself_looks_at_the_session_after_every_request(app: Flask) -> None:
    """Its remember cookie needs that: one read, and none for visitors without a cookie."""
    client = browser(app)
    client.post("/in/ann")
    with steps(app) as sent:
        answer = client.get("/open")
        browser(app).get("/open")
    assert sent == [("Read",)]
    assert answer.headers.getlist("Set-Cookie") == []


# --- Freshness and session protection ------------------------------------------------------------------


def test_a_remembered_sign_in_is_not_fresh_until_it_is_confirmed(worker: Worker) -> None:
    app = worker()
    client = browser(app, **remembered(app))
    assert me(client) == "ann"
    assert client.get("/secret").status_code == 401
    stale = value(client)
    client.post("/confirm")
    assert client.get("/secret").text == "secret"
    assert value(client) != stale, "becoming fresh is a sign-in"
    assert me(browser(app, session=stale)) == "302"


def test_giving_the_password_again_is_a_new_cookie_and_keeps_the_data(app: Flask) -> None:
    client = browser(app, **remembered(app))
    client.post("/cart/book")
    stale = value(client)
    client.post("/in/ann")
    assert value(client) != stale
    assert client.get("/secret").text == "secret"
    assert client.post("/cart/mug").json == ["book", "mug"]
    assert me(browser(app, session=stale)) == "302"


ELSEWHERE = {"User-Agent": "another browser"}


def test_basic_protection_makes_a_session_stale_where_it_is_used_elsewhere(app: Flask) -> None:
    client = browser(app)
    client.post("/in/ann")
    assert client.get("/me", headers=ELSEWHERE).text == "ann"
    assert client.get("/secret", headers=ELSEWHERE).status_code == 401
    assert client.get("/secret").status_code == 401


def test_strong_protection_signs_out_where_a_session_is_used_elsewhere(close: Close) -> None:
    app = close(make_app(MOORED_URL="memory:", SESSION_PROTECTION="strong"))
    client = browser(app)
    client.post("/in/ann?remember=1")
    client.post("/cart/book")
    cookie = value(client)
    assert client.get("/me", headers=ELSEWHERE).status_code == 302
    assert me(client) == "302"
    assert remember_cookies(client) == {TOKEN: "", EPOCH: ""}
    assert me(browser(app, session=cookie)) == "302"
    assert client.post("/cart/mug").json == ["book", "mug"]
    assert [info.subject for info in state_of(app).sessions.of("ann")] == [None], "her data, and nobody"


# --- Remember-me cookies ---------------------------------------------------------------------------


def test_remember_me_without_a_secret_key_says_what_to_do(close: Close) -> None:
    """The key that Moored makes up is not Flask-Login's."""
    app = close(make_app(MOORED_URL="memory:", SECRET_KEY=None))
    client = app.test_client()
    with pytest.raises(ConfigurationError, match="signs its remember-me cookies with SECRET_KEY"):
        client.post("/in/ann?remember")
    client.set_cookie(TOKEN, "ann|0123")  # from a time when there was a key, or of nobody's
    assert client.get("/who").text == "nobody"


def test_a_remember_cookie_signs_in_on_any_worker(worker: Worker) -> None:
    cookies = remembered(worker())
    assert all(cookies.values())
    client = browser(worker(), **cookies)
    assert me(client) == "ann"
    assert client.get("/remembered").text == "yes"
    assert remember_cookies(client) == cookies


END = ["log out everywhere", "log out everywhere else", "revoke_subject"]


@pytest.mark.parametrize("how", END)
def test_a_remember_cookie_from_before_its_user_was_signed_out_everywhere(worker: Worker, how: str) -> None:
    here, there = worker(), worker()
    cookies = remembered(here)
    if how == "revoke_subject":
        state_of(here).sessions.revoke_subject("ann")
    else:
        client = browser(here)
        client.post("/in/ann")
        client.post("/password", query_string={"keep": 1} if how.endswith("else") else {})
    for app in (here, there):
        client = browser(app, **cookies)
        assert me(client) == "302", "a remember-me cookie outlived a log-out-everywhere"
        assert remember_cookies(client) == {TOKEN: "", EPOCH: ""}
        assert mooring(app).counts["remember_cookies_refused"] == 1
        only = browser(app, **{TOKEN: cookies[TOKEN]})
        assert me(only) == "302", "a remember-me cookie without its epoch outlived a log-out-everywhere"
    assert me(browser(there, **remembered(there))) == "ann"
    assert me(browser(here, **cookies)) == "302", "a later sign-in brought an earlier cookie back"


def test_the_browser_that_is_kept_is_given_another_remember_cookie(worker: Worker) -> None:
    app = worker()
    client = browser(app)
    client.post("/in/ann?remember=1")
    before = remember_cookies(client)
    client.post("/password?keep=1&check=1")
    after = remember_cookies(client)
    assert me(client) == "ann"
    assert after[EPOCH] not in ("", before[EPOCH])
    assert me(browser(app, **after)) == "ann"
    assert me(browser(app, **before)) == "302"


def test_a_browser_that_asked_for_none_is_given_none(app: Flask) -> None:
    client = browser(app)
    client.post("/in/ann")
    client.post("/password?keep=1")
    assert remember_cookies(client) == {TOKEN: "", EPOCH: ""}


def test_an_epoch_is_one_users_only(worker: Worker) -> None:
    app = worker()
    ann, bob = remembered(app), remembered(app, "bob")
    assert me(browser(app, **{TOKEN: ann[TOKEN], EPOCH: bob[EPOCH]})) == "302"
    assert me(browser(app, **{TOKEN: ann[TOKEN], EPOCH: "A" * 22})) == "302"
    assert me(browser(app, **{TOKEN: ann[TOKEN], EPOCH: "no check at all"})) == "302"


def test_a_forged_remember_cookie_costs_the_engine_nothing(app: Flask) -> None:
    client = browser(app, **{TOKEN: "ann|" + "0" * 128, EPOCH: "A" * 22})
    with steps(app) as sent:
        assert client.get("/open").status_code == 200
        assert client.get("/remembered").text == "no"
        assert client.get("/who").text == "nobody"
    assert sent == []


def test_signing_out_clears_both_cookies(app: Flask) -> None:
    client = browser(app)
    client.post("/in/ann?remember=1")
    answer = client.post("/out")
    assert remember_cookies(client) == {TOKEN: "", EPOCH: ""}
    assert me(client) == "302"
    assert attributes(answer, TOKEN) == attributes(answer, EPOCH)


def test_both_cookies_have_the_attributes_that_were_set(close: Close) -> None:
    app = close(
        make_app(
            MOORED_URL="memory:",
            REMEMBER_COOKIE_NAME="stay",
            REMEMBER_COOKIE_PATH="/shop",
            REMEMBER_COOKIE_SECURE=True,
            REMEMBER_COOKIE_SAMESITE="Strict",
            REMEMBER_COOKIE_DURATION=timedelta(days=3),
        )
    )
    answer = browser(app).post("/in/ann?remember=1")
    found = attributes(answer, "stay" + SUFFIX)
    assert {"Path=/shop", "Secure", "HttpOnly", "SameSite=Strict"} <= found
    assert attributes(answer, "stay") == found


def attributes(answer: TestResponse, name: str) -> set[str]:
    found = [cookie for cookie in answer.headers.getlist("Set-Cookie") if cookie.startswith(name + "=")]
    assert len(found) == 1
    return {part.strip() for part in found[0].split(";")[1:]}


def test_a_living_session_costs_what_it_costs_without_a_remember_cookie(worker: Worker) -> None:
    app = worker()
    client = browser(app)
    client.post("/in/ann?remember=1")
    with steps(app) as sent:
        assert me(client) == "ann"
    assert sent == [("Read",)]


def test_a_cookie_that_is_renewed_at_every_request_costs_no_more(close: Close) -> None:
    app = close(make_app(MOORED_URL="memory:", REMEMBER_COOKIE_REFRESH_EACH_REQUEST=True))
    client = browser(app)
    client.post("/in/ann?remember=1")
    cookies = remember_cookies(client)
    with steps(app) as sent:
        answer = client.get("/me")
    assert sent == [("Read",)]
    assert attributes(answer, TOKEN) == attributes(answer, EPOCH)
    assert remember_cookies(client) == cookies
    client.post("/password?keep=1")
    assert me(browser(app, **remember_cookies(client))) == "ann"


def test_a_remember_cookie_outlives_every_session(worker: Worker) -> None:
    """Its user's record, which holds the epoch, is kept for longer than any browser keeps a cookie."""
    app = worker()
    cookies = remembered(app)
    record = record_of(app, "ann")
    assert record.expires is not None
    assert record.expires - record.at > LONGEST_COOKIE + 90 * DAY
    me(browser(app, **cookies))
    state_of(app).sessions.revoke_subject("ann")
    record = record_of(app, "ann")
    assert record.expires is not None
    assert record.expires - record.at > LONGEST_COOKIE + 90 * DAY


def test_a_remember_cookie_whose_users_record_was_lost_is_refused(worker: Worker) -> None:
    app = worker()
    cookies = remembered(app)

    async def lose() -> None:
        await Drop(subject_key("ann"))

    run(app, lose())
    assert me(browser(app, **cookies)) == "302"


def test_a_log_out_everywhere_during_the_sign_in_refuses_it(worker: Worker) -> None:
    """Between the reading of the epoch and the end of the request."""
    here, there = worker(), worker()
    cookies = remembered(here)

    def meanwhile(sender: Flask, **_: object) -> None:
        state_of(there).sessions.revoke_subject("ann")

    with user_loaded_from_cookie.connected_to(meanwhile, here):
        client = browser(here, **cookies)
        assert client.get("/me").status_code == 409
    assert me(client) == "302"
    assert state_of(here).sessions.of("ann") == []


def test_a_log_out_everywhere_while_the_password_is_checked_refuses_the_sign_in(worker: Worker) -> None:
    """The epoch in the remember-me cookie is that of the gate, read before; it is not read again."""
    here, there = worker(), worker()

    def meanwhile(sender: Flask, **_: object) -> None:
        state_of(there).sessions.revoke_subject("ann")

    client = browser(here)
    with user_logged_in.connected_to(meanwhile, here):
        assert client.post("/in/ann?remember=1&check=1").status_code == 409
    assert me(client) == "302"


# --- Requests under way while somebody is signed out everywhere -----------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_a_request_of_an_ended_session_is_given_no_remember_cookie(worker: Worker, known: bool) -> None:
    """Else a thief's slow request would survive the change of the password, by the new epoch."""
    here, there = worker(REMEMBER_COOKIE_REFRESH_EACH_REQUEST=True), worker()

    @here.get("/slow")
    def slow() -> str:
        session["note"] = current_user.id
        state_of(there).sessions.revoke_subject("ann")
        return "slow"

    thief = browser(here)
    thief.post("/in/ann?remember=1")
    if not known:
        thief.delete_cookie(EPOCH)
    before = remember_cookies(thief)
    assert thief.get("/slow").text == "slow"
    assert remember_cookies(thief) == before
    assert me(browser(here, **remember_cookies(thief))) == "302"


@pytest.mark.parametrize("login_first", [False, True], ids=["Moored first", "Flask-Login first"])
def test_the_order_of_extensions_does_not_matter(close: Close, login_first: bool) -> None:
    app = close(make_app(MOORED_URL="memory:", login_first=login_first))
    cookies = remembered(app)
    assert cookies[EPOCH]
    state_of(app).sessions.revoke_subject("ann")
    assert me(browser(app, **cookies)) == "302"


def test_a_login_manager_that_comes_after_a_session_was_opened(close: Close) -> None:
    app = make_app(MOORED_URL="memory:")
    manager = app.login_manager  # type: ignore[attr-defined]
    del app.login_manager  # type: ignore[attr-defined]
    with close(app).test_request_context():
        pass
    app.login_manager = manager  # type: ignore[attr-defined]
    assert remembered(app)[EPOCH]


def test_an_app_without_moored_that_shares_the_login_manager(close: Close) -> None:
    app = close(make_app(MOORED_URL="memory:"))
    remembered(app)
    manager = app.login_manager  # type: ignore[attr-defined]
    assert isinstance(manager, Remembering)
    other = make_app(moored=lambda app: None)
    other.login_manager = manager  # type: ignore[attr-defined]
    client = other.test_client()
    client.post("/in/ann?remember=1")
    assert remember_cookies(client)[EPOCH] == ""
    client.delete_cookie("session")
    assert me(client) == "ann"


def test_an_unknown_flask_login_is_refused(close: Close, monkeypatch: pytest.MonkeyPatch) -> None:
    app = close(make_app(MOORED_URL="memory:"))
    monkeypatch.setattr("moored.flask.login.USED", ("_something_else",))
    with pytest.raises(ConfigurationError, match="cannot be revoked"):
        browser(app).get("/open")


# --- Ending one session ----------------------------------------------------------------------------


def selector(client: FlaskClient) -> str:
    """The public name of the session that the browser has."""
    with client.session_transaction() as kept:
        assert isinstance(kept, FlaskSession)
        assert kept.selector is not None
        return kept.selector


def remembered_browser(app: Flask, name: str = "ann") -> FlaskClient:
    client = browser(app)
    client.post(f"/in/{name}?remember=1")
    return client


def begin_anew(client: FlaskClient) -> FlaskClient:
    """The browser was closed: it has nothing but its remember-me cookies."""
    client.delete_cookie("session")
    return client


def is_out(app: Flask, **cookies: str) -> bool:
    """Is what a browser has refused, and so that it is told to forget it?"""
    client = browser(app, **cookies)
    return me(client) == "302" and remember_cookies(client) == {TOKEN: "", EPOCH: ""}


def test_a_device_that_was_signed_out_does_not_come_back(worker: Worker) -> None:
    here, there = worker(), worker()
    laptop, phone = remembered_browser(here), remembered_browser(there)
    copied = remember_cookies(phone)
    assert state_of(here).sessions.revoke(selector(phone), subject="ann") is True
    assert me(phone) == "302", "a signed-out device came back"
    assert remember_cookies(phone) == {TOKEN: "", EPOCH: ""}
    for app in (here, there):
        assert is_out(app, **copied), "a copy of its cookie came back"
        assert is_out(app, **{TOKEN: copied[TOKEN]}), "a copy came back without what says which browser"
    assert [info.selector for info in state_of(here).sessions.of("ann")] == [selector(laptop)]
    assert me(laptop) == "ann"
    assert me(begin_anew(laptop)) == "ann", "the other device is remembered still"


def test_its_cookie_is_refused_also_if_it_was_what_signed_the_device_in(worker: Worker) -> None:
    app = worker()
    phone = remembered_browser(app)
    first = selector(phone)
    assert me(begin_anew(phone)) == "ann"
    assert selector(phone) != first
    assert state_of(app).sessions.revoke(selector(phone)) is True, "by an operator"
    assert state_of(app).sessions.of("ann") == [], "what it had before the browser was closed ends with it"
    assert is_out(app, **remember_cookies(phone))


def test_a_device_whose_session_has_expired_can_be_signed_out_still(worker: Worker) -> None:
    app = worker()
    phone = remembered_browser(app)
    name = selector(phone)

    async def expire() -> None:
        await Drop(session_key(name))
        await Patch(subject_key("ann"), unset=("s." + name,))

    run(app, expire())
    assert state_of(app).sessions.revoke(name, subject="bob") is False
    assert me(browser(app, **remember_cookies(phone))) == "ann"
    phone = remembered_browser(app)
    name = selector(phone)
    run(app, expire())
    assert state_of(app).sessions.revoke(name, subject="ann") is False, "it was not alive"
    assert is_out(app, **remember_cookies(phone))


def test_a_device_that_is_signed_out_while_its_cookie_signs_it_in(worker: Worker) -> None:
    """Between the look at the cookie and the end of the request."""
    here, there = worker(), worker()
    phone = remembered_browser(here)
    name = selector(phone)

    def meanwhile(sender: Flask, **_: object) -> None:
        state_of(there).sessions.revoke(name, subject="ann")

    with user_loaded_from_cookie.connected_to(meanwhile, here):
        assert begin_anew(phone).get("/me").status_code == 409
    assert me(phone) == "302"
    assert state_of(here).sessions.of("ann") == []


def test_a_device_that_is_signed_out_while_the_password_is_given_there(worker: Worker) -> None:
    """Who gave it is in, and remembered; a copy that was made of the cookie before is not good again."""
    here, there = worker(), worker()
    phone = remembered_browser(here)
    name, copied = selector(phone), remember_cookies(phone)

    def meanwhile(sender: Flask, **_: object) -> None:
        state_of(there).sessions.revoke(name, subject="ann")

    with user_logged_in.connected_to(meanwhile, here):
        assert begin_anew(phone).post("/in/ann?remember=1&check=1").status_code == 200
    assert me(phone) == "ann"
    assert me(begin_anew(phone)) == "ann"
    assert is_out(here, **copied)


@pytest.mark.parametrize("known", [True, False])
def test_a_slow_request_of_a_device_that_was_signed_out(worker: Worker, known: bool) -> None:
    here, there = worker(REMEMBER_COOKIE_REFRESH_EACH_REQUEST=True), worker()

    @here.get("/slow")
    def slow() -> str:
        session["note"] = current_user.id
        cast(FlaskSession, session).regenerate()
        state_of(there).sessions.revoke(name, subject="ann")
        return "slow"

    thief = remembered_browser(here)
    name = selector(thief)
    if not known:
        thief.delete_cookie(EPOCH)
    assert thief.get("/slow").text == "slow"
    assert me(thief) == "302"
    assert state_of(here).sessions.of("ann") == []


@pytest.mark.parametrize("how", ["/out", "/leave", "/in/bob"])
def test_a_copy_of_the_cookie_does_not_survive_a_sign_out(worker: Worker, how: str) -> None:
    app = worker()
    other, client = remembered_browser(app), remembered_browser(app)
    copied = remember_cookies(client)
    twin = browser(app, **copied)
    assert me(twin) == "ann"
    client.post(how)
    assert is_out(app, **copied), "a copied cookie outlived the sign-out"
    assert me(begin_anew(twin)) == "302"
    if how != "/in/bob":
        assert me(client) == "302", "who signed out came back"
    assert me(begin_anew(other)) == "ann", "another browser of hers was signed out"


def test_the_end_over_the_maximum_is_not_one_of_the_browser(close: Close) -> None:
    """A browser that is closed every day leaves sessions behind, of which the oldest ends at some time."""
    app = close(make_app(MOORED_URL="memory:", MOORED_SESSIONS_PER_SUBJECT=2))
    client = remembered_browser(app)
    for _ in range(4):
        assert me(begin_anew(client)) == "ann"
    assert len(state_of(app).sessions.of("ann")) == 2
    assert len(browsers_of(record_of(app, "ann"))) == 1


def test_more_browsers_than_are_remembered(close: Close) -> None:
    app = close(make_app(MOORED_URL="memory:", MOORED_SESSIONS_PER_SUBJECT=2))
    first, second = remembered_browser(app), remembered_browser(app)
    assert me(begin_anew(first)) == "ann"
    remembered_browser(app)
    assert len(browsers_of(record_of(app, "ann"))) == 2
    assert is_out(app, **remember_cookies(second)), "it was not used for longest"
    assert me(begin_anew(first)) == "ann"


@pytest.mark.parametrize("again", ["/in/ann", "/in/ann?remember=1", "/anew/ann", "/confirm", "/renew"])
def test_a_browser_keeps_its_name(worker: Worker, again: str) -> None:
    """Whatever signs its user in there again, with the session or without: the cookie ends with it."""
    app = worker()
    for client in (remembered_browser(app), begin_anew(remembered_browser(app))):
        copied = remember_cookies(client)
        client.post(again)
        assert me(client) == "ann"
        state_of(app).sessions.revoke(selector(client), subject="ann")
        assert is_out(app, **remember_cookies(client))
        assert is_out(app, **copied)


def test_a_browser_that_lost_its_cookie_is_given_the_same(worker: Worker) -> None:
    client = begin_anew(remembered_browser(worker()))
    assert me(client) == "ann"
    copied = remember_cookies(client)
    client.delete_cookie(TOKEN)
    client.delete_cookie(EPOCH)
    client.post("/in/ann?remember=1")
    assert remember_cookies(client) == copied


def test_a_cookie_for_somebody_who_was_signed_in_already(worker: Worker) -> None:
    """Nothing was signed in to, so the session has no name for its browser: it ends with any of hers."""
    app = worker()
    old = remembered_browser(app)
    for _ in range(2):
        client, other = browser(app), remembered_browser(app)
        client.post("/in/ann")
        client.post("/in/ann?remember=1")
        cookies = remember_cookies(client)
        assert cookies[EPOCH]
        assert me(browser(app, **cookies)) == "ann"
        state_of(app).sessions.revoke(selector(other), subject="ann")
        assert is_out(app, **cookies)
    assert me(begin_anew(old)) == "ann"


def test_what_a_cookie_without_a_name_begins_has_one(worker: Worker) -> None:
    app = worker()
    client = browser(app)
    client.post("/in/ann")
    client.post("/in/ann?remember=1")
    before = value(client, EPOCH)
    assert me(begin_anew(client)) == "ann"
    assert len(value(client, EPOCH)) > len(before)
    other = remembered_browser(app)
    state_of(app).sessions.revoke(selector(other), subject="ann")
    assert me(begin_anew(client)) == "ann", "another device was signed out"
    state_of(app).sessions.revoke(selector(client), subject="ann")
    assert is_out(app, **remember_cookies(client))


def test_what_it_costs(worker: Worker) -> None:
    app = worker()
    ordinary, client = browser(app), browser(app)
    ordinary.post("/in/ann")
    with steps(app) as plainly:
        browser(app).post("/in/ann")
    client.post("/in/ann?remember=1")
    with steps(app) as remembering:
        browser(app).post("/in/ann?remember=1")
    assert remembering == plainly, "to be remembered costs a sign-in no further step"
    with steps(app) as by_cookie:
        me(begin_anew(client))
    assert by_cookie == [("Read",), ("Patch",), ("Put",)]

    async def fields(name: str) -> set[str]:
        record = await Read(session_key(name))
        assert record is not None
        return {name for name in record.fields if name[:1] == "@"}

    ours, theirs = run(app, fields(selector(client))), run(app, fields(selector(ordinary)))
    assert ours - theirs == {"@browser"}


def test_plain_remember_cookies_end_where_any_device_is_signed_out(worker: Worker) -> None:
    """Nobody knows in which browser they are."""
    app = worker()
    ordinary = browser(app)
    ordinary.post("/in/ann")
    assert me(browser(app, **plain(app))) == "ann"
    state_of(app).sessions.revoke(selector(ordinary), subject="ann")
    assert is_out(app, **plain(app))
    assert me(browser(app, **plain(app, "bob"))) == "bob"
    record = record_of(app, "ann")
    assert record.expires is not None
    assert record.expires - record.at > LONGEST_COOKIE


@pytest.mark.parametrize("leave", ["/out", "/leave", None])
def test_a_copy_of_which_the_check_was_left_out_is_none_from_before_the_move(
    worker: Worker, leave: str | None
) -> None:
    app = worker()
    client = remembered_browser(app)
    copied = remember_cookies(client)
    if leave:
        client.post(leave)
    assert is_out(app, **{TOKEN: copied[TOKEN]})


def test_where_a_browser_from_before_the_move_signs_out_none_is_taken_any_more(worker: Worker) -> None:
    app = worker()
    client = browser(app, **plain(app))
    assert me(client) == "ann"
    client.post("/out")
    assert is_out(app, **plain(app))


@pytest.mark.parametrize("leave", ["/out", "/leave"])
def test_a_sign_out_counts_also_where_the_session_has_ended_before(worker: Worker, leave: str) -> None:
    app = worker()
    client = remembered_browser(app)
    copied = remember_cookies(client)
    state_of(app).binding.run(_drop(session_key(selector(client))))  # as if it had expired
    assert client.post(leave).status_code == 200
    assert is_out(app, **copied)
    assert is_out(app, **remember_cookies(client))


async def _drop(key: str) -> None:
    await Drop(key)


def test_a_cookie_stays_the_only_proof_whatever_the_request_asks_for(worker: Worker) -> None:
    """As a page does that looks at the user first, and then asks who is about to sign in."""
    here, there = worker(), worker()

    @here.post("/retry/<name>")
    def retry(name: str) -> str:
        assert current_user.is_authenticated
        state_of(there).sessions.revoke_subject("ann")
        cast(FlaskSession, session).signing_in(name)
        return "wrong password"

    for name in ("ann", "bob"):
        thief = browser(here, **remember_cookies(remembered_browser(here)))
        thief.post(f"/retry/{name}")
        assert me(thief) == "302"


def test_a_cookie_of_two_browsers_is_none(worker: Worker) -> None:
    app = worker()
    one, other = remembered(app), remembered(app)
    raw, more = (base64.urlsafe_b64decode(cookies[EPOCH] + "=") for cookies in (one, other))
    for mixed in (raw[:10] + more[10:], more[:10] + raw[10:], raw[10:], raw[:10], raw + b"0"):
        made = base64.urlsafe_b64encode(mixed).decode().rstrip("=")
        assert is_out(app, **{TOKEN: one[TOKEN], EPOCH: made})
    assert me(browser(app, **one)) == "ann"


def test_sessions_in_cookies_end_with_their_browser(close: Close) -> None:
    app = close(make_app(MOORED_URL="memory:", MOORED_SESSION_STORE="signed-cookie"))
    client, other = remembered_browser(app), remembered_browser(app)
    copied = {"session": value(client), **remember_cookies(client)}
    assert me(browser(app, session=copied["session"])) == "ann"
    client.post("/out")
    assert me(client) == "302"
    assert me(browser(app, **copied)) == "302"
    assert me(other) == "ann"
    assert state_of(app).sessions.revoke(selector(other), subject="ann") is False, (
        "no engine knows that it lives"
    )
    assert me(other) == "302"
    assert is_out(app, **remember_cookies(other))
    client.post("/in/ann?remember=1")
    client.post("/anew/ann")
    assert me(client) == "ann"
    assert me(begin_anew(client)) == "ann"


# --- Remember-me cookies from before the move --------------------------------------------------------


def test_a_plain_remember_cookie_is_good_and_is_given_an_epoch_at_once(worker: Worker) -> None:
    app = worker()
    client = browser(app, **plain(app))
    assert me(client) == "ann"
    cookies = remember_cookies(client)
    assert cookies[EPOCH]
    assert me(browser(worker(), **cookies)) == "ann"
    assert me(browser(app, **plain(app))) == "ann", "her other browser has one as well"
    state_of(app).sessions.revoke_subject("ann")
    assert me(browser(app, **cookies)) == "302"


def test_a_plain_remember_cookie_does_not_survive_a_log_out_everywhere(worker: Worker) -> None:
    """Also of somebody who has never signed in since the move."""
    here, there = worker(), worker()
    state_of(there).sessions.revoke_subject("ann")
    assert me(browser(here, **plain(here))) == "302"
    remembered(here)
    assert me(browser(there, **plain(there))) == "302"
    assert me(browser(there, **plain(there, "bob"))) == "bob"


def test_a_log_out_everywhere_is_remembered_for_as_long_as_browsers_keep_cookies(worker: Worker) -> None:
    app = worker()
    browser(app).post("/in/ann")
    for name in ("ann", "bob"):  # one who is known here, and one who is not yet
        state_of(app).sessions.revoke_subject(name)
        record = record_of(app, name)
        assert record.expires is not None
        assert record.expires - record.at > LONGEST_COOKIE


def test_plain_remember_cookies_end_when_browsers_must_have_dropped_them(worker: Worker) -> None:
    """Later, what revoked them may be forgotten."""
    here, there = worker(), worker()
    assert me(browser(here, **plain(here))) == "ann"

    async def let_time_pass() -> None:
        await Patch(FIRST, stamp={"@began": -LONGEST_COOKIE})

    run(here, let_time_pass())
    assert me(browser(there, **plain(there))) == "302"
    assert me(browser(there, **remembered(there))) == "ann"


def test_the_way_back_workers_without_moored_read_the_same_cookie(worker: Worker) -> None:
    app = worker()
    cookies = remembered(app)

    def without_moored(app: Flask) -> None:
        assert type(app.session_interface) is SecureCookieSessionInterface

    old = make_app(moored=without_moored)
    assert me(browser(old, **cookies)) == "ann"


def test_a_cookie_of_a_deleted_user_signs_nobody_in(worker: Worker) -> None:
    app = worker()
    assert me(browser(app, **plain(app, "deleted"))) == "302"


# --- Outage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_outage", "status"), [("refuse", 503), ("anonymous", 200)])
@pytest.mark.parametrize("with_epoch", [True, False], ids=["epoch", "plain"])
def test_no_unverified_sign_in_while_the_engine_is_away(
    close: Close, on_outage: str, status: int, with_epoch: bool
) -> None:
    with RedisServer() as server:
        app = close(make_app(MOORED_URL=f"{server.url}?deadline=0.3", MOORED_ON_OUTAGE=on_outage))
        cookies = remembered(app)
        if not with_epoch:
            del cookies[EPOCH]
        server.kill()
        client = browser(app, **cookies)
        answer = client.get("/who")
        assert answer.status_code == status
        assert answer.text == ("nobody" if status == 200 else "away, nobody")
        assert "Retry-After" in answer.headers or on_outage == "anonymous"
        assert [c for c in answer.headers.getlist("Set-Cookie") if c.startswith(TOKEN)] == []
        assert client.get("/open").status_code == 200


# --- Tests of applications -----------------------------------------------------------------------------


def test_sign_in_of_the_test_helpers(app: Flask) -> None:
    client = browser(app)
    sign_in(client, "ann", _user_id="ann", _fresh=True)
    assert me(client) == "ann"
    assert client.get("/secret").status_code == 401, "it was signed in from elsewhere"
    with client.session_transaction() as kept:
        kept["_user_id"] = "bob"
    assert me(client) == "bob"


def test_in_memory_of_the_test_helpers(worker: Worker) -> None:
    app = worker()
    outside = remembered(app)
    with in_memory(app) as state:
        cookies = remembered(app)
        assert me(browser(app, **cookies)) == "ann"
        assert me(browser(app, **outside)) == "302", "another engine has other epochs"
        state.sessions.revoke_subject("ann")
        assert me(browser(app, **cookies)) == "302"
    assert me(browser(app, **outside)) == "ann"


@pytest.mark.parametrize("url", ["memory:", None], ids=["revocable", "not revocable"])
def test_sessions_in_cookies(close: Close, url: str | None) -> None:
    app = close(make_app(MOORED_URL=url, MOORED_SESSION_STORE="signed-cookie"))
    cookies = remembered(app)
    client = browser(app, **cookies)
    assert me(client) == "ann"
    assert bool(cookies[EPOCH]) == (url is not None)
    if url:
        client.post("/password?keep=1")
        assert me(client) == "ann"
        assert me(browser(app, **cookies)) == "302"
        assert me(browser(app, **remember_cookies(client))) == "ann"


def test_moored_is_not_asked_about_an_interface_that_took_its_place(close: Close) -> None:
    """By then the app's login manager carries epochs."""
    app = close(make_app(MOORED_URL="memory:", moored=Moored))
    assert me(browser(app)) == "302"
    app.session_interface = SecureCookieSessionInterface()
    client = browser(app)
    assert client.post("/in/ann?remember").status_code == 200
    assert me(client) == "ann"
    assert client.post("/out").status_code == 200
    assert me(client) == "302"


def test_moored_is_not_asked_about_other_session_interfaces(close: Close) -> None:
    app = close(make_app(MOORED_URL="memory:", moored=Moored))
    app.session_interface = SecureCookieSessionInterface()
    client = browser(app)
    client.post("/in/ann?remember=1")
    assert remember_cookies(client)[EPOCH] == ""
