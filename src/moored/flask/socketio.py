"""Flask-SocketIO: in every handler the session as it is now, and no socket that outlives its session.

``from moored.flask.socketio import SocketIO`` in place of Flask-SocketIO's.  Tested with its async
modes ``threading`` and ``gevent``, by long polling and by WebSocket.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import flask
from flask import Flask
from msgspec import Struct
from socketio.exceptions import ConnectionRefusedError as Refusal

from moored.commands import Read, Together
from moored.errors import ConfigurationError, MooredError
from moored.flask.extension import mooring
from moored.flask.interface import FlaskSession, MooredSessionInterface
from moored.flask.socketio_host import HostOfSockets
from moored.kinds.sessions.record import generation, session_key
from moored.web.host import log

if TYPE_CHECKING:

    class Theirs:
        """Flask-SocketIO's, which is untyped: what is called here, and anything else."""

        def __init__(self, app: Flask | None = None, **options: Any) -> None: ...
        def init_app(self, app: Flask | None, **options: Any) -> None:
            """Serve the app's sockets."""

        def _handle_event(
            self, handler: Callable[..., Any], message: str | None, namespace: str, sid: str, *args: Any
        ) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    from flask_socketio import SocketIO as Theirs

BATCH: Final = 500  # sessions that are asked for in one round trip

# Not public, in Flask-SocketIO 5 and python-socketio 5; what would be without effect were they renamed.
USED: Final = ("_handle_event",)
USED_OF_SERVER: Final = ("_trigger_event", "_handle_event", "not_handled")

Key = tuple[str, str]  # namespace and sid


class Watched(Struct, frozen=True):
    """A socket, and the session that was alive when it connected."""

    app: Flask
    environ: dict[str, Any]  # of the handshake
    selector: str
    generation: int


