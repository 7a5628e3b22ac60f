"""Moored in Flask: ``Moored(app)``, or ``Session(app)`` in place of Flask-Session's."""

from typing import cast

try:
    import flask
except ModuleNotFoundError as _error:
    if _error.name != "flask":
        raise
    raise ModuleNotFoundError(
        "moored.flask needs Flask, which is not installed: pip install 'moored[flask]'.", name="flask"
    ) from None

from moored.flask.drop_in import Session
from moored.flask.extension import Moored
from moored.flask.interface import FlaskSession

__all__ = ["FlaskSession", "Moored", "Session", "session"]

session: FlaskSession = cast(FlaskSession, flask.session)
"""The same object as ``flask.session``, typed with what Moored's can do beside being a mapping."""
