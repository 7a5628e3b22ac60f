"""Flask-Login: remember-me cookies that end when their user is signed out everywhere.

Flask-Login's cookie says who somebody is and is good for ever.  A second cookie beside it, of the
same attributes, says at which epoch of that user it was given: a keyed check over both.  It is
read where Flask-Login reads its own, and only then, so a request with a living session costs
nothing more.  Flask-Login's cookie itself stays as it is: workers without Moored go on reading it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, after_this_request, current_app, request
from flask.wrappers import Request, Response

from moored.errors import ConfigurationError, MooredError, OutcomeUnknown, Unavailable
from moored.flask.interface import FlaskSession, MooredSessionInterface
from moored.kinds.sessions.record import Session
from moored.kinds.sessions.subjects import Gate, subject_of
from moored.seal import KeyRing
from moored.web.host import SessionHost
from moored.web.remember import accepts_plain, check_for, check_in, extend, proves

if TYPE_CHECKING:
    from flask_login import LoginManager
else:
    LoginManager = object  # it is mixed into the app's own, below

SUFFIX: Final = "_epoch"  # after the name of Flask-Login's cookie
USED = ("_load_user_from_remember_cookie", "_set_cookie", "_clear_cookie")  # of Flask-Login 0.6


# --- The session and its interface --------------------------------------------------------------------


class RememberedSession(FlaskSession):
    """A session that may have been begun by a remember-me cookie."""

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
    """Keeps sessions, and sees to it that Flask-Login's remember-me cookies carry an epoch.

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


class Remembering(LoginManager):  # type: ignore[misc]  # untyped
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
            good = self._is_good(gate, interface)
        except MooredError as error:
            self._update_request_context_with_user()  # nobody, for the page that tells of it
            if isinstance(error, (Unavailable, OutcomeUnknown)) and interface.host.on_outage == "anonymous":
                return None
            raise
        if good:
            return super()._load_user_from_remember_cookie(cookie)
        interface.host.count("remember_cookies_refused")
        session["_remember"] = "clear"
        return None

    def _is_good(self, gate: Gate, interface: RememberingInterface) -> bool:
        if not gate.epoch:  # sessions in cookies, and no engine that would know of a sign-out
            return True
        given = request.cookies.get(_name() + SUFFIX)
        if given is not None:
            return proves(given, gate, interface.ring())
        host = interface.host
        if not host.binding.run(accepts_plain(gate)):
            return False
        host.binding.run(extend(gate, host.settings.absolute))
        check = check_for(gate, interface.ring())

        @after_this_request
        def add_epoch(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction]
            if "_user_id" in _session():
                like = current_app.response_class()
                super(Remembering, self)._set_cookie(like)
                _accompany(response, like, check)
            return response

        return True

    def _set_cookie(self, response: Response) -> None:
        interface = current_app.session_interface
        check = self._check_for(interface) if isinstance(interface, RememberingInterface) else ""
        if check is None:
            return
        super()._set_cookie(response)
        if check:
            _accompany(response, response, check)

    def _check_for(self, interface: RememberingInterface) -> str | None:
        """What accompanies the cookie, "" if nothing does; None: the session has ended meanwhile."""
        session = _session()
        subject, given = subject_of(str(session["_user_id"])), request.cookies.get(_name() + SUFFIX)
        if (
            current_app.config.get("REMEMBER_COOKIE_REFRESH_EACH_REQUEST")
            and (given and check_in(given))
            and session.known_gate is None
            and session.subject == subject
            and not session.modified
        ):
            return given  # as good as it was before, which need not be asked at every request
        gate = session.gate(subject)
        if not gate.epoch:
            return ""
        if session.has_ended(subject):
            return None
        interface.host.binding.run(extend(gate, interface.host.settings.absolute))
        return check_for(gate, interface.ring())

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
