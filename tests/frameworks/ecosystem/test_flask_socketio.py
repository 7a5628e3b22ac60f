"""Flask-SocketIO, with a real server and real clients: sessions as they are now, and the guard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import flask_socketio
import pytest
import requests
import socketio
from flask import Flask
from flask.testing import FlaskClient
from socketio.exceptions import ConnectionError as SocketError
from tests.frameworks.ecosystem.socketio_app import Chat
from tests.frameworks.rig import twin
from tests.races.gates import Gates
from tests.waiting import until
from werkzeug.serving import make_server

from moored import ConfigurationError, MisuseError, State, Unavailable
from moored.commands import Drop
from moored.flask import Moored, session
from moored.flask.extension import mooring
from moored.flask.socketio import SocketIO
from moored.flask.testing import in_memory, sign_in
from moored.kinds.sessions.record import session_key
from moored.policy import Sent
from moored.testing.servers import RedisServer

SOON = 10.0  # seconds in which something local happens or never does


class Server:
    """A worker with a chat."""

    def __init__(self, chat: Chat, stack: ExitStack) -> None:
        self.chat, self.app = chat, chat.app
        self._sockets: list[Socket] = []
        server = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.url = f"http://127.0.0.1:{server.port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        stack.callback(self._hang_up)

    @property
    def state(self) -> State:
        return mooring(self.app).state

    def browser(self) -> FlaskClient:
        return self.app.test_client()

    def socket(self, client: FlaskClient, transport: str = "polling", namespace: str = "/") -> Socket:
        """A socket that the browser's page opens."""
        cookie = client.get_cookie("session")
        headers = {"Cookie": f"session={cookie.value}"} if cookie else {}
        socket = Socket(self.url, headers, transport, namespace)
        self._sockets.append(socket)
        return socket

    def _hang_up(self) -> None:
        """End all connections from here: a polling client that says goodbye may wait for the next ping."""
        for socket in self._sockets:
            socket.cut()
        for served in [*self.chat.socketio.server.eio.sockets.values()]:
            served.close(wait=False)
        clients = [socket.client.eio for socket in self._sockets]
        until(lambda: all([client.state == "disconnected" for client in clients]), "the end of the clients")


class Socket:
    """A connected client."""

    def __init__(self, url: str, headers: dict[str, str], transport: str, namespace: str) -> None:
        self.namespace = namespace
        http = requests.Session()
        http.trust_env = False  # pytest writes to the environment while threads of the client read it
        self.client = socketio.Client(reconnection=False, handle_sigint=False, http_session=http)
        self.welcome: list[str | None] = []
        self.over = threading.Event()
        self.client.on("welcome", lambda who=None: self.welcome.append(who), namespace=namespace)
        self.client.on("disconnect", lambda *_: self.over.set(), namespace=namespace)
        self.client.connect(url, headers, transports=[transport], namespaces=[namespace], wait_timeout=10)

    def call(self, event: str, *data: Any) -> Any:
        """The answer of its handler; TimeoutError if it is not acknowledged before the end."""
        answers: list[Any] = []
        answered = threading.Event()

        def acknowledge(*answer: Any) -> None:
            answers.append(answer[0] if answer else None)
            answered.set()

        self.client.emit(event, data or None, self.namespace, acknowledge)
        deadline = time.monotonic() + SOON
        while not answered.wait(0.002):
            if self.over.is_set() or time.monotonic() > deadline:
                raise TimeoutError
        return answers[0]

    def cut(self) -> None:
        """Cut the connection, if it is a WebSocket: of a goodbye two threads would wait for the answer."""
        websocket = self.client.eio.ws
        if websocket is not None and websocket.sock is not None:
            with suppress(OSError):
                websocket.sock.shutdown(SHUT_RDWR)


Start = Callable[..., Server]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack: ExitStack) -> Start:
    """Starts a worker."""

    def make(url: str = "memory:", gates: Gates | None = None, **options: Any) -> Server:
        chat = Chat(gates, MOORED_URL=url, **options)
        stack.callback(mooring(chat.app).state.close)
        return Server(chat, stack)

    return make


# --- The session in handlers -----------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_handler_sees_the_session_as_it_is_now(start: Start, transport: str) -> None:
    server = start()
    client = server.browser()
    client.post("/in/ann")
    socket = server.socket(client, transport)
    until(lambda: socket.welcome, "the welcome")
    assert socket.welcome == ["ann"]
    client.post("/set/colour/red")
    assert socket.call("all") == {"colour": "red"}
    client.post("/set/colour/blue")
    assert socket.call("all") == {"colour": "blue"}


def test_what_a_handler_changes_is_saved(start: Start, shared_url: str) -> None:
    here, there = start(shared_url), start(shared_url)
    client = here.browser()
    client.post("/in/ann")
    one, other = here.socket(client), there.socket(client)
    assert one.call("say", "hello") == ["hello"]
    assert other.call("say", "hi") == ["hello", "hi"]
    assert client.get("/all").json == {"said": ["hello", "hi"]}


