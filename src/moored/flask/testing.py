"""For the tests of Flask applications that use Moored.

::

    with in_memory(app):  # nothing is kept, and nothing of other tests is there
        client = app.test_client()
        sign_in(client, user.id, cart=["book"])
        assert client.get("/account").status_code == 200
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient

from moored.flask.extension import Moored, mooring
from moored.flask.interface import FlaskSession
from moored.state import State


def sign_in(client: FlaskClient, subject: str | int | UUID, **data: Any) -> None:
    """Give the client a session that ``subject`` is signed in to, with ``data`` in it.

    Where the application looks at a field to see who that is, give it as well:
    ``sign_in(client, 42, user_id=42)``.  Raises MisuseError for an app without Moored.
    """
    mooring(client.application)
    with client.session_transaction() as opened:
        session = cast(FlaskSession, opened)
        session.update(data)
        session.login(subject)


@contextmanager
def in_memory(app: Flask) -> Generator[State]:
    """Keep the app's state in memory, empty at first, until the block ends; as a fixture or around a test.

    Raises MisuseError for an app without Moored.
    """
    before = mooring(app)
    del app.extensions["moored"]
    Moored(app, "memory:")
    found = mooring(app)
    found.interface.permanent = before.interface.permanent
    try:
        yield found.state
    finally:
        app.session_interface, app.extensions["moored"] = before.interface, before
        found.state.close()
