"""Who is signed in: by the fields that Flask applications use, and by ``login()`` and ``logout()``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import cast

import flask
import pytest
from flask.sessions import SessionMixin
from flask.testing import FlaskClient
from tests.frameworks.rig import MakeRig, Rig, cookies, session, value

from moored import MisuseError
from moored.flask import FlaskSession


def with_cookie(rig: Rig, cookie: str) -> FlaskClient:
    """Another browser that has come by a cookie."""
    client = rig.browser()
    client.set_cookie("session", cookie)
    return client


def sign_in(rig: Rig, user: object, client: FlaskClient | None = None) -> str:
    """Sign in as most applications do; the cookie."""
    rig.visit(lambda: session().update(user_id=user), client)
    return value(client or rig.client)


def selector(rig: Rig, client: FlaskClient | None = None) -> str:
    found = rig.look(lambda: session().selector, client)
    assert isinstance(found, str)
    return found


def test_setting_user_id_is_a_sign_in(each: Rig) -> None:
    each.visit(lambda: session().update(cart=["book"]))
    before, name = value(each.client), selector(each)
    after = sign_in(each, 42)
    assert after != before
    assert each.look(lambda: (session().subject, session().selector, session().generation)) == ("42", name, 1)
    assert each.data() == {"cart": ["book"], "user_id": 42}
    assert each.data(with_cookie(each, before)) == {}
    assert [info.selector for info in each.mooring.state.sessions.of("42")] == [name]


def test_fixation_a_planted_cookie_is_worth_nothing_after_the_sign_in(each: Rig) -> None:
    attacker = each.browser()
    each.visit(lambda: session().update(cart=["planted"]), attacker)
    planted = value(attacker)
    victim = with_cookie(each, planted)
    sign_in(each, "victim", victim)
    assert value(victim) != planted
    assert each.data(attacker) == {}
    answer = each.visit(lambda: session().update(cart=["more"]), attacker)
    assert cookies(answer) == []
    assert each.data(victim) == {"cart": ["planted"], "user_id": "victim"}


def test_an_id_that_the_client_made_up_is_never_adopted(each: Rig) -> None:
    client = with_cookie(each, "a" * 40)
    each.visit(lambda: session().update(cart=["book"]), client)
    assert value(client) != "a" * 40
    assert each.data(client) == {"cart": ["book"]}


def test_a_first_visit_can_sign_in(each: Rig) -> None:
    sign_in(each, 42)
    assert each.look(lambda: (session().subject, session().generation)) == ("42", 0)
    assert len(each.mooring.state.sessions.of("42")) == 1


def test_the_same_user_again_is_no_sign_in(rig: Rig) -> None:
    cookie = sign_in(rig, 42)
    assert cookies(rig.visit(lambda: session().update(user_id=42))) == []
    assert cookies(rig.visit(lambda: session().update(user_id="42"))) == []
    assert value(rig.client) == cookie


def test_a_change_of_user_is_a_new_session_without_the_first_users_data(each: Rig) -> None:
    sign_in(each, "ann")
    each.visit(lambda: session().update(letters=["private"]))
    first, name = value(each.client), selector(each)
    each.visit(lambda: session().update(user_id="bob", theme="dark"))
    assert value(each.client) != first
    assert selector(each) != name
    assert each.data() == {"user_id": "bob", "theme": "dark"}
    assert each.data(with_cookie(each, first)) == {}
    assert each.mooring.state.sessions.of("ann") == []
    assert len(each.mooring.state.sessions.of("bob")) == 1


def test_removing_user_id_is_a_new_verifier_and_keeps_the_data(each: Rig) -> None:
    sign_in(each, "ann")
    each.visit(lambda: session().update(cart=["book"]))
    before, name = value(each.client), selector(each)
    (sent,) = cookies(each.visit(lambda: session().pop("user_id")))
    assert f"session={value(each.client)};" in sent
    assert value(each.client) != before
    assert each.look(lambda: (session().selector, session().subject)) == (name, None)
    assert each.data() == {"cart": ["book"]}
    assert each.data(with_cookie(each, before)) == {}


def test_the_next_user_does_not_get_what_the_last_one_left(each: Rig) -> None:
    sign_in(each, "ann")
    each.visit(lambda: session().update(cart=["of ann"]))
    each.visit(lambda: session().pop("user_id"))
    name = selector(each)
    sign_in(each, "bob")
    assert each.data() == {"user_id": "bob"}
    assert selector(each) != name


def test_the_same_user_finds_what_they_left(each: Rig) -> None:
    sign_in(each, "ann")
    each.visit(lambda: session().update(cart=["of ann"]))
    each.visit(lambda: session().pop("user_id"))
    sign_in(each, "ann")
    assert each.data() == {"cart": ["of ann"], "user_id": "ann"}


def test_clear_ends_the_session_and_removes_the_cookie(each: Rig) -> None:
    cookie = sign_in(each, "ann")
    (gone,) = cookies(each.visit(lambda: session().clear()))
    assert "session=;" in gone
    assert "Max-Age=0" in gone
    assert each.data(with_cookie(each, cookie)) == {}
    assert each.mooring.state.sessions.of("ann") == []


@pytest.mark.parametrize("before", ["a visitor", "somebody"])
def test_clear_and_sign_in_is_a_new_session(each: Rig, before: str) -> None:
    each.visit(lambda: session().update(cart=["old"]))
    if before == "somebody":
        sign_in(each, "ann")
    old, name = value(each.client), selector(each)

    def anew() -> None:
        flask.session.clear()
        flask.session["user_id"] = "ann"

    each.visit(anew)
    assert selector(each) != name
    assert each.data() == {"user_id": "ann"}
    assert each.data(with_cookie(each, old)) == {}
    assert len(each.mooring.state.sessions.of("ann")) == 1


def test_what_is_written_after_clear_goes_to_a_new_session(each: Rig) -> None:
    old = sign_in(each, "ann")

    def goodbye() -> None:
        flask.session.clear()
        flask.flash("you are signed out")

    each.visit(goodbye)
    assert value(each.client) not in ("", old)
    assert each.look(lambda: (session().subject, flask.get_flashed_messages())) == (
        None,
        ["you are signed out"],
    )


def test_login_and_logout(each: Rig) -> None:
    each.visit(lambda: session().update(cart=["book"]))
    before = value(each.client)

    def view() -> list[object]:
        session().login("ann")
        return [session().subject, "cart" in session()]

    assert each.visit(view).json == ["ann", True]
    assert value(each.client) != before
    assert each.data() == {"cart": ["book"]}
    assert "Max-Age=0" in cookies(each.visit(lambda: session().logout()))[0]
    assert value(each.client) == ""
    assert each.data() == {}


def test_login_as_somebody_else_takes_nothing_along(each: Rig) -> None:
    each.visit(lambda: session().login("ann"))
    each.visit(lambda: session().update(letters=1))
    each.visit(lambda: session().login("bob"))
    assert each.look(lambda: (session().subject, dict(session()))) == ("bob", {})


@pytest.mark.parametrize("subject", [None, "", 1.5, True, ["ann"]])
def test_login_takes_an_id(rig: Rig, subject: object) -> None:
    def view() -> None:
        with pytest.raises(MisuseError, match="a user's id is text, a whole number or a UUID"):
            session().login(subject)  # type: ignore[arg-type]

    assert rig.visit(view).status_code == 200
    assert rig.mooring.state.sessions.selectors() == ([], "")


def test_logout_everywhere(each: Rig) -> None:
    browsers = [each.browser() for _ in range(3)]
    for client in browsers:
        sign_in(each, "ann", client)
    other = each.browser()
    sign_in(each, "bob", other)
    each.visit(lambda: session().logout_everywhere(keep_this=True), browsers[0])
    assert [each.data(client) for client in browsers] == [{"user_id": "ann"}, {}, {}]
    answer = each.visit(lambda: session().logout_everywhere(), browsers[0])
    assert "Max-Age=0" in cookies(answer)[0]
    assert each.data(browsers[0]) == {}
    assert each.data(other) == {"user_id": "bob"}
    assert each.mooring.state.sessions.of("ann") == []


def test_logout_everywhere_also_ends_a_session_whose_user_has_left(each: Rig) -> None:
    here, there = each.browser(), each.browser()
    sign_in(each, "ann", here)
    sign_in(each, "ann", there)
    each.visit(lambda: session().update(cart=["of ann"]), there)
    each.visit(lambda: session().pop("user_id"), there)
    each.visit(lambda: session().logout_everywhere(), here)
    assert each.data(there) == {}


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_written_after_logout_everywhere_is_in_a_new_session(each: Rig, at_once: bool) -> None:
    def leave() -> None:
        session().logout_everywhere()
        if at_once:
            session().append("messages", "until soon")
        else:
            session()["messages"] = ["until soon"]

    sign_in(each, "ann")
    each.visit(leave)
    assert each.data() == {"messages": ["until soon"]}


def test_where_nobody_is_signed_in_logout_everywhere_is_a_logout(each: Rig) -> None:
    here, there = each.browser(), each.browser()
    sign_in(each, "ann", here)
    sign_in(each, "ann", there)
    for browser in (here, there, there):  # that one has an old page, and is asked twice
        assert each.visit(lambda: session().logout_everywhere(), browser).status_code == 200
    each.visit(lambda: session().update(cart=["of a visitor"]), there)
    each.visit(lambda: session().logout_everywhere(keep_this=True), there)
    assert each.data(there) == {"cart": ["of a visitor"]}
    each.visit(lambda: session().logout_everywhere(), there)
    assert each.data(there) == {}


def test_after_a_logout_in_the_same_request_logout_everywhere_still_ends_the_others(each: Rig) -> None:
    def leave() -> None:
        session().logout()
        session().logout_everywhere()

    here, there = each.browser(), each.browser()
    sign_in(each, "ann", here)
    sign_in(each, "ann", there)
    each.visit(leave, here)
    assert each.data(here) == each.data(there) == {}


@pytest.mark.parametrize("by_field", [True, False])
def test_logout_everywhere_does_not_know_who_is_just_signing_in(rig: Rig, by_field: bool) -> None:
    def view() -> None:
        if by_field:
            session()["user_id"] = "ann"
        else:
            session().login("ann")
        with pytest.raises(MisuseError, match="with this very request"):
            session().logout_everywhere(keep_this=True)

    rig.visit(view)


def test_a_password_change_under_way_refuses_the_login(each: Rig) -> None:
    sign_in(each, "ann")

    def slow_login() -> None:
        session().signing_in("ann")
        each.mooring.state.sessions.revoke_subject("ann")  # the old password was right a moment ago
        session().login("ann")

    answer = each.visit(slow_login, each.browser())
    assert (answer.status_code, cookies(answer)) == (409, [])
    assert each.mooring.state.sessions.of("ann") == []


def test_fields_named_in_fresh_on_login_do_not_survive_it(make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_FRESH_ON_LOGIN=["csrf_token", "pin"])
    rig.visit(lambda: session().update(csrf_token="known to an attacker", pin=1, cart=["book"]))
    rig.visit(lambda: session().update(user_id=42, pin=2))
    assert rig.data() == {"cart": ["book"], "user_id": 42, "pin": 2}


def test_identity_fields_can_be_others_or_off(make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_IDENTITY_FIELDS=["member"])
    rig.visit(lambda: session().update(user_id=1))
    assert rig.look(lambda: session().subject) is None
    rig.visit(lambda: session().update(member="ann"))
    assert rig.look(lambda: session().subject) == "ann"
    off = make_rig(MOORED_IDENTITY_FIELDS=[])
    off.visit(lambda: session().update(a=1))
    before = value(off.client)
    off.visit(lambda: session().update(user_id=1))
    assert (value(off.client), off.look(lambda: session().subject)) == (before, None)


def test_a_user_that_is_no_id_is_data(rig: Rig) -> None:
    rig.visit(lambda: session().update(user={"name": "ann"}))
    assert rig.look(lambda: session().subject) is None
    assert rig.data() == {"user": {"name": "ann"}}


def test_the_old_request_of_a_double_login_sends_its_own_session(each: Rig) -> None:
    """A form that is submitted twice: two valid sessions, and never one person's identity in another's."""
    each.visit(lambda: session().update(cart=["book"]))
    first, second = with_cookie(each, value(each.client)), with_cookie(each, value(each.client))
    with first.session_transaction() as early, second.session_transaction() as late:
        early["user_id"] = "ann"
        late["user_id"] = "bob"
    names = {selector(each, first), selector(each, second)}
    assert len(names) == 2
    assert each.data(first) == {"cart": ["book"], "user_id": "ann"}
    assert each.data(second) == {"cart": ["book"], "user_id": "bob"}


CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}


def test_a_sign_in_that_another_site_caused_is_counted_or_refused(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.visit(lambda: session().login("ann"), method="POST", headers=CROSS_SITE)
    assert rig.mooring.counts == {"cross_site_logins": 1}
    assert rig.look(lambda: session().subject) == "ann"
    strict = make_rig(MOORED_LOGIN_CROSS_SITE="refuse")
    answer = strict.visit(lambda: session().login("ann"), method="POST", headers=CROSS_SITE)
    assert (answer.status_code, cookies(answer)) == (409, [])
    strict.visit(lambda: session().login("ann"), method="POST", headers={"Origin": "http://localhost"})
    assert strict.look(lambda: session().subject) == "ann"


def test_several_genuine_cookies_are_none(rig: Rig) -> None:
    mine = sign_in(rig, "ann")
    planted = sign_in(rig, "mallory", rig.browser())

    def found(header: str) -> dict[str, str]:
        client = rig.app.test_client(use_cookies=False)
        answer = rig.visit(lambda: dict(flask.session), client, headers={"Cookie": header})
        assert isinstance(answer.json, dict)
        return answer.json

    assert found(f"session={planted}; session={mine}") == {}
    assert rig.mooring.counts["several_genuine_cookies"] == 1
    assert found(f"session={mine}; session={mine}") == {"user_id": "ann"}
    assert found(f"session=junk; session={mine}") == {"user_id": "ann"}
    assert found(f"session={mine}; session={mine[::-1]}") == {"user_id": "ann"}
    assert rig.mooring.counts["several_genuine_cookies"] == 1


def test_another_user_gets_all_that_the_request_wrote(rig: Rig) -> None:
    rig.visit(lambda: session().update(user_id=1, theme="dark", cart=[1]))
    rig.visit(lambda: session().update(user_id=2, theme="dark"))
    assert rig.data() == {"user_id": 2, "theme": "dark"}


# --- Signing in beside changes that are made at once -------------------------------------------------


def at_once(how: str) -> None:
    """Change something else at once."""
    if how == "take":
        assert session().take("next") == "/account"
    elif how == "add":
        assert session().add("visits") == 2
    elif how == "append":
        assert session().append("log", "b") == ["a", "b"]
    else:
        with session().exclusive():
            session()["note"] = "kept"


HOW = pytest.mark.parametrize("how", ["take", "add", "append", "exclusive"])
BEFORE = {"next": "/account", "visits": 1, "log": ["a"], "cart": ["book"]}
AFTER = {
    "take": {name: value for name, value in BEFORE.items() if name != "next"},
    "add": BEFORE | {"visits": 2},
    "append": BEFORE | {"log": ["a", "b"]},
    "exclusive": BEFORE | {"note": "kept"},
}


@HOW
def test_a_confirmed_sign_in_is_a_new_cookie_whatever_is_changed_at_once(each: Rig, how: str) -> None:
    """Flask-Login's ``confirm_login()`` sets ``_fresh``: a copy from before is not fresh, nor good."""
    each.visit(lambda: session().update(BEFORE, user_id="ann", _fresh=False))
    before = value(each.client)

    def confirm() -> None:
        session()["_fresh"] = True
        at_once(how)

    assert each.visit(confirm).status_code == 200
    assert value(each.client) != before
    assert each.data() == AFTER[how] | {"user_id": "ann", "_fresh": True}
    assert each.data(with_cookie(each, before)) == {}