def test_what_handlers_and_requests_change_at_once_is_merged(
    start: Start, shared_url: str, tmp_path: Path
) -> None:
    gates = Gates(tmp_path)
    server = start(shared_url, gates)
    client = server.browser()
    client.post("/in/ann")
    client.post("/set/name/ann")
    first, second = server.socket(client), server.socket(client)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(first.call, "say", "slow", "gate")
        gates.wait_for("gate")
        assert second.call("say", "quick") == ["quick"]
        client.post("/set/name/bob")
        gates.open("gate")
        assert slow.result(SOON) == ["slow"]
    assert client.get("/all").json == {"name": "bob", "said": ["quick", "slow"]}


def test_a_handler_that_raises_saves_nothing(start: Start) -> None:
    server = start()
    client = server.browser()
    client.post("/in/ann")
    assert server.socket(client).call("say and fail", "lost") == "ZeroDivisionError"
    assert client.get("/all").json == {}


@pytest.mark.parametrize(
    ("event", "data"), [("in", ("bob",)), ("in by field", ("bob",)), ("forget", ())], ids=str
)
def test_what_needs_another_cookie_is_refused(
    start: Start, shared_url: str, event: str, data: tuple[str, ...]
) -> None:
    server = start(shared_url)
    client = server.browser()
    client.post("/in-by-field/ann")
    before = client.get("/all").json
    socket = server.socket(client)
    assert socket.call(event, *data) == "MisuseError"
    assert "another cookie" in str(server.chat.errors[0])
    assert client.get("/all").json == before
    assert socket.call("nothing") == "done"
    assert server.state.sessions.of("bob") == []


def test_a_socket_cannot_begin_a_session(start: Start) -> None:
    server = start()
    socket = server.socket(server.browser())
    assert socket.call("say", "hello") == "MisuseError"
    assert socket.call("in", "ann") == "MisuseError"
    assert socket.call("all") == {}
    assert server.state.sessions.selectors() == ([], "")


def test_an_event_costs_one_read_and_a_visitors_none(start: Start) -> None:
    server = start()
    client = server.browser()
    client.post("/in/ann")
    socket, visitor = server.socket(client), server.socket(server.browser())
    until(lambda: socket.welcome and visitor.welcome, "the welcome")
    sent: list[Sent] = []
    server.state.observe(sent.append)
    socket.call("all")
    assert [step.commands for step in sent] == [("Read",)]
    visitor.call("nothing")
    assert len(sent) == 1


# --- The guard -----------------------------------------------------------------------------------------

Ending = Callable[[Server, FlaskClient], object]


def _selector(server: Server) -> str:
    return server.state.sessions.of("ann")[0].selector


def _revoke(server: Server, client: FlaskClient) -> object:
    return server.state.sessions.revoke(_selector(server))


def _revoke_subject(server: Server, client: FlaskClient) -> object:
    return server.state.sessions.revoke_subject("ann")


def _sign_out(server: Server, client: FlaskClient) -> object:
    return client.post("/out")


def _sign_in_again(server: Server, client: FlaskClient) -> object:
    return client.post("/in/ann")


def _somebody_else(server: Server, client: FlaskClient) -> object:
    return client.post("/in/bob")


def _expire(server: Server, client: FlaskClient) -> object:
    """Of an expired session nothing is left, whichever engine it was in."""

    async def drop() -> None:
        await Drop(session_key(_selector(server)))

    return server.state.binding.run(drop())


ENDINGS = [_revoke, _revoke_subject, _sign_out, _sign_in_again, _somebody_else, _expire]
each_ending = pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__.strip("_"))


@each_ending
def test_no_event_of_an_ended_session_is_handled(start: Start, shared_url: str, end: Ending) -> None:
    """At once, whatever worker it was ended at; and its sender is not told that it was handled."""
    here, there = start(shared_url), start(shared_url)
    client = here.browser()
    client.post("/in/ann")
    socket = here.socket(client)
    assert socket.call("nothing") == "done"
    end(there, twin(client, there.app))
    with pytest.raises(TimeoutError):
        socket.call("nothing")
    assert socket.over.is_set()
    assert here.chat.handled == ["nothing"]
    until(lambda: here.chat.gone, "the handler of the disconnection")
    assert here.chat.gone == [None]
    assert here.chat.errors == []


