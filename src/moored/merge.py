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

``Rules`` declare something else for a path.  Where both sides changed it:

===========  =========================================================================
``sum``      both differences count; a removal takes what was there, what was added stays
``max``      the greater of both
``min``      the lesser of both
``union``    members and keys of either side, each once; no removal counts, but that of
             the whole container
``unique``   as without a rule, and a merged list has each item once
``replace``  the later commit wins, and that is no conflict
``refuse``   ``ConflictError``, unless both changed a plain value to the same
===========  =========================================================================

A rule that the values do not allow (the sum of a text, the maximum of what has no order)
makes the later commit win.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from operator import eq
from typing import Any, Final

from msgspec import Struct

from moored.errors import ConfigurationError, ConflictError

MEMBERS: Final = 1_000
DEPTH: Final = 32
RULES: Final = frozenset({"sum", "max", "min", "union", "unique", "replace", "refuse"})
ANY: Final = "*"

Path = tuple[str, ...]


class Missing(Enum):
    """The type of ``MISSING``."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""Stands for a field or member that is not there; as a result: remove it."""


class Rules(Struct, frozen=True):
    """Which rule is declared for which path; made by ``Rules.parse``."""

    by_length: dict[int, list[tuple[Path, str]]]

    @classmethod
    def parse(cls, declared: Mapping[str, str]) -> Rules:
        """Rules from patterns, as in ``{"cart.*": "sum", "draft": "refuse"}``.

        A pattern is the dotted path of a value from its field on; ``*`` stands for any one
        key.  Where several fit, the one that names the earlier key wins over ``*``.
        Raises ConfigurationError for an unknown rule and a pattern that can fit nothing.
        """
        by_length: dict[int, list[tuple[Path, str]]] = {}
        for pattern, rule in _entries(declared):
            parts = _parts(pattern)
            if not isinstance(rule, str) or rule not in RULES:
                raise ConfigurationError(_unknown(pattern, rule))
            by_length.setdefault(len(parts), []).append((parts, rule))
        for patterns in by_length.values():
            patterns.sort(key=lambda entry: [part == ANY for part in entry[0]])
        return cls(by_length)

    def of(self, path: Path) -> str | None:
        """The rule for the value at ``path``, if one is declared."""
        if not self.by_length:
            return None
        for parts, rule in self.by_length.get(len(path), ()):
            if all(part in (ANY, name) for part, name in zip(parts, path, strict=True)):
                return rule
        return None


NO_RULES: Final = Rules({})


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
        if _same(mine, base):
            return theirs
        if _same(theirs, base):
            return mine
        match rule:
            case "sum":
                return self.sum(base, mine, theirs, path)
            case "max" | "min":
                return self.extreme(rule, mine, theirs, path)
            case "refuse" if _is_container(mine) or not _same(mine, theirs):
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
        if not _same(mine, theirs):
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
            lacking = _lacking(side, base, _same)
            if lacking is not None:
                dropped = _counterparts(lacking, _identities(base), _identities(other))
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


# Values of these types are equal only to values of the same type, and those are the same.
_PLAIN: Final = frozenset({str, bytes, int, type(None)})
_SIZED: Final = (dict, list, tuple, set, frozenset)


def _each_once(items: list[Any]) -> list[Any]:
    found: dict[Hashable, Any] = {}
    for item in items:
        found.setdefault(_identity(item), item)
    return list(found.values())


def _set_members(base: Iterable[Any], mine: Iterable[Any], theirs: Iterable[Any], union: bool) -> list[Any]:
    was, here, there = ({_identity(item): item for item in side} for side in (base, mine, theirs))
    # Mine first: a set keeps the first of members that are equal but not the same (1 and True).
    added = [item for key, item in here.items() if union or key not in was]
    return added + [item for key, item in there.items() if union or key not in was or key in here]


def _begins(side: list[Any], base: list[Any]) -> bool:
    return len(side) >= len(base) and all(map(_same, side, base))


