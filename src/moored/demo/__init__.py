"""The demo: a small shop under a real server, and a panel that tries to break it.

``moored demo`` serves it; ``moored.demo.app.create_app`` makes the application for another
server.  What it shows is in ``docs/demo.md``.
"""

from __future__ import annotations

from importlib.util import find_spec

from moored.errors import ConfigurationError


def serve(url: str | None = None, port: int = 8000, workers: int = 2) -> int:
    """Serve the shop on 127.0.0.1 until SIGINT or SIGTERM; the exit status, 0 after these.

    State is kept at ``url``, by default in ``moored/demo/shop.db`` in the user's state
    folder.  Where ``port`` is taken, the next free one is used; 0 is any free one.  What is
    served where is printed.  Raises ConfigurationError for what cannot be: an unknown URL,
    no free port, a package not installed, several workers on state that one process keeps;
    Unavailable if the engine cannot be reached.
    """
    missing = [name for name in ("argon2", "flask", "gunicorn") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the demo needs {', '.join(missing)}, not installed here: pip install 'moored[demo]' (in a clone"
            " of the repository: pip install '.[demo]')."
        )
    from moored.demo.server import serve

    return serve(url, port, workers)