class SocketIO(Theirs):
    """Flask-SocketIO's, with Moored's sessions.

    - Every event handler sees the session as it is at that moment.  What it changes is saved when
      it returns, merged as a request's changes are; if it raises, nothing is saved.
    - A handler cannot do what needs another cookie: sign in, take the identity away and leave the
      data, or begin a session.  Raises MisuseError, storing nothing.  ``session.logout()`` can be
      done, and disconnects the socket.
    - Sockets of a session that was signed out, revoked, has expired or was signed in to anew are
      disconnected: none of their events is handled after that, and a silent socket is
      disconnected at most ``check_every`` seconds, and one deadline of the engine, later.
    - While the engine is away, connections of browsers with a session are refused and events
      raise Unavailable before they reach a handler; silent sockets stay connected.

    A socket keeps the session that its browser had when it connected: connect anew after a
    sign-in.  One that had none is a visitor's, and is not watched.  All other arguments are
    Flask-SocketIO's.
    """

    def __init__(self, app: Flask | None = None, *, check_every: float = 5.0, **options: Any) -> None:
        if check_every <= 0:
            raise ConfigurationError(f"check_every is a number of seconds above 0, not {check_every!r}.")
        self._check_every = check_every
        self._watched: dict[Key, Watched] = {}
        self._lock = threading.Lock()
        self._checking = False  # there is a background task
        self._interface: tuple[MooredSessionInterface, MooredSessionInterface] | None = None
        super().__init__(app, **options)

    def init_app(self, app: Flask | None, **options: Any) -> None:
        """Serve the app's sockets.

        Raises ConfigurationError for ``manage_session=True``, and for versions of Flask-SocketIO or
        python-socketio that this was not made for.
        """
        _check(Theirs, USED, "Flask-SocketIO")
        if options.get("manage_session") or self.server_options.get("manage_session"):
            raise ConfigurationError(
                "manage_session=True would give every socket a copy of the session, which nobody else sees"
                " and which outlives it. Leave it out."
            )
        super().init_app(app, **{**options, "manage_session": False})
        if app is not None:
            _check(self.server, USED_OF_SERVER, "python-socketio")
            self._trigger, self._receive = self.server._trigger_event, self.server._handle_event
            self.server._trigger_event, self.server._handle_event = self._on_trigger, self._on_event

    # --- Connecting ---------------------------------------------------------------------------------

    def _on_trigger(self, event: str, namespace: str, sid: str, *args: Any) -> Any:
        """What python-socketio does with every event, for those that begin and end a connection."""
        key = namespace, sid
        if event not in ("connect", "disconnect"):
            return self._trigger(event, namespace, sid, *args)
        keep = False
        try:
            if event == "connect":
                self._watch(key, args[0])
            answer = self._trigger(event, namespace, sid, *args)
            keep = event == "connect" and answer is not False
            return answer
        finally:
            if not keep:
                with self._lock:
                    self._watched.pop(key, None)

    def _on_event(self, eio_sid: str, namespace: str | None, number: int | None, data: Any) -> None:
        """What python-socketio does with an event of a client, but for those that only it itself may make.

        It would run the handler of the disconnection, and the socket would be watched no longer.
        """
        if isinstance(data, list) and data[:1] in (["connect"], ["disconnect"]):
            return
        self._receive(eio_sid, namespace, number, data)

    def _watch(self, key: Key, environ: dict[str, Any]) -> None:
        app: Flask = environ["flask.app"]
        session = self._open(app, environ)
        try:
            selector = session.selector
        except MooredError as error:
            log.warning("A socket was not connected: %s", error)
            raise Refusal("Your session cannot be reached right now. Try again in a moment.") from error
        if selector is None:
            return
        with self._lock:
            if not self._checking:
                try:
                    self.start_background_task(self._check_until_none_is_left)
                except RuntimeError as error:  # there are too many threads
                    log.warning("A socket was not connected: %s", error)
                    raise Refusal("The server is too busy right now. Try again in a moment.") from error
                self._checking = True
            self._watched[key] = Watched(app, environ, selector, session.generation)

    def _open(self, app: Flask, environ: dict[str, Any]) -> FlaskSession:
        """The session of the handshake's cookies, as it is now; not looked at yet."""
        main = mooring(app).interface
        if self._interface is None or self._interface[0] is not main:
            interface = MooredSessionInterface(lambda: HostOfSockets(main.host), permanent=main.permanent)
            interface.session_class = main.session_class
            self._interface = main, interface
        return self._interface[1].open_session(app, app.request_class(environ, populate_request=False))

    # --- Events -------------------------------------------------------------------------------------

    def _handle_event(
        self, handler: Callable[..., Any], message: str | None, namespace: str, sid: str, *args: Any
    ) -> Any:
        def with_session(*args: Any) -> Any:
            return self._handle(handler, message, (namespace, sid), args)

        return super()._handle_event(with_session, message, namespace, sid, *args)

    def _handle(
        self, handler: Callable[..., Any], message: str | None, key: Key, args: tuple[Any, ...]
    ) -> Any:
        environ = flask.request.environ
        session = self._open(environ["flask.app"], environ)
        _put_in_context(session)
        watched = self._watched.get(key)
        try:
            is_over = watched is not None and session.selector != watched.selector
        except MooredError:
            if message != "disconnect":
                raise
            is_over = True  # it is, whatever its session is; and nothing can be saved
        if is_over and message == "connect":
            return False
        if is_over and message != "disconnect":
            self._end(key)
            return self.server.not_handled  # so that it is not acknowledged
        answer = handler(*args)
        if is_over:  # the handler of its disconnection has nothing left to change
            return answer
        if session.finish().delete:
            self._end(key)
        return answer

    def _end(self, key: Key) -> None:
        namespace, sid = key
        try:
            self.server.disconnect(sid, namespace=namespace, ignore_queue=True)
        except Exception:  # its own handler of "disconnect" may have raised it
            log.exception("Disconnecting the socket of an ended session failed.")

    # --- Silent sockets -------------------------------------------------------------------------------

    def _check_until_none_is_left(self) -> None:
        failing = False
        while True:
            self.sleep(self._check_every)
            with self._lock:
                watched = dict(self._watched)
                if not watched:
                    self._checking = False
                    return
            try:
                self.end_sockets_of_ended_sessions(watched)
                failing = False
            except Exception as error:  # whatever it is, the next try may succeed
                if not failing:  # said once for each outage
                    log.warning(
                        "Sockets of ended sessions cannot be looked for and stay connected: %s", error
                    )
                failing = True

    def end_sockets_of_ended_sessions(self, watched: Mapping[Key, Watched] | None = None) -> None:
        """Disconnect them, which is otherwise done every ``check_every`` seconds.

        All sessions are asked for in one round trip, or few.  Handlers of the disconnections run in
        the background, so that none holds up the others.  Raises Unavailable, OutcomeUnknown.
        """
        if watched is None:
            with self._lock:
                watched = dict(self._watched)
        for app in {id(one.app): one.app for one in watched.values()}.values():
            sockets = {key: one for key, one in watched.items() if one.app is app}
            alive = mooring(app).state.binding.run(_generations({one.selector for one in sockets.values()}))
            for key, one in sockets.items():
                if alive.get(one.selector) == one.generation:
                    continue
                # Not in the engine: ended, or kept elsewhere.  Its own store knows.
                if self._open(app, one.environ).selector != one.selector:
                    self.start_background_task(self._end, key)


def _check(theirs: object, names: tuple[str, ...], library: str) -> None:
    if missing := [name for name in names if not hasattr(theirs, name)]:
        raise ConfigurationError(
            f"this version of {library} has no {missing[0]}, so sockets would outlive their sessions. Use"
            " flask-socketio>=5.5,<6 and python-socketio>=5.12,<6."
        )


async def _generations(selectors: set[str]) -> dict[str, int]:
    """The generations of those sessions that live in the engine."""
    wanted, found = sorted(selectors), dict[str, int]()
    for first in range(0, len(wanted), BATCH):
        some = wanted[first : first + BATCH]
        records = await Together(*[Read(session_key(selector), ("@generation",)) for selector in some])
        found |= {
            selector: generation(record)
            for selector, record in zip(some, records, strict=True)
            if record is not None and not record.dead
        }
    return found


def _put_in_context(session: FlaskSession) -> None:
    """Let ``flask.session`` be this one, in the way in which Flask-SocketIO does it."""
    from flask.globals import app_ctx, request_ctx

    proxy: Any = app_ctx if hasattr(app_ctx, "session") else request_ctx
    context = proxy._get_current_object()
    setattr(context, "_session" if hasattr(context, "_session") else "session", session)