@HOW
@pytest.mark.parametrize("renewal", ["sign-in", "regenerate"])
def test_what_a_sign_in_wrote_is_never_seen_under_the_planted_cookie(
    each: Rig, how: str, renewal: str
) -> None:
    each.visit(lambda: session().update(BEFORE))
    planted, seen = value(each.client), []

    def sign_in() -> None:
        if renewal == "sign-in":
            session()["user_id"] = "victim"
        else:
            session().regenerate()
        session().update(email="victim@example.org", cart=["secret"])
        at_once(how)
        assert session().append("cart", "more") == ["secret", "more"]  # as this request has it
        with session_of(each, planted) as found:
            seen.append(dict(found))

    assert each.visit(sign_in).status_code == 200
    assert seen == [AFTER[how]]
    who = {"user_id": "victim"} if renewal == "sign-in" else {}
    there = {"email": "victim@example.org", "cart": ["secret", "more"], **who}
    assert each.data() == AFTER[how] | there
    assert each.data(with_cookie(each, planted)) == {}


def session_of(rig: Rig, cookie: str) -> AbstractContextManager[SessionMixin]:
    """The session that a cookie proves just now."""
    return with_cookie(rig, cookie).session_transaction()


def test_one_of_two_sign_ins_takes_what_is_there_once(each: Rig) -> None:
    each.visit(lambda: session().update(voucher="10%"))
    other, taken = with_cookie(each, value(each.client)), []

    def sign_in() -> None:
        session()["user_id"] = "ann"
        with other.session_transaction() as beside:
            beside["user_id"] = "ann"
            taken.append(cast(FlaskSession, beside).take("voucher"))
        taken.append(session().take("voucher"))

    assert each.visit(sign_in).status_code == 200
    assert taken == ["10%", None]


