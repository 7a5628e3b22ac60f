"""Moored in Flask: ``Moored(app)``, or ``Session(app)`` in place of Flask-Session's."""

from typing import cast

import flask

from moored.flask.drop_in import Session
from moored.flask.extension import Moored
from moored.flask.interface import FlaskSession

__all__ = ["FlaskSession", "Moored", "Session", "session"]

session = cast("FlaskSession", flask.session)
"""The same object as ``flask.session``, typed with what Moored's can do beside being a mapping."""
