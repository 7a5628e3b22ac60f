"""Flask's session interface: opens a session that loads on first touch, saves it, sends its cookie."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from flask import Flask
from flask.sessions import SessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask.wrappers import Request, Response
from werkzeug.exceptions import HTTPException, default_exceptions

from moored.errors import MooredError
from moored.kinds.sessions.record import Proof
from moored.kinds.sessions.subjects import Origin
from moored.web.cookies import check_attributes
from moored.web.cross_site import is_cross_site
from moored.web.finish import Arrival, Outcome
from moored.web.host import SessionHost
from moored.web.problem import TRANSLATED, problem
from moored.web.session import WebSession

# The beginnings of headers that are about a site rather than a page (OWASP's Secure Headers Project).
OF_THE_SITE = (
    "access-control-",
    "content-security-policy",
    "cross-origin-",
    "permissions-policy",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
)


class FlaskSession(WebSession, SessionMixin):
    """The session of a request in Flask."""

    def __init__(
        self,
        host: SessionHost,
        cookies: Callable[[], Iterable[str]],
        arrival: Callable[[], Arrival] = Arrival,
        *,
        permanent: bool = False,
    ) -> None:
        super().__init__(host, cookies, arrival)
        self._permanent = permanent  # where nobody has said so of this session

    @property
    def permanent(self) -> bool:
        """Does the cookie outlive the browser?  Kept in the field ``_permanent``."""
        return bool(self.get("_permanent", self._permanent))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if bool(value) != self.permanent:
            self._draft.resend = True
        self["_permanent"] = bool(value)

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Is there no stored session that this browser could prove?"""
        return self.is_new

    @property
    def sid(self) -> str | None:
        """What Flask-Session calls it: the ``selector``, which, unlike there, proves nothing."""
        return self.selector

    def login(self, subject: str | int | UUID, *, remember: bool | None = None) -> None:
        """Sign somebody in; done when the request ends, together with its other changes.

        The browser gets a new cookie and the one from before is worthless.  ``remember``
        makes the cookie outlive the browser, or not; None leaves it as it is.
        """
        super().login(subject)
        if remember is not None:
            self.permanent = remember


class MooredSessionInterface(SessionInterface):
    """Keeps sessions in an engine of Moored's.  ``host`` is asked for at the first request.

    ``permanent``: cookies outlive the browser where nobody has said so of a session.
    """

    session_class: type[FlaskSession] = FlaskSession

    def __init__(self, host: Callable[[], SessionHost], *, permanent: bool = False) -> None:
        # It holds no app: that would be a cycle, and an app would not be freed when it is let go.
        self._make_host = host
        self._host: SessionHost | None = None
        self.permanent = permanent

    @property
    def host(self) -> SessionHost:
        """What all requests of the app share."""
        if self._host is None:
            self._host = self._make_host()
        return self._host

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """A session that has not been looked at yet."""
        if self._host is None:
            self.check_cookie(app)  # settings may have been made since the start
        name = self.get_cookie_name(app)

        def cookies() -> Iterable[str]:
            return request.cookies.getlist(name)

        def arrival() -> Arrival:
            headers = request.headers
            fetch_site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
            return Arrival(
                Origin(headers.get("User-Agent", ""), request.remote_addr or ""),
                is_cross_site(request.method, fetch_site, origin, request.host),
            )

        return self.session_class(self.host, cookies, arrival, permanent=self.permanent)

    def regenerate(self, session: FlaskSession) -> None:
        """As Flask-Session has it: give the session of this request another cookie."""
        session.regenerate()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what was changed and set what the response must carry."""
        if not isinstance(session, FlaskSession):
            return
        if session.touched:
            _vary(response)
        try:
            outcome = session.finish()
            self._send(app, session, response, outcome)
        except TRANSLATED as error:
            _fail(app, response, error)
            self._send(app, session, response, session.finish())  # a session that cannot be read is forgotten

    def _send(self, app: Flask, session: FlaskSession, response: Response, outcome: Outcome) -> None:
        if outcome.send is not None:
            self._set(app, session, response, outcome.send)
        elif outcome.delete:
            response.delete_cookie(self.get_cookie_name(app), **self._attributes(app))

    def _set(self, app: Flask, session: FlaskSession, response: Response, proof: Proof) -> None:
        lifetime = self.host.settings.lifetime // 1000
        response.set_cookie(
            self.get_cookie_name(app),
            self.host.store.cookie(proof),
            max_age=lifetime if session.permanent else None,
            **self._attributes(app),
        )

    def get_cookie_secure(self, app: Flask) -> bool:
        """As ``SESSION_COOKIE_SECURE`` says; and where the cookie's name makes browsers insist on it."""
        named = self.get_cookie_name(app).startswith(("__Host-", "__Secure-"))
        return named or super().get_cookie_secure(app)

    def _attributes(self, app: Flask) -> dict[str, Any]:
        """The cookie's attributes: the app's settings, and what is best where they say nothing."""
        from flask import request

        return {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app) or request.is_secure,
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app) or "Lax",
            "partitioned": self.get_cookie_partitioned(app),
        }

    def check_cookie(self, app: Flask) -> None:
        """Raise ConfigurationError for attributes that browsers reject."""
        check_attributes(
            self.get_cookie_name(app),
            domain=self.get_cookie_domain(app),
            path=self.get_cookie_path(app),
            secure=self.get_cookie_secure(app),
            samesite=self.get_cookie_samesite(app),
            partitioned=self.get_cookie_partitioned(app),
        )


