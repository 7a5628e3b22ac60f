"""Gunicorn, started from Python instead of from its own command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def run_gunicorn(load: Callable[[], Any], settings: Mapping[str, Any]) -> None:
    """Serve the WSGI application that ``load`` answers until a signal ends it, which raises SystemExit.

    With gunicorn's settings of these names and no others; those that this version of it does not
    have are left out.  Raises ModuleNotFoundError where it is not installed.
    """
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

    class Server(BaseApplication):  # type: ignore[misc]
        """Gunicorn without configuration files and arguments."""

        def load_config(self) -> None:
            for name, value in settings.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Any:
            return load()

    Server().run()
