"""A Flask application: its cookie's attributes, and whether debug mode is on."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask

from moored.cli.checks import Finding, Severity, adoption, note, ok, warning
from moored.cli.checks.engine import told
from moored.errors import MooredError
from moored.flask.config import read
from moored.flask.extension import mooring
from moored.flask.interface import MooredSessionInterface


def check(app: Flask) -> Iterator[Finding]:
    """Everything about the app's own settings."""
    made = settings(app)
    yield made
    yield keeper(app)
    yield secure(app)
    yield same_site(app)
    yield http_only(app)
    yield debug(app)
    if made.severity is Severity.OK:  # or the app serves nobody
        yield from adoption.check(app)


def settings(app: Flask) -> Finding:
    """Are the settings as they can be, and were they made in time?"""
    try:
        read(app.config)
        mooring(app).used.check(app.config)
    except MooredError as wrong:
        return told("MRD-D008", wrong)
    return ok("MRD-D008", "The settings of the app are as they can be.")


def keeper(app: Flask) -> Finding:
    """Does Moored keep the sessions, or has another extension taken them over?"""
    interface = app.session_interface
    if isinstance(interface, MooredSessionInterface):
        return ok("MRD-D301", "Moored keeps the sessions of the app.")
    name = f"{type(interface).__module__}.{type(interface).__name__}"
    return warning(
        "MRD-D301",
        f"{name} keeps the sessions of the app, not Moored.",
        "Take out the extension that is set up after Moored(app) and replaces the session interface.",
    )


def secure(app: Flask) -> Finding:
    """Is the cookie kept from connections that can be listened to?"""
    if app.config["SESSION_COOKIE_SECURE"]:
        return ok("MRD-D302", "Browsers send the session cookie over HTTPS only.")
    what = "SESSION_COOKIE_SECURE is not set: the cookie is marked Secure only where the app sees HTTPS."
    if app.debug:
        return note("MRD-D302", what, "Set SESSION_COOKIE_SECURE = True where the app is served by HTTPS.")
    return warning(
        "MRD-D302",
        f"{what} Behind a proxy it may not see it.",
        "Set SESSION_COOKIE_SECURE = True, if the app is served by HTTPS.",
    )


def same_site(app: Flask) -> Finding:
    """May other sites use the cookie?"""
    value = app.config["SESSION_COOKIE_SAMESITE"]
    if str(value).lower() == "none" and value is not None:
        return warning(
            "MRD-D303",
            "SESSION_COOKIE_SAMESITE is None: browsers send the cookie with requests that other sites cause.",
            "Set 'Lax', unless the app is meant to run inside other sites; then check CSRF tokens.",
        )
    return ok("MRD-D303", f"The cookie is SameSite={value or 'Lax'}.")


def http_only(app: Flask) -> Finding:
    """May scripts read the cookie?"""
    if app.config["SESSION_COOKIE_HTTPONLY"]:
        return ok("MRD-D304", "Scripts in the page cannot read the cookie.")
    return warning(
        "MRD-D304",
        "Scripts in the page can read the session cookie.",
        "Take SESSION_COOKIE_HTTPONLY = False out.",
    )


def debug(app: Flask) -> Finding:
    """Is debug mode on?"""
    if app.debug:
        return note(
            "MRD-D305",
            "Debug mode is on: whoever sees an error page can run code.",
            "Never where others can reach it.",
        )
    return ok("MRD-D305", "Debug mode is off.")
