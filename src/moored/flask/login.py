"""Flask-Login: remember-me cookies that end with the session of their browser.

Flask-Login's cookie says who somebody is and is good for ever.  A second cookie beside it, of the
same attributes, says for which browser and at which epoch of that user it was given: a keyed
check.  It is read where Flask-Login reads its own, and only then, so a request with a living
session costs nothing more.  It is sent when the session has been stored, which keeps the name of
the browser.  Flask-Login's cookie itself stays as it is: workers without Moored go on reading it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, current_app, request
from flask.sessions import SessionMixin
from flask.wrappers import Request, Response
from msgspec import Struct
from msgspec.structs import replace

from moored.errors import ConfigurationError, MooredError, OutcomeUnknown, Unavailable
from moored.flask.interface import FlaskSession, MooredSessionInterface
from moored.kinds.sessions.gate import Gate, Password
from moored.kinds.sessions.subjects import subject_of
from moored.seal import KeyRing
from moored.web.draft import Draft
from moored.web.finish import Arrival, Outcome
from moored.web.host import SessionHost
from moored.web.remember import (
    Shown,
    Wanted,
    browser_shown,
    extend,
    forget_shown,
    gate_of,
    has_ended,
    proven,
    shown_in,
    value_after,
)

if TYPE_CHECKING:

    class LoginManager:
        """Flask-Login's, which is untyped: what is called here."""

        def _load_user_from_remember_cookie(self, cookie: str) -> Any: ...
        def _update_request_context_with_user(self, user: object = None) -> None: ...
        def _set_cookie(self, response: Response) -> None: ...
        def _clear_cookie(self, response: Response) -> None: ...

else:
    LoginManager = object  # it is mixed into the app's own, below

SUFFIX: Final = "_epoch"  # after the name of Flask-Login's cookie
USED = ("_load_user_from_remember_cookie", "_set_cookie", "_clear_cookie")  # of Flask-Login 0.6


# --- The session and its interface --------------------------------------------------------------------


class Sending(Struct, frozen=True):
    """Remember-me cookies that are to be sent when the session has been stored.

    ``like`` has Flask-Login's, whose attributes ours has too; ``both`` are sent, or ours only.
    """

    like: Response
    wanted: Wanted
    both: bool = True


class RememberMe:
    """What the session of a request has to do with remember-me cookies."""

    def __init__(
        self,
        host: SessionHost,
        draft: Callable[[], Draft],
        open_draft: Callable[[], Draft],
        is_fresh: Callable[[], bool],
    ) -> None:
        self._host, self._draft, self._open_draft, self._is_fresh = host, draft, open_draft, is_fresh
        self.sending: Sending | None = None
        self._by: Gate | None = None  # of the cookie that signed somebody in
        self._signed_in_by: Gate | None = None
        self.failed: bool = False  # what the session was to store could not be

    @property
    def known_gate(self) -> Gate | None:
        """The gate that was read last in this request."""
        return self._draft().gate

    def gate(self, subject: str) -> Gate:
        """The gate through which the subject signs in in this request: read now, if it was not yet."""
        known = self.known_gate
        if known is not None and known.subject == subject:
            return known
        return self._host.binding.run(gate_of(self._open_draft(), subject))

    def by_cookie(self, gate: Gate, browser: str) -> None:
        """Say that whoever is signed in by this request is so by a cookie of this browser ("": of none)."""
        self._draft().gate = self._by = gate.by_cookie(browser)

    def has_ended(self, subject: str) -> bool:
        """Is the session over by now in which the subject was already signed in when the request came?"""
        return self._host.binding.run(has_ended(self._draft(), subject))

    def through(self, gate: Gate) -> Gate:
        """The gate of a sign-in, which is told what the request has to do with these cookies.

        Where a cookie is all the proof there is, its gate is the one, whatever was read since.
        """
        if self._by is not None and self._by.subject == gate.subject and not self._is_fresh():
            gate = self._by
        if gate.by == Password() and gate.epoch:
            shown = _proven(gate)
            browser = "" if shown is None else shown.browser
            gate = replace(gate, browser=browser, wanted=self.sending is not None)
        self._signed_in_by = gate
        return gate

    def forget_shown(self, subject: str, given: str, ring: Callable[[], KeyRing]) -> None:
        """Let the browser of the cookie that came forget its subject, who signs out."""
        self._host.binding.run(forget_shown(self._open_draft(), subject, given, ring))

    def value(self, ring: KeyRing) -> str | None:
        """What accompanies the cookie that is wanted, now that the session is stored; None: send neither."""
        if self.sending is None or self.failed:
            return None
        return value_after(self._draft(), self.sending.wanted, self._signed_in_by, ring)


