"""Flask-SocketIO under gunicorn's gevent worker, where greenlets take the place of threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.frameworks.ecosystem.test_flask_socketio import SOON, Socket
from tests.races.server import Gunicorn


@pytest.fixture
def server(shared_url: str, tmp_path: Path) -> Iterator[Gunicorn]:
    app = "tests.frameworks.ecosystem.socketio_app:with_greenlets()"
    options = "--worker-class=gevent", "--graceful-timeout=1"  # it would wait for the clients to hang up
    with Gunicorn(app, tmp_path, {"MOORED_URL": shared_url}, *options, workers=1) as server:
        yield server
        assert "Traceback" not in server.log()


def test_what_sockets_change_at_once_is_merged_and_they_end_with_their_session(server: Gunicorn) -> None:
    browser = server.browser()
    assert browser.post("/in/ann").status == 200
    sockets = [
        Socket(f"http://127.0.0.1:{server.port}", {"Cookie": f"session={browser.cookie}"}, transport, "/")
        for transport in ["polling", "websocket"] * 3
    ]
    with ThreadPoolExecutor(len(sockets)) as pool:
        said = pool.map(lambda socket: socket.call("say", f"{id(socket)}"), sockets)
        assert all([str(id(socket)) in words for socket, words in zip(sockets, said, strict=True)])
    assert sorted(browser.get("/all").json["said"]) == sorted(str(id(socket)) for socket in sockets)
    assert browser.post("/out").status == 200
    for socket in sockets:  # none of which says anything
        assert socket.over.wait(SOON)
