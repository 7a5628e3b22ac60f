"""What the scripts of ``redis_scripts.py`` are given, in the order in which they take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moored.commands import LEASE_TOKEN, Acquire, Add, Bury, Command, Drop, Op, Patch, Put, Take
from moored.model import LIMIT

Words = list[bytes | str | int]


def arguments(command: Command[Any], op: Op) -> Words:
    """ARGV of the command's script."""
    words: Words = [op.id, op.since, op.until, int(op.again)]
    match command:
        case Patch():
            _patch(words, command)
        case Put(fields=fields, stamp=stamp, version=version, ttl=ttl):
            words += (_or_none(version), _or_none(ttl), len(stamp))
            _pairs(words, stamp)
            _pairs(words, fields)
        case Bury(match=match, version=version, ttl=ttl, note=note):
            words.append(_or_none(version))
            _match(words, match)
            words.append(ttl)
            if note:
                words += (":@note", note)
        case Drop(match=match, version=version):
            words.append(_or_none(version))
            _match(words, match)
        case Add(by=by, low=low, high=high, ttl=ttl):
            words += (by, _bound(low), _bound(high), _or_none(ttl))
        case Take(rates=rates, cost=cost):
            words.append(cost)
            for rate in rates:
                words += rate
        case Acquire(owner=owner, ttl=ttl, unless=unless, existing=existing):
            words += (owner, ttl, "" if unless is None else f":{unless}", int(existing))
        case _:
            raise TypeError(f"no engine carries out {type(command).__name__}")
    return words


def _patch(words: Words, command: Patch) -> None:
    words += (1 if LEASE_TOKEN in command.match else "", _or_none(command.version))
    _match(words, command.match)
    words += (_or_none(command.ttl), _within(command))
    if command.newer is None:
        words += ("", "", "")
    else:
        name, number, or_equal = command.newer
        words += (f":{name}", number, int(or_equal))
    words += (len(command.unset), len(command.stamp))
    words += [f":{name}" for name in command.unset]
    _pairs(words, command.stamp)
    _pairs(words, command.set)


def _within(command: Patch) -> bytes | str:
    """The instant that caps ``ttl``, as it will be: ``=`` a number, ``+`` from now, ``:`` a field's name."""
    name = command.within
    if name is None:
        return ""
    if name in command.stamp:
        return f"+{command.stamp[name]}"
    if command.newer is not None and command.newer[0] == name:
        return f"={command.newer[1]}"
    if name in command.set:
        return b"=" + command.set[name]
    return "" if name in command.unset else f":{name}"


def _match(words: Words, match: Mapping[str, bytes | None]) -> None:
    words += (len(match), "".join("-" if value is None else "=" for value in match.values()))
    words += [f":{name}" for name in match]
    words += [value or b"" for value in match.values()]


def _pairs(words: Words, fields: Mapping[str, bytes] | Mapping[str, int]) -> None:
    for name, value in fields.items():
        words += (f":{name}", value)


def _or_none(number: int | None) -> int | str:
    return "" if number is None else number


def _bound(number: int | None) -> int | str:
    """A bound beyond all totals is as good as any other, and doubles hold this one."""
    return "" if number is None else max(-LIMIT - 2, min(number, LIMIT + 2))
