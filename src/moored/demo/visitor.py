"""Flask's ``session`` and Moored's state, as the shop's handlers use them."""

from __future__ import annotations

from typing import cast

from flask import current_app, session

from moored.flask.extension import mooring
from moored.flask.interface import FlaskSession
from moored.state import State


def visitor() -> FlaskSession:
    """Flask's ``session``, typed with Moored's own methods."""
    return cast(FlaskSession, session)


def state() -> State:
    """The state beside the sessions: counters, and everybody's list of devices."""
    return mooring(current_app).state
