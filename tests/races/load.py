"""Clients that add items to carts, one after the other, until they are told to stop."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tests.races.clients import Answer, Browser
from tests.waiting import until


class Client:
    """Adds items of its own to one cart and remembers what became of each."""

    def __init__(self, browser: Browser, number: int, stop: threading.Event) -> None:
        self.browser, self._number, self._stop = browser, number, stop
        self.kept: list[str] = []  # acknowledged
        self.refused: list[Answer] = []
        self.broken = 0  # requests that got no answer
        self.slowest = 0.0

    def run(self) -> None:
        n = 0
        while not self._stop.is_set():
            item = f"{self._number}.{n}"
            n += 1
            try:
                answer = self.browser.post(f"/add/{item}")
            except (OSError, http.client.HTTPException):
                self.broken += 1
                continue
            self.slowest = max(self.slowest, answer.seconds)
            if answer.status == 200:
                self.kept.append(item)
            else:
                self.refused.append(answer)


class Load:
    """Such clients, ``each`` of them on each cart of ``owners``, within a ``with`` block."""

    def __init__(self, owners: list[Browser], each: int) -> None:
        self._stop = threading.Event()
        self.owners = owners
        self.clients = [
            Client(owner.twin(), n * each + m, self._stop)
            for n, owner in enumerate(owners)
            for m in range(each)
        ]

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(len(self.clients))
        self._futures: list[Future[None]] = [self._pool.submit(client.run) for client in self.clients]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the clients finish what they are doing."""
        self._stop.set()
        for future in self._futures:
            future.result()
        self._pool.shutdown()

    def progress(self, items: int = 2) -> None:
        """Wait until every client has had so many more items acknowledged."""
        goals = [(client, len(client.kept) + items) for client in self.clients]
        until(lambda: all(len(client.kept) >= goal for client, goal in goals), "progress")

    def refusals(self, number: int) -> None:
        """Wait until so many more requests have been refused."""
        goal = len(self.refused) + number
        until(lambda: len(self.refused) >= goal, "refusals")

    def wait(self, condition: Callable[[Client], object], what: str) -> None:
        """Wait until it holds for one of the clients."""
        until(lambda: any(condition(client) for client in self.clients), what)

    @property
    def refused(self) -> list[Answer]:
        """All answers but successes."""
        return [answer for client in self.clients for answer in client.refused]

    def check(self) -> None:
        """Every item that was acknowledged is in its cart, once; in the order of its client."""
        carts = [_cart(owner) for owner in self.owners]
        counted = Counter(item for cart in carts for item in cart)
        assert [item for client in self.clients for item in client.kept if not counted[item]] == []
        assert [item for item, times in counted.items() if times > 1] == []
        each = len(self.clients) // len(carts)
        for n, cart in enumerate(carts):
            for client in self.clients[n * each : n * each + each]:
                kept = set(client.kept)
                assert [item for item in cart if item in kept] == client.kept


def _cart(owner: Browser) -> list[str]:
    """What is in the cart; a worker process may still be giving the engine a rest."""
    found: list[str] = []

    def read() -> bool:
        answer = owner.get()
        if answer.status == 200:
            found.extend(answer.json["data"]["cart"])
        return answer.status == 200

    until(read, "recovery")
    return found
