"""Accounts: signing up, in and out, the visitor's devices, and how the last session ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from moored.demo.books import identity
from moored.demo.passwords import LONGEST, NAMES_LONGEST, SHORTEST, name_problem, password_problem
from moored.demo.visitor import books, state, visitor
from moored.kinds.sessions import EndedSession

ABSOLUTE = 12 * 3600  # seconds after which every session ends, used or not
KEPT = 3600  # seconds for which a browser remembers which session it had

account: Blueprint = Blueprint("account", __name__)


@account.get("/sign-up")
@account.get("/sign-in", endpoint="sign_in_form")
def sign_up_form() -> str:
    """The form of either."""
    return _form()


@account.post("/sign-up")
def sign_up() -> ResponseReturnValue:
    """Open an account and sign in.  Of several who want one name at once, one gets it."""
    name, password = _name(), request.form.get("password", "")
    problem = name_problem(name) or password_problem(name, password)
    if problem:
        return _form(problem), 400
    visitor().signing_in(identity(name))
    # Sent twice, the second finds the name taken by the first: then it is as good as a sign-in.
    if not books().open_account(name, password) and not books().proves(name, password):
        return _form("That name is taken."), 409
    return _welcome(name)


@account.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Sign in.  The answer, and how long it takes, does not tell whether there is such an account."""
    name = _name()
    if name_problem(name):
        return _form("Tell us your name first."), 400
    visitor().signing_in(identity(name))  # before the proof: signed out everywhere meanwhile, it is refused
    if not books().proves(name, request.form.get("password", "")[:1000]):
        return _form("Name and password do not belong together."), 403
    return _welcome(name)


@account.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this session, with its cart."""
    visitor().logout()
    return redirect(url_for("account.sign_in_form"), 303)


@account.get("/account")
def show() -> str:
    """This session, and all devices and orders of whoever is signed in."""
    session = visitor()
    subject, created = session.subject, session.created
    return render_template(
        "account.html",
        devices=state().sessions.of(subject) if subject is not None else [],
        orders=books().orders_of(subject) if subject is not None else [],
        ends=created + timedelta(seconds=ABSOLUTE) if created is not None else None,
    )


@account.post("/account/end")
def end() -> ResponseReturnValue:
    """End one of the visitor's sessions; ``subject`` makes sure that it is theirs."""
    selector, subject = request.form.get("selector", ""), visitor().subject
    if selector == visitor().selector:
        return sign_out()
    if subject is not None:
        state().sessions.revoke(selector, subject=subject)
    return redirect(url_for("account.show"), 303)


@account.post("/account/end-all")
def end_all() -> ResponseReturnValue:
    """End all of the visitor's sessions, or all the others (``keep``)."""
    if visitor().subject is None:
        return redirect(url_for("account.sign_in_form"), 303)
    visitor().logout_everywhere(keep_this="keep" in request.form)
    return redirect(url_for("account.show" if "keep" in request.form else "account.sign_in_form"), 303)


def last_session() -> EndedSession | None:
    """How the session ended that somebody was last signed in to in this browser.

    Moored knows it for ten minutes.  A session's selector is public, so a plain cookie may
    keep it.
    """
    selector = request.cookies.get(_cookie())
    if not selector or visitor().subject is not None:
        return None
    found = state().sessions.show(selector)
    return found if isinstance(found, EndedSession) else None


def remember_session(response: Response) -> Response:
    """Let the browser keep the selector of the session that somebody is signed in to."""
    session = visitor()
    selector = session.selector if session.touched and session.subject is not None else None
    if selector is not None and request.cookies.get(_cookie()) != selector:
        response.set_cookie(_cookie(), selector, max_age=KEPT, httponly=True, samesite="Lax")
    return response


def _cookie() -> str:
    return f"{current_app.config['SESSION_COOKIE_NAME']}_last"


def _name() -> str:
    return " ".join(request.form.get("name", "").split())


def _welcome(name: str) -> ResponseReturnValue:
    visitor().login(identity(name))
    visitor()["name"] = name
    follows = "checkout.show" if request.form.get("next") == "checkout" else "account.show"
    return redirect(url_for(follows), 303)


def _form(problem: str = "") -> str:
    shown: dict[str, Any] = {"shortest": SHORTEST, "longest": LONGEST, "names_longest": NAMES_LONGEST}
    return render_template(
        "sign_up.html" if request.path == "/sign-up" else "sign_in.html",
        problem=problem,
        typed=request.form.get("name", ""),
        next=request.values.get("next", ""),
        **shown,
    )
