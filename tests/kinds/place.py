"""A state on one engine, called in one of both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from moored import AsyncState, State


class Place:
    """``do`` carries out an operation of the state, ``run`` a program of a kind."""

    def __init__(self, url: str, mode: str) -> None:
        self.url = url
        self.runner = asyncio.Runner() if mode == "awaiting" else None
        self.state: Any = State(url) if self.runner is None else AsyncState(url)

    def do(self, act: Callable[[Any], Any]) -> Any:
        """The result of an operation: ``place.do(lambda state: state.counter("n").add())``."""
        if self.runner is None:
            return act(self.state)

        async def call() -> Any:
            return await act(self.state)

        return self.runner.run(call())

    def run(self, program: Any) -> Any:
        """The result of a program."""
        if self.runner is None:
            return self.state.binding.run(program)
        return self.runner.run(self.state.binding.await_(program))

    def close(self) -> None:
        """Give everything back."""
        if self.runner is None:
            self.state.close()
        else:
            self.runner.run(self.state.close())
            self.runner.close()