# --- A new cookie without a sign-in --------------------------------------------------------------


def test_another_cookie_on_demand_ends_the_one_from_before(each: Rig) -> None:
    each.visit(lambda: flask.session.update(cart=["book"]))
    before = value(each.client)
    each.visit(lambda: session().regenerate())
    after = value(each.client)
    assert after != before
    assert each.data() == {"cart": ["book"]}
    each.client.set_cookie("session", before)
    assert each.data() == {}


def test_another_cookie_leaves_who_is_signed_in(each: Rig) -> None:
    each.visit(lambda: session().login("ann"))
    before = value(each.client)
    each.visit(lambda: each.app.session_interface.regenerate(session()))  # type: ignore[attr-defined]
    assert value(each.client) != before
    assert each.look(lambda: (session().subject, session().sid)) == (
        "ann",
        each.mooring.state.sessions.of("ann")[0].selector,
    )
    each.client.set_cookie("session", before)
    assert each.look(lambda: session().subject) is None


def test_another_cookie_for_a_new_or_an_ended_session(each: Rig) -> None:
    def begin() -> None:
        flask.session["n"] = 1
        session().regenerate()

    def end() -> None:
        session().regenerate()
        flask.session.clear()

    each.visit(begin)
    assert each.data() == {"n": 1}
    each.visit(lambda: session().login("ann"))
    each.visit(end)
    assert value(each.client) == ""


