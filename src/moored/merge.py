"""Three-way merge of values: what both sides did, wherever that can be told.

``merge(base, mine, theirs)``: both sides started from ``base``, ``theirs`` is committed
already, ``mine`` is the later commit.  What is promised: every append to a list (a change
that only adds at the end) and every change of a different key is in the result.

==================  ==================================================================
mappings            by key, recursively
sets                by added and removed members
lists               if a side is the base plus a tail, or the base without some members,
                    that is done to what the other side made of it
everything else     the later commit wins; tuples are such values too
removal             of a container removes the members it had: what the other side added
                    stays; of anything else, the later commit wins
==================  ==================================================================

- Tails are kept in commit order; an item that both appended is there twice.  If both made
  the list, both contents are there, theirs first.
- Members are removed from lists as from a multiset: of two equal members of which each
  side removed one, none is left, and where only one was, both removed that one.
- A merged mapping has the keys in the order of theirs and then what is new in mine; in that
  of mine first, if theirs has the keys of the base in their order.
- Values are the same only if their types are: 1, True and 1.0 differ.  NaN is itself.
  Mappings are the same in any order.
- Containers of more than ``MEMBERS`` members, and those below ``DEPTH`` keys, are merged
  as values.

``Rules`` declare something else for a path (``merge_rules.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from enum import Enum
from operator import eq
from typing import Any, Final

from moored.errors import ConflictError
from moored.merge_compare import PLAIN, identities, identity, same
from moored.merge_rules import NO_RULES, Path, Rules

__all__ = ["MISSING", "NO_RULES", "Missing", "Rules", "merge"]

MEMBERS: Final = 1_000
DEPTH: Final = 32


class Missing(Enum):
    """The type of ``MISSING``."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""Stands for a field or member that is not there; as a result: remove it."""


def merge(
    base: Any,
    mine: Any,
    theirs: Any,
    rules: Rules = NO_RULES,
    path: Path = (),
    conflicts: list[str] | None = None,
) -> Any:
    """The value that holds what both sides did, or ``MISSING`` if it is to be removed.

    ``path`` is where the value lies, for ``rules`` and for messages: the field's name first.
    The dotted path of every value where one side's change was given up is added to
    ``conflicts``.  The arguments are not changed and share no container with the result,
    which is made of plain dicts, lists and sets.

    Raises ConflictError where both changed what is declared ``refuse``.
    """
    merging = _Merging(rules, [] if conflicts is None else conflicts)
    return _copy(merging.value(base, mine, theirs, path))


class _Merging:
    """One merge under way."""

    def __init__(self, rules: Rules, conflicts: list[str]) -> None:
        self.rules = rules
        self.conflicts = conflicts

    def value(self, base: Any, mine: Any, theirs: Any, path: Path) -> Any:
        rule = self.rules.of(path)
        shape = _shape(base, mine, theirs)
        if len(path) > DEPTH or any(_members(side) > MEMBERS for side in (base, mine, theirs)):
            shape = None
        if shape is dict and rule in (None, "unique"):
            # Not compared as a whole: its members are, so each is compared only once.
            return self.container(shape, base, mine, theirs, path)
        if same(mine, base):
            return theirs
        if same(theirs, base):
            return mine
        match rule:
            case "sum":
                return self.sum(base, mine, theirs, path)
            case "max" | "min":
                return self.extreme(rule, mine, theirs, path)
            case "refuse" if _is_container(mine) or not same(mine, theirs):
                raise ConflictError(
                    f"{'.'.join(path) or 'the value'} was changed by somebody else meanwhile, and is "
                    "declared 'refuse': read it again and repeat the change."
                )
            case "refuse" | "replace":
                return mine
        if shape is None:
            return self.later(mine, theirs, path)
        return self.container(shape, base, mine, theirs, path)

    def later(self, mine: Any, theirs: Any, path: Path) -> Any:
        if not same(mine, theirs):
            self.conflicts.append(".".join(path))
        return mine

    def container(self, shape: type[Any], base: Any, mine: Any, theirs: Any, path: Path) -> Any:
        # A side that is not there has removed the members that the base had, and no others.
        removed = not all(isinstance(side, shape) for side in (mine, theirs))
        was, here, there = (side if isinstance(side, shape) else shape() for side in (base, mine, theirs))
        rule = self.rules.of(path)
        union = rule == "union" and not removed
        merged: Any
        if shape is dict:
            merged = self.mapping(was, here, there, path, union)
        elif shape is list:
            merged = there + here if union else self.sequence(was, here, there, path)
            if rule in ("union", "unique"):
                merged = _each_once(merged)
        else:
            merged = shape(_set_members(was, here, there, union))
        return MISSING if removed and not merged else merged

    def mapping(
        self, base: dict[Any, Any], mine: dict[Any, Any], theirs: dict[Any, Any], path: Path, union: bool
    ) -> dict[Any, Any]:
        merged = {}
        # If theirs left the order alone, keys that mine moved stay where they were moved to.
        order = [*mine, *theirs] if list(theirs) == list(base) else [*theirs, *mine]
        for key in dict.fromkeys(order):
            here, there = mine.get(key, MISSING), theirs.get(key, MISSING)
            if union and (here is MISSING or there is MISSING):
                value = there if here is MISSING else here
            else:
                value = self.value(base.get(key, MISSING), here, there, (*path, str(key)))
            if value is not MISSING:
                merged[key] = value
        return merged

    def sequence(self, base: list[Any], mine: list[Any], theirs: list[Any], path: Path) -> list[Any]:
        size = len(base)
        if _begins(mine, base):
            return theirs + mine[size:]
        if _begins(theirs, base):
            return mine + theirs[size:]
        for side, other in ((mine, theirs), (theirs, mine)):
            lacking = _lacking(side, base, same)
            if lacking is not None:
                dropped = _counterparts(lacking, identities(base), identities(other))
                return [item for index, item in enumerate(other) if index not in dropped]
        self.later(mine, theirs, path)
        return mine

    def sum(self, base: Any, mine: Any, theirs: Any, path: Path) -> Any:
        was, here, there = (0 if side is MISSING else side for side in (base, mine, theirs))
        if mine is theirs is MISSING or not (_is_number(was) and _is_number(here) and _is_number(there)):
            return self.later(mine, theirs, path)
        try:
            total = there + (here - was)
        except (TypeError, ArithmeticError):  # float and Decimal, or out of range
            return self.later(mine, theirs, path)
        if total != total:  # NaN
            return self.later(mine, theirs, path)
        if mine is not MISSING and theirs is not MISSING:
            return total
        if total < 0:  # from what was removed, the other side had taken something away
            self.conflicts.append(".".join(path))
        return total if total > 0 else MISSING

    def extreme(self, rule: str, mine: Any, theirs: Any, path: Path) -> Any:
        try:
            above, below = bool(mine > theirs), bool(mine < theirs)
        except (TypeError, ArithmeticError):
            above = below = False
        if above == below:  # equal, or without an order
            return self.later(mine, theirs, path)
        return mine if above == (rule == "max") else theirs