@each_ending
def test_a_silent_socket_of_an_ended_session_is_disconnected(
    start: Start, shared_url: str, end: Ending
) -> None:
    here, there = start(shared_url, check_every=0.05), start(shared_url)
    client = here.browser()
    client.post("/in/ann")
    sockets = [here.socket(client), here.socket(client, "websocket"), here.socket(client, namespace="/quiet")]
    other, visitor = here.browser(), here.socket(here.browser())
    other.post("/in/zoe")
    stays = here.socket(other)
    end(there, twin(client, there.app))
    for socket in sockets:
        assert socket.over.wait(SOON)
    assert stays.call("nothing") == "done"
    assert visitor.call("nothing") == "done"


def test_a_sign_out_in_a_handler_disconnects(start: Start, shared_url: str) -> None:
    server = start(shared_url, check_every=0.05)
    client = server.browser()
    client.post("/in/ann")
    socket, twin = server.socket(client), server.socket(client)
    socket.client.emit("out")
    assert socket.over.wait(SOON)
    assert twin.over.wait(SOON)
    assert server.state.sessions.of("ann") == []
    assert server.chat.errors == []


def test_one_round_trip_looks_after_all_sockets(start: Start) -> None:
    server = start()
    clients = [server.browser() for _ in range(4)]
    for number, client in enumerate(clients):
        client.post(f"/in/user-{number}")
        server.socket(client)
        server.socket(client)
    sent: list[Sent] = []
    server.state.observe(sent.append)
    server.chat.socketio.end_sockets_of_ended_sessions()
    assert [step.commands for step in sent] == [("Read",) * 4]


def test_a_visitor_with_an_old_cookie_is_a_visitor(start: Start) -> None:
    server = start(check_every=0.05)
    client = server.browser()
    client.post("/in/ann")
    server.state.sessions.revoke_subject("ann")
    socket = server.socket(client)
    assert socket.call("all") == {}
    server.chat.socketio.end_sockets_of_ended_sessions()
    assert socket.call("nothing") == "done"
    until(lambda: socket.welcome, "the welcome")
    assert socket.welcome == [None]


def test_the_search_ends_with_the_last_socket_and_begins_with_the_next(start: Start) -> None:
    server = start(check_every=0.05)
    guard: Any = server.chat.socketio
    client = server.browser()
    for _ in range(2):
        client.post("/in/ann")
        socket = server.socket(client)
        assert guard._checking
        server.state.sessions.revoke_subject("ann")
        assert socket.over.wait(SOON)
        until(lambda: not guard._checking, "the end of the search")
        assert guard._watched == {}


def test_while_the_engine_is_away(start: Start, stack: ExitStack) -> None:
    """Nothing is handled for a session that cannot be looked at, and nobody is cut off for it."""
    engine = stack.enter_context(RedisServer("--appendonly", "yes", "--appendfsync", "always"))
    server = start(f"{engine.url}?deadline=1", check_every=0.05, MOORED_ON_OUTAGE="anonymous")
    client = server.browser()
    client.post("/in/ann")
    socket, visitor = server.socket(client), server.socket(server.browser())
    engine.kill()
    assert socket.call("nothing") in ("Unavailable", "BreakerOpen")
    assert isinstance(server.chat.errors[0], Unavailable)
    assert server.chat.handled == []
    assert visitor.call("nothing") == "done"
    with pytest.raises(Unavailable):
        server.chat.socketio.end_sockets_of_ended_sessions()
    with pytest.raises(SocketError):
        server.socket(client)
    assert not socket.over.is_set()
    engine.start()
    until(lambda: socket.call("nothing") == "done", "the engine's return")
    server.state.sessions.revoke_subject("ann")
    assert socket.over.wait(SOON)


def test_a_sign_out_that_could_not_be_stored_counts_in_its_process(start: Start, stack: ExitStack) -> None:
    engine = stack.enter_context(RedisServer("--appendonly", "yes", "--appendfsync", "always"))
    server = start(f"{engine.url}?deadline=1", MOORED_ON_OUTAGE="anonymous")
    client = server.browser()
    client.post("/in/ann")
    socket = server.socket(client)
    engine.kill()
    assert client.post("/out").status_code == 503
    engine.start()
    with pytest.raises(TimeoutError):
        until(lambda: socket.call("nothing") == "done", "an event of a session that was signed out")
    assert server.chat.handled == []


# --- Other stores, other orders, tests ---------------------------------------------------------------


def test_sessions_in_cookies_can_be_read_and_not_changed(start: Start) -> None:
    server = start(MOORED_SESSION_STORE="signed-cookie", check_every=0.05)
    client = server.browser()
    client.post("/in/ann")
    client.post("/set/colour/red")
    socket = server.socket(client)
    assert socket.call("all") == {"colour": "red"}
    assert socket.call("say", "hello") == "MisuseError"
    server.chat.socketio.end_sockets_of_ended_sessions()
    assert socket.call("nothing") == "done"
    server.state.sessions.revoke_subject("ann")
    assert socket.over.wait(SOON)