def _lacking(side: list[Any], base: list[Any], same: Callable[[Any, Any], bool]) -> list[int] | None:
    """The positions of the base's members that the side lacks; None if that is not all it did."""
    if len(side) > len(base):
        return None
    lacking, found = [], 0
    for position, item in enumerate(base):
        if found < len(side) and same(side[found], item):
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


def _same(one: Any, other: Any) -> bool:
    """Whether the values are the same with their types, all the way down.

    Stops at the first difference and builds nothing that grows with lists and mappings, so
    that values of any size can be compared.
    """
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _PLAIN:
        return bool(one == other)
    if isinstance(one, _SIZED):
        if len(one) != len(other):
            return False
        if not one:
            return True
    if isinstance(one, dict):
        # The members are compared once, in whichever order: with more comparisons at each
        # level there would be twice as many at every level below.
        for key, there in zip(one, other, strict=True):
            if not _same(key, there):
                return _same_by_key(one, other)
        one, other = one.values(), other.values()
    elif isinstance(one, (set, frozenset)):
        plain = _PLAIN.issuperset(map(type, one)) and _PLAIN.issuperset(map(type, other))
        return bool(one == other if plain else _identity(one) == _identity(other))
    elif not isinstance(one, (list, tuple)):
        return bool(_leaf(one) == _leaf(other))
    for here, there in zip(one, other, strict=True):
        if here is not there and not _same(here, there):
            return False
    return True


def _same_by_key(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    """Whether mappings of one size have the same members, in whichever order."""
    plain = _PLAIN.issuperset(map(type, one)) and _PLAIN.issuperset(map(type, other))
    # The keys as the other has them: of keys that are equal the types may differ, or not (NaN).
    keys = None if plain else {_identity(key): key for key in other}
    for key, here in one.items():
        there = other.get(key if keys is None else keys.get(_identity(key), MISSING), MISSING)
        if there is MISSING or not _same(here, there):
            return False
    return True


def _identities(items: list[Any]) -> list[Hashable]:
    return [_identity(item) for item in items]


def _identity(value: Any) -> Any:
    """Equal for values that are the same with their types, all the way down.

    It takes as much memory as the value: for members of containers that are merged.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, _SIZED) and not value:
        return kind
    if isinstance(value, dict):
        return kind, frozenset((_identity(key), _identity(member)) for key, member in value.items())
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(_identity, value))
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(_identity, value))
    return kind, _leaf(value)


def _leaf(value: Any) -> Any:
    # == passes over digits, time zones and folds, and denies NaN
    return repr(value) if isinstance(value, (float, Decimal, datetime, time)) else value


def _copy(value: Any) -> Any:
    """The value with containers of its own."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {key: _copy(member) for key, member in value.items()} if value else {}
    if isinstance(value, list):
        return list(map(_copy, value))
    if type(value) is tuple:
        return tuple(map(_copy, value))
    return set(value) if isinstance(value, set) else value


def _entries(declared: object) -> Iterable[tuple[object, object]]:
    if not isinstance(declared, Mapping):
        raise ConfigurationError(
            f"merge rules are a mapping of paths to rules, not {type(declared).__name__}: "
            'write for example {"cart.*": "sum"}.'
        )
    return declared.items()


def _parts(pattern: object) -> Path:
    if not isinstance(pattern, str):
        raise ConfigurationError(
            f"a merge rule's path is a string, as in 'cart.*', not {type(pattern).__name__}."
        )
    parts = tuple(pattern.split("."))
    if not all(part.strip() for part in parts):
        raise ConfigurationError(
            f"the merge rule for {pattern!r} fits nothing: a path is keys joined by dots, none of them empty."
        )
    if any(ANY in part and part != ANY for part in parts):
        raise ConfigurationError(
            f"the merge rule for {pattern!r} fits nothing: {ANY!r} stands for one whole key, not for a part."
        )
    return parts


def _unknown(pattern: object, rule: object) -> str:
    from difflib import get_close_matches

    close = get_close_matches(rule.lower(), sorted(RULES), n=1) if isinstance(rule, str) else []
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return (
        f"there is no merge rule {rule!r} (for {pattern!r}){hint} The rules are {', '.join(sorted(RULES))}."
    )
