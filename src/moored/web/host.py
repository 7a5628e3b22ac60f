"""What all requests of one application share."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import Counter
from typing import Any, ClassVar

from moored.kinds.sessions.settings import SessionSettings
from moored.operation import Binding
from moored.web.store import SessionStore

log: logging.Logger = logging.getLogger("moored")

REFUSED_FOR = 600.0  # seconds for which a process refuses a session whose sign-out it could not store
REFUSED_MOST = 10_000  # of them it keeps in mind


class SessionHost:
    """An application's sessions: where they are kept, by which rules, and what was counted.

    ``on_outage``: "refuse" (requests that touch their session fail) or "anonymous" (they
    are served without one).  ``renews``: using a session extends it.  ``cross_site``:
    "allow", "warn" or "refuse" a sign-in that another site caused.
    """

    _all: ClassVar[weakref.WeakSet[SessionHost]] = weakref.WeakSet()

    def __init__(
        self,
        binding: Binding[Any],
        settings: SessionSettings,
        store: SessionStore,
        *,
        on_outage: str = "refuse",
        renews: bool = True,
        cross_site: str = "warn",
    ) -> None:
        self.binding = binding
        self.settings = settings
        self.store = store
        self.on_outage = on_outage
        self.renews = renews
        self.cross_site = cross_site
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._refused: dict[str, float] = {}
        self._all.add(self)

    @classmethod
    def after_fork(cls) -> None:
        """Make new locks in a child process: nobody there lets go of what other threads held."""
        for host in cls._all:
            host._counting = threading.Lock()

    def count(self, what: str, times: int = 1) -> None:
        """Count something that an operator should hear of."""
        with self._counting:
            self._counts[what] += times

    def counts(self) -> dict[str, int]:
        """What was counted since the process began, by name."""
        with self._counting:
            return dict(self._counts)

    def refuse(self, selector: str) -> None:
        """Serve this session no more from this process, though the engine may still hold it."""
        now = time.monotonic()
        if len(self._refused) >= REFUSED_MOST:
            self._refused = {name: until for name, until in self._refused.items() if until > now}
        self._refused[selector] = now + REFUSED_FOR

    def refuses(self, selector: str) -> bool:
        """Was a sign-out of this session tried here that could not be stored?"""
        return bool(self._refused) and self._refused.get(selector, 0.0) > time.monotonic()


os.register_at_fork(after_in_child=SessionHost.after_fork)