class RememberedSession(FlaskSession):
    """A session that may have been begun by a remember-me cookie."""

    def __init__(
        self,
        host: SessionHost,
        cookies: Callable[[], Iterable[str]],
        arrival: Callable[[], Arrival] = Arrival,
        *,
        permanent: bool = False,
    ) -> None:
        me = RememberMe(
            host, lambda: self._draft, lambda: self._open_draft, lambda: self.get("_fresh") is True
        )
        super().__init__(host, cookies, lambda: replace(arrival(), through=me.through), permanent=permanent)
        self._remember_me = me

    def finish(self) -> Outcome:
        """Store what was changed; what the response must do."""
        try:
            return super().finish()
        except BaseException:
            self._remember_me.failed = True
            raise

    def logout(self) -> None:
        """Sign out and remove everything; no request in flight can bring the session back.

        Nor does a remember-me cookie of this browser, also where its session has ended before.
        """
        _forget_shown(self._remember_me)
        super().logout()

    def logout_everywhere(self, *, keep_this: bool = False) -> None:
        """End every session of whoever is signed in, at once; this one too unless ``keep_this``.

        No remember-me cookie of theirs signs in after that, but for the one that a kept browser
        is given in place of its own.
        """
        super().logout_everywhere(keep_this=keep_this)
        stored = self._draft.session
        if keep_this and stored is not None and stored.owner is not None and _remembered() == stored.owner:
            self.signing_in(stored.owner)
            self["_remember"] = "set"  # asks Flask-Login for it


class RememberingInterface(MooredSessionInterface):
    """Keeps sessions, and sees to it that Flask-Login's remember-me cookies end with them.

    ``ring`` is asked for the keys of the application.
    """

    session_class: type[FlaskSession] = RememberedSession

    def __init__(
        self, host: Callable[[], SessionHost], ring: Callable[[], KeyRing], *, permanent: bool = False
    ) -> None:
        super().__init__(host, permanent=permanent)
        self.ring = ring

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """A session that has not been looked at yet."""
        notice(app)
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what was changed and set what the response must carry."""
        super().save_session(app, session, response)
        me = _remember_me(session) if isinstance(session, RememberedSession) else None
        if me is None or me.sending is None:
            return
        value = me.value(self.ring())
        if value is None:
            return
        like = me.sending.like
        if me.sending.both:
            for header in like.headers.getlist("Set-Cookie"):
                response.headers.add("Set-Cookie", header)
        if value:
            _accompany(response, like, value)


# --- Flask-Login's side -------------------------------------------------------------------------------


def notice(app: Flask) -> None:
    """Let the app's login manager, if it has one by now, carry epochs.

    Asked at every request, because a login manager may be given to an app at any time.  Raises
    ConfigurationError for a version of Flask-Login that this was not made for.
    """
    manager: Any = getattr(app, "login_manager", None)
    if manager is None or isinstance(manager, Remembering):
        return
    flask_login = sys.modules.get("flask_login")
    if flask_login is None or not isinstance(manager, flask_login.LoginManager):
        return
    kind = type(manager)
    if missing := [name for name in USED if not hasattr(kind, name)]:
        raise ConfigurationError(
            f"this version of Flask-Login has no {missing[0]}, so its remember-me cookies cannot be revoked."
            " Use flask-login>=0.6.3,<0.7."
        )
    manager.__class__ = type(kind.__name__, (Remembering, kind), {})


class Remembering(LoginManager):
    """What is put before the class of an app's login manager."""

    def _load_user_from_remember_cookie(self, cookie: str) -> Any:
        interface, user_id = current_app.session_interface, _decoded(cookie)
        if not user_id:
            return None
        if not isinstance(interface, RememberingInterface):
            return super()._load_user_from_remember_cookie(cookie)
        if hasattr(request, "sid"):  # an event of Flask-SocketIO's: nobody can sign in there
            return None
        session, me = _session()
        host = interface.host
        try:
            gate = me.gate(subject_of(user_id))
            given = _given()
            browser = host.binding.run(browser_shown(gate, given, interface.ring, host.settings))
        except MooredError as error:
            self._update_request_context_with_user()  # nobody, for the page that tells of it
            if isinstance(error, (Unavailable, OutcomeUnknown)) and host.on_outage == "anonymous":
                return None
            raise
        if browser is None:
            host.count("remember_cookies_refused")
            session["_remember"] = "clear"
            return None
        if gate.epoch:
            me.by_cookie(gate, browser)
        user = super()._load_user_from_remember_cookie(cookie)
        if gate.epoch and not browser and user is not None:
            like = current_app.response_class()
            super()._set_cookie(like)
            me.sending = Sending(like, Wanted(gate), both=False)
        return user

    def _set_cookie(self, response: Response) -> None:
        interface = current_app.session_interface
        if not isinstance(interface, RememberingInterface):
            super()._set_cookie(response)
            return
        if not current_app.config.get("SECRET_KEY"):
            raise ConfigurationError(
                "Flask-Login signs its remember-me cookies with SECRET_KEY, and there is none: set it. The"
                " key that Moored keeps beside its file, and MOORED_SECRET, are for Moored's own cookies."
            )
        (session, me), like = _session(), current_app.response_class()
        super()._set_cookie(like)
        subject, given = subject_of(str(session["_user_id"])), request.cookies.get(_name() + SUFFIX, "")
        if (
            current_app.config.get("REMEMBER_COOKIE_REFRESH_EACH_REQUEST")
            and shown_in(given)
            and me.known_gate is None
            and session.subject == subject
            and not session.modified
        ):
            # As good as it was before, which need not be asked at every request.
            me.sending = Sending(like, Wanted(Gate(subject, b""), given))
            return
        gate = me.gate(subject)
        if gate.epoch:
            if me.has_ended(subject):
                return
            interface.host.binding.run(extend(gate, interface.host.settings))
        me.sending = Sending(like, Wanted(gate))

    def _clear_cookie(self, response: Response) -> None:
        if isinstance(current_app.session_interface, RememberingInterface):
            _forget_shown(_session()[1])
        super()._clear_cookie(response)
        _accompany(response, response, "")


