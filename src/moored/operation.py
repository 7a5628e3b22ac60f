"""One definition, blocking and awaitable: the descriptor behind every public method.

A kind of state is a class of *handles*.  Its methods are programs marked ``@operation``; a
handle made by ``State`` runs them to their result, one made by ``AsyncState`` returns a
coroutine.  Type checkers see each right, because the handle's type says which it is:
``Counter[Blocking]``, ``Counter[Awaiting]``.  Compose handles rather than subclass them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from types import MethodType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from moored.commands import check_name
from moored.errors import MisuseError, UnsupportedError
from moored.policy import Policy
from moored.run import Engine, Program, Queues, arun, run

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Marks handles whose operations return their result."""


class Awaiting:
    """Marks handles whose operations return a coroutine."""


Mode = TypeVar("Mode", Blocking, Awaiting)


class Binding(Generic[Mode]):
    """An engine with its policy, and the way in which programs are run on it."""

    def __init__(self, engine: Engine, mode: type[Mode], *, deadline: float = 2.0) -> None:
        self.engine = engine
        self.policy: Policy = Policy(engine.time, deadline=deadline, engine_name=engine.name)
        self.queues: Queues = Queues()
        blocking = mode is Blocking
        self.carry: Callable[[Program[Any]], Any] = self._block if blocking else self.await_
        self.policy.carry = self.carry

    def run(self, program: Program[T], deadline: float | None = None) -> T:
        """Drive the program to its result, whatever thread this is."""
        return run(self.policy.around(program, deadline), self.engine, self.queues)

    def await_(self, program: Program[T], deadline: float | None = None) -> Coroutine[Any, Any, T]:
        """A coroutine of the program's result, for the running event loop."""
        return arun(self.policy.around(program, deadline), self.engine, self.queues)

    def _block(self, program: Program[T]) -> T:
        asyncio = sys.modules.get("asyncio")
        if asyncio is not None and asyncio._get_running_loop() is not None:
            program.close()
            raise MisuseError(
                "a blocking call of State on a thread that runs an event loop would stop everything else on"
                " it. Use AsyncState (the same names, awaitable), or call it in a thread."
            )
        return self.run(program)


class Handle(Generic[Mode]):
    """A piece of state by name; cheap, holds no connection, can be kept.

    Raises MisuseError for a name that is no text, UnsupportedError for an engine that lacks a trait.
    """

    needs: ClassVar[frozenset[str]] = frozenset()  # traits of the engine
    __slots__ = ("_name", "binding")

    def __init__(self, binding: Binding[Mode], name: str) -> None:
        check_name(type(self).__name__.lower(), name)
        if self.needs:
            require(type(self).__name__.lower(), self.needs, binding.engine)
        self.binding: Binding[Mode] = binding
        self._name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r} on {self.binding.engine.name}>"


def require(kind: str, needs: frozenset[str], engine: Engine) -> None:
    """Raise UnsupportedError, naming what is missing, if the engine lacks a trait."""
    if missing := needs - engine.traits:
        raise UnsupportedError(
            f"a {kind} needs an engine with {', '.join(sorted(missing))}, which {engine.name} has not."
            " Choose another engine by its URL: sqlite: and redis: serve every kind."
        )


class operation(Generic[P, T]):  # noqa: N801 - used as a decorator
    """A method written once as a program."""

    def __init__(self, program: Callable[Concatenate[Any, P], Program[T]]) -> None:
        update_wrapper(self, program)
        self._program = program

    @property
    def __signature__(self) -> inspect.Signature:
        """The method's own, for ``inspect`` and documentation tools."""
        return inspect.signature(self._program)

    def __call__(self, handle: Handle[Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Carry the program out on a handle, as its binding does."""
        return handle.binding.carry(self._program(handle, *args, **kwargs))

    @overload
    def __get__(self, handle: None, owner: type) -> Self: ...
    @overload
    def __get__(self, handle: Handle[Blocking], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, handle: Handle[Awaiting], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, handle: Any, owner: type) -> Any:
        return self if handle is None else MethodType(self, handle)
