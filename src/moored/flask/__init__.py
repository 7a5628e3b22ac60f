"""Moored in Flask: ``Moored(app)``, or ``Session(app)`` in place of Flask-Session's."""

from moored.flask.drop_in import Session
from moored.flask.extension import Moored

__all__ = ["Moored", "Session"]
