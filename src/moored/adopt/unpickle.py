"""Reading pickles that hold plain data, and nothing else.

A pickle is a program, and Python's ``pickle`` runs it: whoever can write one can run code.
Restricting ``Unpickler.find_class`` does not suffice: with the classes that dates need, one can
still change class attributes (BUILD), make a table of gigabytes (LONG_BINPUT), or start a hash
that does not end in a lifetime.  So this is an interpreter of its own for the instructions that
picklers of Python 3 (protocols 3 to 5, PEP 3154 and PEP 574) write for plain data.  Nothing is
imported or looked up as an attribute; ``pickled_names`` says what names stand for.

Instructions are split by ``pickletools.genops`` of the standard library, which runs nothing.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from moored.adopt.pickled_names import Name, named
from moored.adopt.place import UnreadableRow
from moored.adopt.plain import check

STEPS: Final = 500_000  # instructions of one pickle; each makes one small object at most
HASHED: Final = 2_000  # keys and members of sets that are no text, bytes or numbers, with their parts
_LONGEST_BITS: Final = 14_284  # of numbers with 4,300 digits: Python makes no text of longer ones

_KEY_INTS: Final = range(-(1 << 63), 1 << 64)  # among longer ones, any number can be made to collide
_ATOMS: Final = frozenset({type(None), bool, float, str, bytes})
_HASHABLE: Final = frozenset({Decimal, UUID, datetime, date, time, timedelta})


def unpickle(data: bytes) -> Any:
    """The plain data in a pickle.  Raises UnreadableRow for any other pickle, and for no pickle.

    Time and memory are bounded by the length of ``data``, ``STEPS`` and ``HASHED``, and the
    result as ``plain.check`` says.
    """
    try:
        value = _Machine().run(data)
        check(value)
        return value
    except UnreadableRow:
        raise
    except Exception:  # noqa: S110 - instructions that do not fit together; its text may hold content
        pass
    raise UnreadableRow("it is a damaged pickle.")


class _Machine:
    """Carries the instructions out on a stack, as the comments of ``pickletools`` describe them."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []  # how high the stack was
        self._memo: dict[int, Any] = {}
        self._steps, self._hashed = STEPS, HASHED  # that are left
        self._unfinished: dict[int, UUID] = {}  # by id(): they have no hash yet

    def run(self, data: bytes) -> Any:
        """What is left on the stack at the end."""
        if data[:1] != b"\x80" or data[1:2] not in (b"\x03", b"\x04", b"\x05"):
            raise UnreadableRow("it is no pickle of the protocols 3 to 5.")
        for opcode, argument, at in pickletools.genops(data):
            name = opcode.name
            if name == "STOP":
                if at != len(data) - 1:
                    raise UnreadableRow("it is a pickle with something behind its end.")
                break
            step = _STEPS.get(name)
            if step is None:
                raise UnreadableRow(
                    f"it is a pickle with the instruction {name}, which plain data needs not."
                )
            self._charge(1)
            step(self, argument)
        value = self._pop()
        if self._stack or self._marks or self._unfinished:
            raise ValueError
        return value

    def _charge(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise UnreadableRow(f"it is a pickle that takes more than {STEPS:,} steps.")

    # --- The stack, which is closed below the last mark; and the memo -------------------------------

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def push_int(self, number: int) -> None:
        """Put a number on the stack that may be long."""
        if number.bit_length() > _LONGEST_BITS:
            raise UnreadableRow("it holds a number of more than 4,300 digits.")
        self._stack.append(number)

    def _pop(self) -> Any:
        self._top()
        return self._stack.pop()

    def _top(self) -> Any:
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise ValueError
        return self._stack[-1]

    def last(self, count: int) -> list[Any]:
        """Take the last values off the stack."""
        return [self._pop() for _ in range(count)][::-1]

    def mark(self, _: Any) -> None:
        """Begin a group."""
        self._marks.append(len(self._stack))

    def group(self) -> list[Any]:
        """Take the values since the last mark off the stack."""
        at = self._marks.pop()
        items = self._stack[at:]
        del self._stack[at:]
        return items

    def remember(self, at: int | None) -> None:
        """Keep the last value in the memo; None: in the next place."""
        self._memo[len(self._memo) if at is None else at] = self._top()

    def recall(self, at: int) -> None:
        """Put a value of the memo on the stack."""
        self.push(self._memo[at])

    # --- Containers ---------------------------------------------------------------------------------

    def append(self, items: list[Any]) -> None:
        """Append to the last value, a list."""
        there = self._top()
        if type(there) is not list:
            raise TypeError
        there += items

    def store(self, items: list[Any]) -> None:
        """Store keys and values, in turn, in the last value, a dict."""
        there = self._top()
        if type(there) is not dict:
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._check_hash(key)
            there[key] = value

    def add(self, items: list[Any]) -> None:
        """Add to the last value, a set."""
        there = self._top()
        if type(there) is not set:
            raise TypeError
        there |= self.set_of(items)

    def set_of(self, items: Iterable[Any]) -> set[Any]:
        """A set, its members looked at before they are hashed."""
        made: set[Any] = set()
        for item in items:
            self._charge(1)  # one list may be made a set again and again
            self._check_hash(item)
            made.add(item)
        return made

    def _check_hash(self, value: Any) -> None:
        """Refuse what may take long to hash and compare: it shares, is long, or was made to collide."""
        parts: list[Any] = [value]
        while parts:
            part = parts.pop()
            kind = type(part)
            if kind in _ATOMS or (kind is int and part in _KEY_INTS):
                continue
            within = kind is tuple or kind is frozenset
            if not within and kind not in _HASHABLE:
                raise TypeError
            self._hashed -= 1 + (len(part) if within else 0)
            if self._hashed < 0:
                raise UnreadableRow("it is a pickle whose keys or sets are too intricate.")
            if within:
                parts += part

    # --- What names make ------------------------------------------------------------------------------

    def make(self, _: Any) -> None:
        """Make a value of a name and a tuple of arguments."""
        name, arguments = self.last(2)
        if type(name) is not Name or type(arguments) is not tuple:
            raise TypeError
        self._charge(name.cost)
        made = name.make(self.set_of, *arguments)
        if type(made) is UUID:
            self._unfinished[id(made)] = made
        self.push(made)

    def finish(self, _: Any) -> None:
        """Give the last object its state: only UUIDs are made in two steps."""
        state, made = self._pop(), self._top()
        if self._unfinished.pop(id(made), None) is None or type(state) is not dict:
            raise TypeError
        if type(state["int"]) is not int:
            raise TypeError
        made.__setstate__({"int": UUID(int=state["int"]).int})


Step = Callable[[_Machine, Any], None]


def _constant(value: Any) -> Step:
    return lambda machine, _: machine.push(value)


_STEPS: Final[Mapping[str, Step]] = {
    "PROTO": lambda _machine, _: None,
    "FRAME": lambda _machine, _: None,
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "BINFLOAT"), _Machine.push),
    **dict.fromkeys(("LONG1", "LONG4"), _Machine.push_int),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _Machine.push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _Machine.push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.recall),
    "MARK": _Machine.mark,
    "EMPTY_TUPLE": _constant(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.group())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.last(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.last(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.last(3))),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "APPEND": lambda machine, _: machine.append(machine.last(1)),
    "APPENDS": lambda machine, _: machine.append(machine.group()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "SETITEM": lambda machine, _: machine.store(machine.last(2)),
    "SETITEMS": lambda machine, _: machine.store(machine.group()),
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "ADDITEMS": lambda machine, _: machine.add(machine.group()),
    "FROZENSET": lambda machine, _: machine.push(frozenset(machine.set_of(machine.group()))),
    "GLOBAL": lambda machine, both: machine.push(named(*both.split(" ", 1))),
    "STACK_GLOBAL": lambda machine, _: machine.push(named(*machine.last(2))),
    "REDUCE": _Machine.make,
    "NEWOBJ": _Machine.make,
    "BUILD": _Machine.finish,
}
