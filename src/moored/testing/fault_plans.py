"""What can happen to a request that passes a ``FaultProxy``, and plans of what happens to which."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from moored.errors import MisuseError
from moored.testing.link import Request

Way = Literal["request", "reply", "both"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request: made by the functions below, counted under ``kind``."""

    kind: Literal["cut_before", "cut_after", "late", "delay", "stall", "truncate", "rate"]
    amount: float = 0.0
    way: Way = "request"


Planner = Callable[[int, bytes], Fault | None]
"""Decides about a request, given its number (from 1) and its bytes; called in the proxy's thread."""


def cut_before() -> Fault:
    """The request never reaches the server, and the connection is closed."""
    return Fault("cut_before")


def cut_after() -> Fault:
    """The server executes the request and answers in full; then the connection is closed, the answer lost."""
    return Fault("cut_after")


def late(requests: int | None = None) -> Fault:
    """The client's connection is closed at once, but the server gets the request later.

    That is when so many further requests (those that the plan concerns, of any client) have
    been answered by the server, and before the client sees the last of these answers; with
    None, or earlier, when ``FaultProxy.deliver`` is called.
    """
    if requests is not None and requests < 1:
        raise MisuseError("late(requests) counts further requests: give 1 or more, or None.")
    return Fault("late", math.inf if requests is None else requests)


def delay(seconds: float, way: Way = "request") -> Fault:
    """The request or its answer is held for some seconds; with "both", each of them."""
    return Fault("delay", seconds, way)


def stall(way: Way = "both") -> Fault:
    """The connection hangs in that direction, from this request on, until ``FaultProxy.resume``.

    A request that was held reaches the server then, even if the client has long given up.
    With "reply" the fault counts as fired once the server has executed the request.
    """
    return Fault("stall", 0.0, way)


def truncate(size: int) -> Fault:
    """The server executes the request; the client gets ``size`` bytes of the answer, and the end."""
    return Fault("truncate", size)


def rate(bytes_per_second: float) -> Fault:
    """Request and answer pass at no more than this rate."""
    if not bytes_per_second > 0:
        raise MisuseError("rate(bytes_per_second) must be above 0; stall() lets nothing pass.")
    return Fault("rate", bytes_per_second)


def nth(n: int, fault: Fault) -> Planner:
    """That fault for the n-th request, counted from 1, and for no other."""
    if n < 1:
        raise MisuseError("nth(n, fault) counts from 1.")
    return lambda number, request: fault if number == n else None


def every(n: int, *faults: Fault) -> Planner:
    """A fault for each n-th request; of several faults, each in its turn."""
    if n < 1 or not faults:
        raise MisuseError("every(n, fault, ...) needs an n of 1 or more, and a fault.")
    return lambda number, request: None if number % n else faults[(number // n - 1) % len(faults)]


def chance(rng: Random, odds: Mapping[Fault, float]) -> Planner:
    """Each fault with its probability; nobody else may use ``rng`` while the plan is in force."""
    weights = [*odds.values()]
    if min(weights, default=-1.0) < 0 or sum(weights) > 1 + 1e-9:
        raise MisuseError("chance(rng, odds) needs probabilities from 0 that add up to at most 1.")
    choices = [*odds, None]
    weights.append(max(0.0, 1 - sum(weights)))
    return lambda number, request: rng.choices(choices, weights)[0]


class Plan:
    """A planner, the commands that it concerns, and how many requests it was asked about."""

    def __init__(self, planner: Planner | None = None, only: tuple[bytes, ...] = ()) -> None:
        self.planner = planner
        self.only: frozenset[bytes] = frozenset(name.upper() for name in only)
        self.asked: int = 0

    def concerns(self, request: Request) -> bool:
        """Is the planner to be asked about it?"""
        return not self.only or not self.only.isdisjoint(request.names)

    def choose(self, request: Request) -> Fault | None:
        """What the planner decides; None lets the request pass."""
        self.asked += 1
        return self.planner(self.asked, request.data) if self.planner else None