def test_a_managed_session_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="manage_session"):
        SocketIO(Flask(__name__), manage_session=True)
    with pytest.raises(ConfigurationError, match="above 0"):
        SocketIO(check_every=0)


@pytest.mark.parametrize("kind", [flask_socketio.SocketIO, socketio.Server])
def test_versions_that_would_not_ask_for_the_session_are_refused(
    monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    monkeypatch.delattr(kind, "_handle_event")
    with pytest.raises(ConfigurationError, match="has no _handle_event, so sockets would outlive"):
        SocketIO(Flask(__name__), async_mode="threading")


def test_an_application_factory() -> None:
    sockets = SocketIO(manage_session=False, async_mode="threading")

    sockets.on("who")(lambda: session.subject)

    app = Flask(__name__)
    app.secret_key = "the secret of these tests"
    sockets.init_app(app)
    Moored(app, "memory:")
    client = app.test_client()
    sign_in(client, "ann")
    assert sockets.test_client(app, flask_test_client=client).emit("who", callback=True) == "ann"


def test_the_clients_that_flask_socketio_has_for_tests() -> None:
    chat = Chat(MOORED_URL="memory:")
    with in_memory(chat.app) as state:
        client = chat.app.test_client()
        sign_in(client, "ann", colour="red")
        socket = chat.socketio.test_client(chat.app, flask_test_client=client)
        assert socket.emit("all", callback=True) == {"colour": "red"}
        with client.session_transaction() as kept:
            kept["colour"] = "blue"
        assert socket.emit("all", callback=True) == {"colour": "blue"}
        state.sessions.revoke_subject("ann")
        assert socket.emit("all", callback=True) is None, "it was acknowledged"
        assert not socket.is_connected()
    assert chat.handled == ["all", "all"]


def test_an_app_without_moored_says_so() -> None:
    app = Flask(__name__)
    app.secret_key = "the secret of these tests"
    sockets = SocketIO(app, async_mode="threading")
    sockets.on("connect")(lambda: None)
    with pytest.raises(MisuseError, match="does not use Moored"):
        sockets.test_client(app)


# --- Attempts to get past the guard -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["disconnect", "connect"])
def test_a_client_cannot_pretend_that_its_socket_was_closed(start: Start, name: str) -> None:
    """An event of such a name is no connection's begin or end, and nobody stops watching."""
    server = start(check_every=0.05)
    client = server.browser()
    client.post("/in/ann")
    socket = server.socket(client)
    until(lambda: socket.welcome, "the welcome")
    socket.client.emit(name, {"flask.app": "mine"})
    assert socket.call("nothing") == "done"
    assert server.chat.gone == []
    assert socket.welcome == ["ann"]
    server.state.sessions.revoke_subject("ann")
    assert socket.over.wait(SOON)
    until(lambda: server.chat.gone, "the handler of the disconnection")


def test_a_handler_that_does_not_return_keeps_nobody_connected(start: Start, tmp_path: Path) -> None:
    """What one socket does when it is disconnected does not hold up the others, nor those of later."""
    gates = Gates(tmp_path)
    server = start(gates=gates, check_every=0.05)
    stuck: list[str] = []

    def linger(reason: str) -> None:
        stuck.append(reason)
        if len(stuck) == 1:
            gates.pass_through("gate")

    server.chat.socketio.on("disconnect")(linger)
    for name in ("ann", "bob"):
        client = server.browser()
        client.post(f"/in/{name}")
        sockets = [server.socket(client), server.socket(client)]
        server.state.sessions.revoke_subject(name)
        for socket in sockets:
            assert socket.over.wait(SOON)
        until(lambda: stuck, "a handler that does not return")
    until(lambda: len(stuck) == 4, "all handlers")
    gates.open("gate")


def test_a_disconnection_is_handled_also_while_the_engine_is_away(start: Start, stack: ExitStack) -> None:
    """Its handler keeps lists of who is there; only what it would do to the session cannot be done."""
    engine = stack.enter_context(RedisServer())
    server = start(f"{engine.url}?deadline=1")
    ended: list[str] = []
    server.chat.socketio.on("disconnect")(ended.append)
    client = server.browser()
    client.post("/in/ann")
    socket = server.socket(client, "websocket")
    engine.kill()
    socket.cut()
    until(lambda: ended, "the handler of the disconnection")
    until(lambda: not vars(server.chat.socketio)["_watched"], "the end of the watch")


def test_the_search_begins_again_where_a_thread_could_not_be_started(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(check_every=0.05)
    sockets = server.chat.socketio
    client = server.browser()
    client.post("/in/ann")
    with monkeypatch.context() as patch:

        def cannot(task: Any, *args: Any) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(sockets, "start_background_task", cannot)
        with pytest.raises(SocketError):
            server.socket(client)
    socket = server.socket(client)
    server.state.sessions.revoke_subject("ann")
    assert socket.over.wait(SOON)
