"""Flask's ``session``, Moored's state and the shop's books, as its handlers use them."""

from __future__ import annotations

from typing import cast

from flask import current_app, session

from moored.demo.books import Books
from moored.demo.goods import known
from moored.flask.extension import mooring
from moored.flask.interface import FlaskSession
from moored.state import State


def visitor() -> FlaskSession:
    """Flask's ``session``, typed with Moored's own methods."""
    return cast(FlaskSession, session)


def cart() -> dict[str, int]:
    """What the visitor has put in the cart, in the order of the shelf."""
    return known(visitor().get("cart", {}))


def state() -> State:
    """The state beside the sessions: counters, and everybody's list of devices."""
    return mooring(current_app).state


def books() -> Books:
    """The accounts and orders of this shop."""
    return cast(Books, current_app.extensions["books"])
