"""``State`` and ``AsyncState``: one line for each kind."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self

from moored.errors import MisuseError
from moored.kinds.counter import Counter
from moored.kinds.sessions import Sessions
from moored.operation import Awaiting, Binding, Blocking, Mode
from moored.policy import Observer
from moored.run import Engine
from moored.url import Url, default_url, parse


class _Kinds(Generic[Mode]):
    """The kinds of state, and what both ways of calling them share."""

    binding: Binding[Mode]  # for those who build on Moored: it runs programs
    url: Url

    def _bind(self, url: str | None, mode: type[Mode], options: dict[str, object]) -> None:
        engine, parsed = parse(url or default_url(), options)
        self._bind_to(engine.from_url(parsed), parsed, mode)

    def _bind_to(self, engine: Engine, url: Url, mode: type[Mode]) -> None:
        self.url = url
        self.binding = Binding(engine, mode, deadline=url.options.get("deadline", 2.0))

    def counter(self, name: str) -> Counter[Mode]:
        """The counter of that name.  Raises MisuseError for a name that is no text."""
        return Counter(self.binding, name)

    @property
    def sessions(self) -> Sessions[Mode]:
        """The sessions of all subjects: list, look at, revoke."""
        return Sessions(self.binding, "")

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` with a ``moored.policy.Sent`` after every step that is sent.

        Raises MisuseError for what cannot be called.
        """
        if not callable(observer):
            raise MisuseError(
                "observe() takes a function, which is called with a moored.policy.Sent after every step, not"
                f" {type(observer).__name__}."
            )
        self.binding.policy.observers.append(observer)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


class State(_Kinds[Blocking]):
    """State for blocking code.

    ``url`` names the engine (default: ``MOORED_URL``, else SQLite in the user's state
    folder); ``options`` are those of the URL, for example ``deadline`` in seconds.  Nothing
    is opened before it is used.  One for each process and URL is enough; it is safe in
    threads and after a fork.  Raises ConfigurationError for what it does not understand.
    """

    _closing: list[Callable[[], object]]

    def __init__(self, url: str | None = None, **options: Any) -> None:
        self._bind(url, Blocking, options)
        self._closing = []

    @classmethod
    def over(cls, engine: Engine, url: Url) -> Self:
        """State on an engine that was made already; ``url`` tells people where it is."""
        state = cls.__new__(cls)
        state._bind_to(engine, url, Blocking)
        state._closing = []
        return state

    def on_close(self, close: Callable[[], object]) -> None:
        """Call ``close`` when this is closed: for what was opened beside it."""
        self._closing.append(close)

    def close(self) -> None:
        """Give back connections and files; what is used again opens again."""
        for close in self._closing:
            close()
        self.binding.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncState(_Kinds[Awaiting]):
    """State for asyncio code: the same names, awaitable."""

    def __init__(self, url: str | None = None, **options: Any) -> None:
        self._bind(url, Awaiting, options)

    async def close(self) -> None:
        """Give back connections and files."""
        await self.binding.engine.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
