"""The extension: ``Moored(app)``."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from weakref import ref

from flask import Flask, current_app
from flask.wrappers import Response

from moored.errors import ConfigurationError, MisuseError
from moored.flask.config import SETTINGS, Taken, read, session_settings
from moored.flask.interface import MooredSessionInterface, error_response
from moored.flask.login import RememberingInterface
from moored.flask.ring import Ring
from moored.kinds.sessions import SessionSettings
from moored.state import State
from moored.url import sqlite_url
from moored.web.client_side import ClientSide
from moored.web.environment import without_effect
from moored.web.host import SessionHost, log
from moored.web.problem import TRANSLATED
from moored.web.secret import ACTIVE
from moored.web.store import ServerSide, SessionStore


class Moored:
    """State for a Flask application; its sessions are kept by Moored from then on.

    ``Moored(app)``, or ``moored = Moored()`` and later ``moored.init_app(app)``, which may be
    called for several apps.  Settings are read from ``app.config`` (``docs/flask.md``):
    ``MOORED_URL`` names the engine, by default ``moored.db`` in the instance folder.  Raises
    ConfigurationError for settings that cannot be; the first request does for those that were
    made too late.
    """

    _read: ClassVar[tuple[str, ...]] = ()  # settings of others that are read when the app is set up

    def __init__(self, app: Flask | None = None, url: str | None = None) -> None:
        self._url = url
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give the app its state, and let its sessions be kept there."""
        self._set_up_at_url(app, read(app))

    def _set_up_at_url(self, app: Flask, found: dict[str, Any], permanent: bool = False) -> None:
        embedded = sqlite_url(Path(app.instance_path) / "moored.db")
        chosen = self._chosen(found)
        self._set_up(app, State(chosen or embedded), found, permanent, chosen is not None)

    def _chosen(self, found: dict[str, Any]) -> str | None:
        """The URL that somebody chose, if anybody did."""
        return self._url or found["MOORED_URL"] or os.environ.get("MOORED_URL")

    def _set_up(
        self, app: Flask, state: State, found: dict[str, Any], permanent: bool = False, chosen: bool = True
    ) -> None:
        if "moored" in app.extensions:
            raise MisuseError(
                f"the app {app.name!r} has Moored already: call Moored(app) or init_app(app) once."
            )
        log.info("The state of %s is kept at %s", app.name, state.url)
        _warn_of_variables(app)
        config, settings = app.config, session_settings(app, found)
        taken = Taken(config, self._read)
        ring = Ring(config, state.binding)
        store = _store(found["MOORED_SESSION_STORE"], settings, ring, revocable=chosen)
        if found["MOORED_ADOPT"]:
            from moored.flask.adoption import adopting

            store = adopting(app, state, store, found)

        def host() -> SessionHost:
            taken.check(config)
            return SessionHost(
                state.binding,
                settings,
                store,
                on_outage=found["MOORED_ON_OUTAGE"],
                renews=config["SESSION_REFRESH_EACH_REQUEST"],
                cross_site=found["MOORED_LOGIN_CROSS_SITE"],
            )

        interface = RememberingInterface(host, ring, permanent=permanent)
        interface.check_cookie(app)
        app.session_interface = interface
        app.extensions["moored"] = Mooring(state, interface, taken)
        handlers = app.error_handler_spec[None][None]
        for kind in TRANSLATED:
            if kind not in handlers:
                app.register_error_handler(kind, error_response)
        _answer_also_after_requests(app)

    @property
    def state(self) -> State:
        """The state of the current app: ``moored.state.counter("visits").add()``."""
        return mooring(current_app._get_current_object()).state  # type: ignore[attr-defined]


def _warn_of_variables(app: Flask) -> None:
    """Variables named MOORED_… that set nothing: somebody believes that they do."""
    made = {name for name, value in app.config.items() if value is not None}
    settings = SETTINGS.keys() - {"MOORED_URL"}
    active = bool(os.environ.get(ACTIVE))
    for found in without_effect(os.environ, "the environment", settings, made, active=active):
        log.warning("%s %s", *found)


def _answer_also_after_requests(app: Flask) -> None:
    """Let the handlers of our errors be asked also where an ``after_request`` function raised one.

    Flask-Login's reads the session.  Flask itself makes a 500 of whatever is raised there.
    """
    held = ref(app)  # an app that holds itself would not be freed when it is let go

    def handle_exception(error: Exception) -> Response:
        app = held()
        assert app is not None
        if isinstance(error, TRANSLATED):
            return app.finalize_request(app.handle_user_exception(error), from_error_handler=True)
        return type(app).handle_exception(app, error)

    app.__dict__["handle_exception"] = handle_exception


class Mooring:
    """What Moored keeps of an app, in ``app.extensions["moored"]``."""

    def __init__(self, state: State, interface: MooredSessionInterface, taken: Taken) -> None:
        self.state = state
        self.interface = interface
        self.taken = taken

    @property
    def counts(self) -> dict[str, int]:
        """What was counted in this process: dropped late changes, merge conflicts, and so on."""
        return self.interface.host.counts()


def mooring(app: Flask) -> Mooring:
    """What Moored keeps of the app.  Raises MisuseError if it has none."""
    found = app.extensions.get("moored")
    if not isinstance(found, Mooring):
        raise MisuseError(f"the app {app.name!r} does not use Moored: call Moored(app) first.")
    return found


def _store(where: str, settings: SessionSettings, ring: Ring, *, revocable: bool) -> SessionStore:
    """Where the sessions are to be; in cookies they can be revoked if somebody chose an engine."""
    if where == "engine":
        return ServerSide(settings, ring)
    sealed = where == "sealed-cookie"
    if sealed and find_spec("cryptography") is None:
        raise ConfigurationError(
            "MOORED_SESSION_STORE = 'sealed-cookie' needs the package cryptography: pip install"
            " 'moored[crypto]'."
        )
    return ClientSide(settings, ring, sealed=sealed, revocable=revocable)