def _forget_shown(me: RememberMe) -> None:
    """Let this browser forget whom the cookie is of that came with the request."""
    interface, given = current_app.session_interface, _given()
    if given is None or not isinstance(interface, RememberingInterface):
        return
    if (subject := _remembered()) is not None:
        me.forget_shown(subject_of(subject), given, interface.ring)


def _accompany(response: Response, like: Response, check: str) -> None:
    """Send ``check`` with the attributes that Flask-Login's cookie, or its deletion, has in ``like``."""
    name = _name()
    for header in reversed(like.headers.getlist("Set-Cookie")):
        if header.startswith(name + "="):
            _, _, attributes = header.partition(";")
            response.headers.add("Set-Cookie", f"{name}{SUFFIX}={check};{attributes}")
            return


def _proven(gate: Gate) -> Shown | None:
    """What the cookie that came with the request proves of the gate's subject."""
    interface, given = current_app.session_interface, _given()
    if not isinstance(interface, RememberingInterface) or given is None or _remembered() != gate.subject:
        return None
    return proven(given, gate, interface.ring())


def _given() -> str | None:
    """What came with Flask-Login's cookie."""
    if not isinstance(getattr(current_app, "login_manager", None), Remembering):
        return None
    return request.cookies.get(_name() + SUFFIX)


def _name() -> str:
    from flask_login import COOKIE_NAME

    name: str = current_app.config.get("REMEMBER_COOKIE_NAME", COOKIE_NAME)
    return name


def _remembered() -> str | None:
    """Whose remember-me cookie came with the request."""
    if not isinstance(getattr(current_app, "login_manager", None), Remembering):
        return None
    cookie = request.cookies.get(_name())
    return _decoded(cookie) if cookie else None


def _decoded(cookie: str) -> str | None:
    """Whose Flask-Login's cookie is; nobody's, where there is no key with which it could have been signed."""
    from flask_login.utils import decode_cookie

    if not current_app.config.get("SECRET_KEY"):
        return None
    user_id: str | None = decode_cookie(cookie)
    return user_id


def _session() -> tuple[RememberedSession, RememberMe]:
    from flask import session

    found = session._get_current_object()  # type: ignore[attr-defined]
    assert isinstance(found, RememberedSession)
    return found, _remember_me(found)


def _remember_me(session: RememberedSession) -> RememberMe:
    return session._remember_me  # pyright: ignore[reportPrivateUsage] - private to applications, not to us
