"""The extension: ``Moored(app)``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar
from weakref import ref

from flask import Flask, current_app
from flask.wrappers import Response

from moored.errors import MisuseError
from moored.flask.config import OF_FLASK_SESSION, Settings, Snapshot, Source, in_config, read
from moored.flask.interface import MooredSessionInterface, error_response
from moored.flask.login import RememberingInterface
from moored.flask.ring import Ring
from moored.flask.stores import store_maker
from moored.state import State
from moored.url import sqlite_in
from moored.web.environment import without_effect
from moored.web.host import SessionHost, log
from moored.web.problem import TRANSLATED
from moored.web.secret import ACTIVE


class Moored:
    """State for a Flask application; its sessions are kept by Moored from then on.

    ``Moored(app)``, or ``moored = Moored()`` and later ``moored.init_app(app)``, which may be
    called for several apps.  Settings are read from ``app.config`` (``docs/flask.md``):
    ``MOORED_URL`` names the engine, by default ``moored.db`` in the instance folder.  Raises
    ConfigurationError for settings that cannot be.  Those about sessions count as they are when
    the first request comes, which raises ConfigurationError if others have changed by then.
    """

    _also_read: ClassVar[tuple[str, ...]] = ()  # settings of others that are used when the app is set up

    def __init__(self, app: Flask | None = None, url: str | None = None) -> None:
        self._url = url
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give the app its state, and let its sessions be kept there."""
        settings = self._settings(app)
        url, source = self._place(app, settings)
        self._set_up(app, settings, State(url), source)

    def _settings(self, app: Flask) -> Settings:
        """What the app's configuration says."""
        if not isinstance(app, Flask):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            raise MisuseError(
                f"Moored is given a Flask application, not {type(app).__name__}. A URL stands in MOORED_URL."
            )
        if "moored" in app.extensions:
            raise MisuseError(
                f"the app {app.name!r} has Moored already: call Moored(app) or init_app(app) once."
            )
        return read(app.config)

    def _place(self, app: Flask, settings: Settings) -> tuple[str, Source]:
        """The URL of the app's state, and who said it."""
        if self._url:
            return self._url, Source.CODE
        if settings.url:
            return settings.url, Source.APP
        if url := os.environ.get("MOORED_URL"):
            return url, Source.ENVIRONMENT
        return sqlite_in(Path(app.instance_path)), Source.DEFAULT

    def _set_up(
        self, app: Flask, settings: Settings, state: State, source: Source, *, permanent: bool = False
    ) -> None:
        log.info("The state of %s is kept at %s", app.name, state.url)
        _warn_of_variables(app)
        also = self._also_read or (OF_FLASK_SESSION if settings.adopt else ())
        config, used = app.config, Snapshot(app.config, also)
        ring = Ring(config, state.binding)
        # In cookies sessions can be revoked if somebody chose an engine.
        make_store = store_maker(app, state, settings, ring, revocable=source is not Source.DEFAULT)

        def host() -> SessionHost:
            used.check(config)
            settings = read(config)  # what was set since
            return SessionHost(
                state.binding,
                settings.sessions,
                make_store(settings.sessions),
                on_outage=settings.on_outage,
                renews=settings.renews,
                cross_site=settings.cross_site,
            )

        interface = RememberingInterface(host, ring, permanent=permanent)
        interface.check_cookie(app)
        app.session_interface = interface
        app.extensions["moored"] = Mooring(state, source, interface, used)
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
    active = bool(os.environ.get(ACTIVE))
    for found in without_effect(os.environ, "the environment", in_config(app.config), active=active):
        log.warning("%s", found)


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

    def __init__(
        self, state: State, source: Source, interface: MooredSessionInterface, used: Snapshot
    ) -> None:
        self.state = state
        self.source = source  # who said where the state is
        self.interface = interface
        self.used = used

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