@pytest.mark.parametrize("leave", ["logout", "clear", "everywhere", "remove"])
def test_a_sign_out_beside_a_new_cookie_ends_the_session_all_the_same(each: Rig, leave: str) -> None:
    each.visit(lambda: session().update(user_id="ann", cart=["book"]))
    tab = with_cookie(each, value(each.client))

    def sign_out() -> None:
        assert session().subject == "ann"
        with tab.session_transaction() as beside:
            cast(FlaskSession, beside).regenerate()
        if leave == "remove":
            del session()["user_id"]
        elif leave == "clear":
            session().clear()
        elif leave == "logout":
            session().logout()
        else:
            session().logout_everywhere()

    assert each.visit(sign_out).status_code == 200
    assert each.data(tab) == {}
    assert each.data() == {}
    assert each.mooring.state.sessions.of("ann") == []


def test_a_late_sign_out_ends_nothing_of_somebody_else(each: Rig) -> None:
    each.visit(lambda: session().update(cart=["book"]))
    tab = with_cookie(each, value(each.client))

    def sign_out() -> None:
        assert session()["cart"] == ["book"]
        with tab.session_transaction() as beside:
            beside["user_id"] = "bob"
        session().logout()

    assert each.visit(sign_out).status_code == 200
    assert each.look(lambda: session().subject, tab) == "bob"
