"""The server: gunicorn with the shop, its sessions kept as one side says.

``python -m moored.prove.worker`` reads its ``Task`` as JSON from stdin.
"""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from typing import Any

import msgspec
from flask import Flask
from msgspec import Struct

import moored
from moored.demo.embedded import run_gunicorn
from moored.prove.sides import Install, Place

WORKERS = 4
THREADS = 4  # in each


class Task(Struct, frozen=True):
    """What a server is to do: ``listener`` is a file descriptor it has inherited, ``gate`` a port.

    ``program`` is the file of the Moored that is to be run.
    """

    install: str
    place: Place
    listener: int
    gate: int
    secret: str
    program: str


def make(task: Task) -> Flask:
    """The shop, as every worker process makes it for itself."""
    from moored.prove.shop import app

    if moored.__file__ != task.program:
        raise ImportError(f"the server finds another Moored, {moored.__file__}, than {task.program}")
    module, _, name = task.install.partition(":")
    install: Install = getattr(import_module(module), name)
    app.config.update(SECRET_KEY=task.secret, GATE=task.gate)
    install(app, task.place)
    with socket.create_connection(("127.0.0.1", task.gate)) as gate:
        gate.sendall(b"started\n")
        gate.recv(32)
    return app


def serve(task: Task) -> None:
    """Serve it, in so many processes, until a signal ends them."""
    wanted: dict[str, Any] = {
        "bind": f"fd://{task.listener}",
        "workers": WORKERS,
        "worker_class": "gthread",
        "threads": THREADS,
        "keepalive": 0,  # each request goes to whichever process is free
        "graceful_timeout": 1,  # seconds in which to end: it has nothing under way then
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    run_gunicorn(lambda: make(task), wanted)


if __name__ == "__main__":
    serve(msgspec.json.decode(sys.stdin.buffer.read(), type=Task))
