"""Stock that cannot be oversold: one counter for each product, of the pieces that are sold.

Such a counter needs no first value, since counters start at 0, and its upper bound is what
was delivered.  There is no step over several counters, so an order of several products takes
one after the other and gives back what it took if one falls short.
"""

from __future__ import annotations

from contextlib import suppress

from moored.demo.goods import GOODS
from moored.demo.visitor import state
from moored.errors import MooredError, OutcomeUnknown, OutOfBounds
from moored.kinds.counter import Counter
from moored.operation import Blocking


class SoldOut(Exception):
    """There is less than was asked for; ``left`` says of which products, and how much there is."""

    def __init__(self, left: dict[str, int]) -> None:
        super().__init__(", ".join(left))
        self.left = left


def _sold(name: str) -> Counter[Blocking]:
    return state().counter(f"sold:{name}")


def left(name: str) -> int:
    """The pieces of a product on the shelf."""
    return max(0, GOODS[name].stock - _sold(name).value())


def take(lines: dict[str, int]) -> None:
    """Take all of these from the shelf, or nothing.

    Raises SoldOut.  Raises Unavailable or OutcomeUnknown, too, after giving back what is
    known to be taken: at worst a piece stays unsold, never is one sold twice.
    """
    taken: dict[str, int] = {}
    for name, quantity in lines.items():
        try:
            _sold(name).add(quantity, max=GOODS[name].stock)
        except OutOfBounds:
            give_back(taken)
            raise SoldOut({n: there for n, wanted in lines.items() if (there := left(n)) < wanted}) from None
        except MooredError as error:
            if isinstance(error, OutcomeUnknown) and error.resolve() == "done":
                taken[name] = quantity
            give_back(taken)
            raise
        taken[name] = quantity


def give_back(lines: dict[str, int]) -> None:
    """Put pieces back on the shelf."""
    for name, quantity in lines.items():
        with suppress(OutOfBounds):  # a delivery came meanwhile, and the shelf is full
            _sold(name).add(-quantity, min=0)


def restock(name: str) -> None:
    """Fill the shelf of a product."""
    while sold := _sold(name).value():
        with suppress(OutOfBounds):  # somebody else did
            _sold(name).add(-sold, min=0)
