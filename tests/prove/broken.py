"""Sides that are not as they should be; worker processes find them by name."""

from __future__ import annotations

import os
import time
from pathlib import Path

from flask import Flask, Response, request, session

from moored.prove.sides import Place, Side, flask_cookie, flask_session_in_files, moored_on_sqlite

LOG, HOLD = "PROVE_TESTS_LOG", "PROVE_TESTS_HOLD"  # in the environment: names of files


def replacing(app: Flask, place: Place) -> None:
    """Moored, told that the later of two carts replaces the other."""
    app.config["MOORED_MERGE"] = {"cart": "replace"}
    moored_on_sqlite(app, place)


def short_memory(app: Flask, place: Place) -> None:
    """Keeps only the last item of a cart, key of the shop or wish: loses without any overlap."""
    moored_on_sqlite(app, place)

    @app.after_request
    def forget(response: Response) -> Response:
        for name in ("cart", "wishes"):
            if name in session:
                session[name] = session[name][-1:]
        return response


def forgets_all(app: Flask, place: Place) -> None:
    """Drops the list of wishes at the last of them."""
    moored_on_sqlite(app, place)

    @app.after_request
    def forget(response: Response) -> Response:
        if request.path.startswith("/wish/") and request.path.endswith("-7"):
            del session["wishes"]
        return response


def regenerating(app: Flask, place: Place) -> None:
    """Flask-Session as its documentation advises against fixation."""
    flask_session_in_files(app, place)

    @app.after_request
    def regenerate(response: Response) -> Response:
        if request.endpoint == "sign_in":
            app.session_interface.regenerate(session)  # type: ignore[attr-defined]
        return response


def cannot_be_installed(app: Flask, place: Place) -> None:
    raise ImportError("there is no such store")


def knows_nobody(app: Flask, place: Place) -> None:
    """Signs nobody in, so nobody's session can be stolen or live again."""
    flask_cookie(app, place)

    @app.after_request
    def forget(response: Response) -> Response:
        session.pop("user_id", None)
        return response


def fails_at_times(app: Flask, place: Place) -> None:
    """Answers one of the wishes with an error, and does not note it."""
    moored_on_sqlite(app, place)

    @app.before_request
    def fail() -> tuple[str, int] | None:
        return ("not that one", 503) if request.path.endswith("-3") else None


def one_at_a_time(app: Flask, place: Place) -> None:
    """Never has two requests under way, so that nothing can overlap."""
    flask_cookie(app, place)
    lock = Path(place.folder) / "lock"

    @app.before_request
    def enter() -> None:
        while True:
            try:
                lock.touch(exist_ok=False)
            except FileExistsError:
                time.sleep(0.005)
            else:
                return

    @app.teardown_request
    def leave(error: BaseException | None) -> None:
        lock.unlink()


def logged(app: Flask, place: Place) -> None:
    """Writes down which process was asked for what."""
    moored_on_sqlite(app, place)

    @app.before_request
    def write() -> None:
        with Path(os.environ[LOG]).open("a") as log:  # one small write is not torn
            log.write(f"{os.getpid()} {request.path}\n")


def held(app: Flask, place: Place) -> None:
    """Answers nothing while the file is there, and says beside it that somebody asked."""
    flask_cookie(app, place)
    hold = Path(os.environ[HOLD])

    @app.before_request
    def wait() -> None:
        hold.with_suffix(".asked").touch()
        while hold.exists():
            time.sleep(0.005)


def ours(install: object, name: str = "broken") -> Side:
    """A side in the place of Moored's."""
    return Side(name, "Moored", f"in the place of which stands {name}", install, ours=True)  # type: ignore[arg-type]