def _each_once(items: list[Any]) -> list[Any]:
    found: dict[Hashable, Any] = {}
    for item in items:
        found.setdefault(identity(item), item)
    return list(found.values())


def _set_members(base: Iterable[Any], mine: Iterable[Any], theirs: Iterable[Any], union: bool) -> list[Any]:
    was, here, there = ({identity(item): item for item in side} for side in (base, mine, theirs))
    # Mine first: a set keeps the first of members that are equal but not the same (1 and True).
    added = [item for key, item in here.items() if union or key not in was]
    return added + [item for key, item in there.items() if union or key not in was or key in here]


def _begins(side: list[Any], base: list[Any]) -> bool:
    return len(side) >= len(base) and all(map(same, side, base))


def _lacking(side: list[Any], base: list[Any], equal: Callable[[Any, Any], bool]) -> list[int] | None:
    """The positions of the base's members that the side lacks; None if that is not all it did."""
    if len(side) > len(base):
        return None
    lacking, found = [], 0
    for position, item in enumerate(base):
        if found < len(side) and equal(side[found], item):
            found += 1
        else:
            lacking.append(position)
    return lacking if found == len(side) else None


def _counterparts(removed: list[int], base: list[Hashable], other: list[Hashable]) -> set[int]:
    """Where in ``other`` the members are that were at the ``removed`` positions of the base.

    Exactly, if the other side only removed members as well; else the n-th of equal members
    is taken for the n-th.  For a member that the other side removed too, an equal one is
    taken, if there is one: each side removed one.
    """
    places: dict[Hashable, list[int]] = {}
    for index, item in enumerate(other):
        places.setdefault(item, []).append(index)
    theirs = set(_lacking(other, base, eq) or ())
    at: dict[int, int] = {}
    met: dict[Hashable, int] = {}
    for position, item in enumerate(base):
        rank = met.get(item, 0)
        if position not in theirs and rank < len(places.get(item, ())):
            at[position] = places[item][rank]
            met[item] = rank + 1
    dropped = {at[position] for position in removed if position in at}
    for position in removed:
        if position not in at:
            left = places.get(base[position], [])
            while left and left[-1] in dropped:
                left.pop()
            if left:
                dropped.add(left.pop())
    return dropped


def _shape(base: Any, mine: Any, theirs: Any) -> type[Any] | None:
    """The kind of container that is to be merged, or None if the sides do not share one."""
    if mine is MISSING:
        mine = base
    if theirs is MISSING:
        theirs = base
    for shape in (dict, list, set, frozenset):
        if isinstance(mine, shape) and isinstance(theirs, shape):
            return shape
    return None


def _is_container(value: Any) -> bool:
    return isinstance(value, (dict, list, set, frozenset))


def _members(value: Any) -> int:
    return len(value) if _is_container(value) else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _copy(value: Any) -> Any:
    """The value with containers of its own."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, dict):
        return {key: _copy(member) for key, member in value.items()} if value else {}
    if isinstance(value, list):
        return list(map(_copy, value))
    if type(value) is tuple:
        return tuple(map(_copy, value))
    return set(value) if isinstance(value, set) else value
