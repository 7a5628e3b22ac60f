"""Where the sessions of an app are kept: checked when it is set up, made when its first request comes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from flask import Flask

from moored.errors import ConfigurationError
from moored.flask.config import Settings
from moored.kinds.sessions.settings import SessionSettings
from moored.seal import KeyRing
from moored.state import State
from moored.web.client_side import ClientSide
from moored.web.store import ServerSide, SessionStore


def store_maker(
    app: Flask, state: State, settings: Settings, ring: Callable[[], KeyRing], *, revocable: bool
) -> Callable[[SessionSettings], SessionStore]:
    """What makes the store that the settings name, by rules for sessions that may be set later.

    ``revocable``: sessions in cookies can be revoked.  Raises ConfigurationError for a store
    that cannot be.
    """
    if settings.adopt:
        from moored.flask.adoption import adopting_store_maker

        return adopting_store_maker(app, state, settings, ring)
    if settings.session_store == "engine":
        return lambda sessions: ServerSide(sessions, ring)
    sealed = settings.session_store == "sealed-cookie"
    if sealed and find_spec("cryptography") is None:
        raise ConfigurationError(
            "MOORED_SESSION_STORE = 'sealed-cookie' needs the package cryptography: pip install"
            " 'moored[crypto]'."
        )
    return lambda sessions: ClientSide(sessions, ring, sealed=sealed, revocable=revocable)
