"""Serving the demo: gunicorn, started from Python, with several worker processes."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
from pathlib import Path
from typing import Any

from flask import Flask

from moored.demo.embedded import run_gunicorn
from moored.errors import ConfigurationError
from moored.state import State
from moored.url import Url, parse, sqlite_url

HOST = "127.0.0.1"
PORTS = 20  # tried, from the one that is wanted on
THREADS = 8  # in each worker


def serve(url: str | None, port: int, workers: int) -> int:
    """What ``moored.demo.serve`` promises."""
    from moored.demo.app import create_app, default_folder

    folder = default_folder()
    books = folder / "books.db"
    if url is None:
        url = sqlite_url(folder / "shop.db")
    place = parse(url)[1]
    if place.scheme == "memory" and workers > 1:
        raise ConfigurationError(
            f"memory: is kept in one process, and the demo has {workers}: use one worker, or another URL."
        )
    # A SQLite file has a secret beside it.  Elsewhere: one for this run, known to all workers.
    own = place.scheme != "sqlite" and not os.environ.get("MOORED_SECRET")
    app = create_app(url, secrets.token_urlsafe(32) if own else None, books)
    with State(url) as state:  # raises what visitors would meet if it cannot be reached
        state.counter("moored demo").value()
    listener, taken = _listen(port)
    actual = listener.getsockname()[1]
    # Browsers send a cookie to every port of a host: two demos must not take it from each other.
    app.config["SESSION_COOKIE_NAME"] = f"moored_demo_{actual}"
    logging.getLogger("moored").setLevel(logging.ERROR)  # that a secret was made up is no news here
    return _run(app, listener, workers, _words(actual, place, books, workers, port if taken else None, own))


def _listen(port: int) -> tuple[socket.socket, bool]:
    """A socket on this port or the next free one, and whether it is another."""
    for candidate in [port, *range(port + 1, min(port + PORTS, 65_536))] if port else [0]:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(128)
        except OSError:
            listener.close()
            continue
        return listener, candidate != port
    raise ConfigurationError(f"no port from {port} on is free; name another one.")


def _all_of_it(place: Url, books: Path) -> str:
    """What to remove so that nothing is left of earlier runs."""
    folder = f"the folder {books.parent}"
    beside = place.scheme == "memory" or Path(place.database[1:]) == books.with_name("shop.db")
    return folder if beside else f"{folder} and the state"


def _words(port: int, place: Url, books: Path, workers: int, taken: int | None, own: bool) -> str:
    lines = [
        "",
        f"  Moored's demo shop is open:  http://{HOST}:{port}",
        "",
        f"  State    {place}",
        f"  Books    {books} (accounts and orders)",
        f"  Server   gunicorn, {workers} worker{'s' if workers > 1 else ''}, {THREADS} threads each",
        *([f"  Port     {taken} is taken, so this is the next free one"] if taken else []),
        f"  Kept     for the next run; to begin anew, remove {_all_of_it(place, books)}",
        *(["  Secret   made for this run: sessions end with it"] if own else []),
        "  Stop     Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _leave_signals_to_the_server(worker: Any) -> None:
    """Ctrl-C, and its closing, reach all processes of a terminal: let workers wait until the server asks.

    Gunicorn's threaded worker shuts its pool down inside of its handler of SIGINT and SIGQUIT, under
    a lock that a second signal, or the request that it interrupts, may hold: then it hangs.  Its
    handler of SIGTERM only sets a mark.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, worker.handle_exit)


def _run(app: Flask, listener: socket.socket, workers: int, words: str) -> int:
    stays = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # as with nohup

    def ready(_server: Any) -> None:
        """It listens, and signals end it cleanly; a closed terminal too, at which gunicorn would reload."""
        signal.signal(
            signal.SIGHUP, signal.SIG_IGN if stays else lambda *_: os.kill(os.getpid(), signal.SIGTERM)
        )
        print(words, flush=True)

    wanted: dict[str, Any] = {
        "bind": f"fd://{listener.detach()}",
        "workers": workers,
        "worker_class": "gthread",
        "threads": THREADS,
        "keepalive": 0,  # each request goes to whichever worker is free, not to that of its connection
        "loglevel": "error",
        "post_worker_init": _leave_signals_to_the_server,
        "graceful_timeout": 3,
        "control_socket_disable": True,
        "when_ready": ready,
    }

    try:
        run_gunicorn(lambda: app, wanted)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0
