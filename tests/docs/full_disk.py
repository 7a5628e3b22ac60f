"""A site on a disk that gets full; prints what happened.

    python -m tests.docs.full_disk FOLDER [--without-reserve]

FOLDER is on a small file system that nobody else needs: all of it is used up.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask, session
from flask.testing import FlaskClient

from moored import State
from moored.flask import Moored

VISITORS = 20
OTHERS = 12 * 1024 * 1024  # bytes of something else on the disk, which can be removed
NOTE = "x" * 20_000


class Logged(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def make_app(url: str) -> Flask:
    app = Flask("shop")
    app.config.update(SECRET_KEY="a secret of this site's own", MOORED_URL=url)
    app.config.update(MOORED_SESSION_MAX_BYTES=100_000_000)
    Moored(app)

    @app.get("/in/<who>")
    def sign_in(who: str) -> str:
        session.update(user_id=who, notes=[])
        return who

    @app.get("/note")
    def note() -> str:
        session["notes"].append(NOTE)
        return "noted"

    @app.get("/")
    def show() -> dict[str, Any]:
        return {"who": session.get("user_id"), "notes": len(session.get("notes", []))}

    @app.get("/out")
    def sign_out() -> str:
        session.clear()
        return "bye"

    return app


def use_up(path: Path) -> None:
    """Fill the file system."""
    with path.open("ab", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


def show(client: FlaskClient, cookie: str = "") -> Any:
    answer = client.get("/", headers={"Cookie": f"session={cookie}"} if cookie else {})
    return answer.json if answer.status_code == 200 else answer.status_code


def main(folder: Path, *, without_reserve: bool) -> dict[str, Any]:
    url = f"sqlite:///{folder}/shop.db"
    app, logged = make_app(url), Logged()
    app.logger.addHandler(logged)
    app.logger.propagate = False
    reserve = folder / "shop.db-reserve"
    clients = [app.test_client() for _ in range(VISITORS)]
    for number, client in enumerate(clients):
        assert client.get(f"/in/user{number}").status_code == 200
    if without_reserve:
        reserve.unlink()
    others = folder / "others"
    others.write_bytes(bytes(OTHERS))
    kept = [0] * VISITORS
    full = False
    while not full:
        for number, client in enumerate(clients):
            answer = client.get("/note")
            full |= answer.status_code != 200
            kept[number] += answer.status_code == 200
    use_up(others)
    logged.messages.clear()
    refused = clients[0].get("/note")
    facts: dict[str, Any] = {
        "refused": [refused.status_code, refused.headers.get("Retry-After")],
        "log": logged.messages[:],
        "acknowledged and stored": [show(client)["notes"] for client in clients] == kept,
    }
    # Others keep trying to save while one after the other signs out.
    signed_out, cookies = [], [client.get_cookie("session") for client in clients]
    for number, client in enumerate(clients):
        signed_out.append(client.get("/out").status_code)
        for other in clients[number + 1 :]:
            assert other.get("/note").status_code == 503
    facts["signed out"] = sorted(set(signed_out))
    browser = make_app(url).test_client(use_cookies=False)  # as another process would look at them
    facts["then served"] = sorted({str(show(browser, cookie.value)) for cookie in cookies if cookie})
    others.unlink()
    again = app.test_client()
    facts["with room"] = [again.get("/in/ann").status_code, again.get("/note").status_code]
    facts["reserve"] = reserve.stat().st_size if reserve.exists() else None
    with State(url) as state:
        facts["of user7"] = len(state.sessions.of("user7"))
    return facts


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), without_reserve="--without-reserve" in sys.argv)))
    os._exit(0)
