"""A process forks while another thread holds a lock: the child must not wait for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from moored import State
from moored.breaker import Breaker
from moored.kinds.sessions.settings import SessionSettings
from moored.web.host import SessionHost
from moored.web.store import ServerSide


def memory() -> tuple[Any, Callable[[], object]]:
    state = State("memory:")
    return state.binding.engine._lock, state.counter("n").add  # type: ignore[attr-defined]


def breaker() -> tuple[Any, Callable[[], object]]:
    breaker = Breaker()
    return breaker._lock, lambda: breaker.note(5.0, False)


def host() -> tuple[Any, Callable[[], object]]:
    def ring() -> Any:
        raise AssertionError

    host = SessionHost(State("memory:").binding, SessionSettings(), ServerSide(SessionSettings(), ring))
    return host._counting, lambda: host.count("sign-ins")


@pytest.mark.parametrize("make", [memory, breaker, host])
def test_a_lock_that_was_held_is_free_in_the_child(make: Callable[[], tuple[Any, Any]]) -> None:
    lock, use = make()
    holds, go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            holds.set()
            go.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(10)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(5)  # ends a child that hangs
        code = 1
        try:
            use()
            code = 0
        finally:
            os._exit(code)
    go.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    use()
