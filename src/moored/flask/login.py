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
from moored.kinds.sessions.browsers import remembers
from moored.kinds.sessions.gate import Gate
from moored.kinds.sessions.record import Session
from moored.kinds.sessions.subjects import subject_of
from moored.seal import KeyRing
from moored.web.finish import Arrival, Outcome
from moored.web.host import SessionHost
from moored.web.remember import Shown, accepts_plain, extend, proven, shown_in, value_for

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


class Wanted(Struct, frozen=True):
    """Remember-me cookies that are to be sent when the session has been stored.

    ``like`` has Flask-Login's, whose attributes ours has too; ``both`` are sent, or ours only.
    ``value``: what is sent is what has come.
    """

    like: Response
    gate: Gate
    both: bool = True
    value: str = ""


class RememberedSession(FlaskSession):
    """A session that may have been begun by a remember-me cookie."""

    def __init__(
        self,
        host: SessionHost,
        cookies: Callable[[], Iterable[str]],
        arrival: Callable[[], Arrival] = Arrival,
    ) -> None:
        super().__init__(host, cookies, lambda: replace(arrival(), through=self._through))
        self.wanted: Wanted | None = None
        self.signed_in_by: Gate | None = None
        self.failed: bool = False  # what it was to store could not be

    @property
    def browser(self) -> str:
        """The name of the browser that remembers the subject of the stored session, "" if none does."""
        stored = self._draft.session
        return "" if stored is None else stored.browser

    def by_cookie(self, gate: Gate, browser: str) -> None:
        """Say that whoever is signed in by this request is so by a cookie of this browser ("": of none)."""
        self._draft.gate = gate.by_cookie(browser)

    def _through(self, gate: Gate) -> Gate:
        """The gate of a sign-in, which is told what the request has to do with remember-me cookies."""
        if gate.shown is None and gate.epoch:
            shown = _proven(gate)
            browser = "" if shown is None else shown.browser
            gate = replace(gate, browser=browser, wanted=self.wanted is not None)
        self.signed_in_by = gate
        return gate

    def finish(self) -> Outcome:
        """Store what was changed; what the response must do."""
        try:
            return super().finish()
        except BaseException:
            self.failed = True
            raise

    def wanted_value(self, ring: KeyRing) -> str | None:
        """What accompanies the cookie that is wanted, now that the session is stored; None: send neither."""
        wanted = self.wanted
        if wanted is None or self.failed:
            return None
        if wanted.value or not wanted.gate.epoch:
            return wanted.value
        stored, gate = self._draft.session, wanted.gate
        if stored is None or stored.subject != gate.subject:
            return None
        if self.signed_in_by is not None:
            return value_for(self.signed_in_by, stored.browser, ring)
        return value_for(gate, stored.browser if remembers(gate.record, stored.browser) else "", ring)

    @property
    def known_gate(self) -> Gate | None:
        """The gate that was read last in this request."""
        return self._draft.gate

    def gate(self, subject: str) -> Gate:
        """The gate through which the subject signs in in this request: read now, if it was not yet."""
        known = self.known_gate
        if known is None or known.subject != subject:
            self.signing_in(subject)
            known = self.known_gate
        assert known is not None
        return known

    def has_ended(self, subject: str) -> bool:
        """Is the session over by now in which the subject was already signed in when the request came?

        Whoever has read a gate asks after that: an epoch that ended the session may be the gate's,
        and what proves that epoch must not be given to a request that was under way then.
        """
        draft = self._draft
        stored = draft.session
        if stored is None or stored.owner != subject or draft.login is not None:
            return False  # it is a sign-in, which is refused where the gate is not the latest
        return not isinstance(self._carry(self._host.store.look(draft.cookie)), Session)

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

    def __init__(
        self, host: Callable[[], SessionHost], ring: Callable[[], KeyRing], *, permanent: bool = False
    ) -> None:
        super().__init__(host, permanent=permanent)
        self.ring = ring
        self.session_class: type[FlaskSession] = type(
            "Session", (RememberedSession,), {"permanent_by_default": permanent}
        )

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """A session that has not been looked at yet."""
        notice(app)
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what was changed and set what the response must carry."""
        super().save_session(app, session, response)
        if not isinstance(session, RememberedSession) or session.wanted is None:
            return
        value = session.wanted_value(self.ring())
        if value is None:
            return
        like = session.wanted.like
        if session.wanted.both:
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
        from flask_login.utils import decode_cookie

        interface, user_id = current_app.session_interface, decode_cookie(cookie)
        if not isinstance(interface, RememberingInterface) or not user_id:
            return super()._load_user_from_remember_cookie(cookie)
        if hasattr(request, "sid"):  # an event of Flask-SocketIO's: nobody can sign in there
            return None
        session = _session()
        try:
            gate = session.gate(subject_of(user_id))
            browser = self._browser_of(gate, interface)
        except MooredError as error:
            self._update_request_context_with_user()  # nobody, for the page that tells of it
            if isinstance(error, (Unavailable, OutcomeUnknown)) and interface.host.on_outage == "anonymous":
                return None
            raise
        if browser is None:
            interface.host.count("remember_cookies_refused")
            session["_remember"] = "clear"
            return None
        if gate.epoch:
            session.by_cookie(gate, browser)
        user = super()._load_user_from_remember_cookie(cookie)
        if gate.epoch and not browser and user is not None:
            like = current_app.response_class()
            super()._set_cookie(like)
            session.wanted = Wanted(like, gate, both=False)
        return user

    def _browser_of(self, gate: Gate, interface: RememberingInterface) -> str | None:
        """The browser whose cookie has come, "" if it names none; None if it is not good."""
        if not gate.epoch:  # sessions in cookies, and no engine that would know of a sign-out
            return ""
        shown, host = _proven(gate), interface.host
        if shown is None and (_given() is not None or not host.binding.run(accepts_plain(gate))):
            return None
        if shown is not None and shown.browser:
            return shown.browser
        host.binding.run(extend(gate, host.settings))
        return ""

    def _set_cookie(self, response: Response) -> None:
        interface = current_app.session_interface
        if not isinstance(interface, RememberingInterface):
            super()._set_cookie(response)
            return
        session, like = _session(), current_app.response_class()
        super()._set_cookie(like)
        subject, given = subject_of(str(session["_user_id"])), request.cookies.get(_name() + SUFFIX, "")
        if (
            current_app.config.get("REMEMBER_COOKIE_REFRESH_EACH_REQUEST")
            and shown_in(given)
            and session.known_gate is None
            and session.subject == subject
            and not session.modified
        ):
            # As good as it was before, which need not be asked at every request.
            session.wanted = Wanted(like, Gate(subject, b""), value=given)
            return
        gate = session.gate(subject)
        if gate.epoch:
            if session.has_ended(subject):
                return
            interface.host.binding.run(extend(gate, interface.host.settings))
        session.wanted = Wanted(like, gate)

    def _clear_cookie(self, response: Response) -> None:
        super()._clear_cookie(response)
        _accompany(response, response, "")


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
    from flask_login.utils import decode_cookie

    cookie = request.cookies.get(_name())
    user_id: str | None = decode_cookie(cookie) if cookie else None
    return user_id


def _session() -> RememberedSession:
    from flask import session

    found = session._get_current_object()  # type: ignore[attr-defined]
    assert isinstance(found, RememberedSession)
    return found