def _vary(response: Response) -> None:
    """Say that the response depends on the cookie."""
    if any([name.lower() == "vary" for name, _ in response.headers]):
        response.vary.add("Cookie")
    else:  # nearly always, and five times as fast
        response.headers.add("Vary", "Cookie")


def _fail(app: Flask, response: Response, error: MooredError) -> None:
    """Make the response that of the error: nothing of the page that could not be saved is sent.

    What tells the browser how to treat the whole site stays: a script could not read the error without
    it, and the page of the error is to be guarded as all others are.
    """
    made = app.make_response(app.handle_user_exception(error))
    site = [(name, value) for name, value in response.headers.items() if name.lower().startswith(OF_THE_SITE)]
    response.headers.clear()
    response.headers.extend(site)
    if (close := getattr(response.response, "close", None)) is not None:  # a file that would have been sent
        close()
    response.status = made.status
    response.headers.update(made.headers)
    response.response = made.response
    response.headers["Content-Length"] = str(made.calculate_content_length() or 0)
    response.vary.add("Cookie")


def error_response(error: MooredError) -> ResponseReturnValue:
    """The answer to an error for whose class the application has no handler.

    Its handlers for what the error is more generally, and for the status, are asked first.
    """
    from flask import current_app, request

    handlers = current_app.error_handler_spec[None][None]
    for kind in type(error).__mro__:
        handler = handlers.get(kind)
        if handler not in (None, error_response) and issubclass(kind, MooredError):
            answer: ResponseReturnValue = current_app.ensure_sync(handler)(error)
            return answer
    made = problem(error, request.headers.get("Accept", ""))
    level = logging.ERROR if made.status >= 500 else logging.WARNING
    what = _one_line(f"{request.method} {request.path}")
    current_app.logger.log(level, "%s was not served: %s", what, _one_line(str(error)))
    as_http = default_exceptions[made.status]()
    as_http.__cause__ = error
    own = current_app.handle_http_exception(as_http)
    if isinstance(own, HTTPException):  # there is none
        response = current_app.response_class(made.body, made.status)
        response.headers.update(made.headers)
        return response
    response = current_app.make_response(own)
    if response.status_code == made.status:
        for name, value in made.headers.items():
            response.headers.setdefault(name, value)
    return response


def _one_line(text: str) -> str:
    """The text for a log: a path, or a name in an error, may be made up to look like further entries."""
    return "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in text])
