"""What the value of a setting may be; each raises ValueError that says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from moored.codec import DEEPEST
from moored.merge import Rules
from moored.spelling import WrongWord, one_of


def milliseconds(value: object) -> int:
    """A duration in seconds or as a timedelta, above 0."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e10:
        raise ValueError("a number of seconds above 0, or a timedelta")
    return int(value * 1000)


def milliseconds_or_none(value: object) -> int:
    """A duration in seconds or as a timedelta; 0 for none."""
    if not isinstance(value, bool) and value in (0, timedelta()):
        return 0
    try:
        return milliseconds(value)
    except ValueError:
        raise ValueError("a number of seconds, 0 for none, or a timedelta") from None


def above_zero(value: object) -> int:
    """A whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a whole number above 0")
    return value


def levels(value: object) -> int:
    """A number of nested containers that the codec can store."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= DEEPEST:
        raise ValueError(f"a whole number from 1 to {DEEPEST}")
    return value


def switch(value: object) -> None:
    """On or off; text is refused because Python takes all of it for on, "False" too."""
    if value not in (True, False, None):
        raise ValueError("True or False")


def on_or_off(value: object) -> bool:
    """On or off."""
    switch(value)
    return bool(value)


def names(value: object) -> tuple[str, ...]:
    """A list of field names."""
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError("a list of field names")  # noqa: TRY004 - like every check
    if not all(isinstance(name, str) for name in value):
        raise ValueError("a list of field names")
    return tuple(value)


def text(value: object) -> str:
    """Text; whether it may be the name of a cookie is looked at later."""
    if not isinstance(value, str):
        raise ValueError("text")  # noqa: TRY004 - like every check
    return value


def url(value: object) -> str:
    """The text of a URL, which is looked into later."""
    if not isinstance(value, str) or not value:
        raise ValueError("text such as 'sqlite:///shop.db'")
    return value


def rules(value: object) -> Rules:
    """Merge rules by path."""
    if not isinstance(value, Mapping):
        raise ValueError('a mapping of paths to rules, such as {"cart.*": "sum"}')  # noqa: TRY004
    return Rules.parse(value)


def word(*words: str) -> Callable[[object], str]:
    """One of a few words."""
    parse = one_of(*words)

    def check(value: object) -> str:
        return parse(value if isinstance(value, str) else "")  # "" is none of them, and like none

    return check


def some(*words: str) -> Callable[[object], tuple[str, ...]]:
    """A list of a few words; one of them alone will do, and an empty list is none."""

    def check(value: object) -> tuple[str, ...]:
        given = (value,) if isinstance(value, str) else value
        choice = f"a list of {' and '.join(map(repr, words))}"
        if not isinstance(given, (list, tuple)):
            raise ValueError(choice)  # noqa: TRY004 - like every check
        for one in given:
            if one not in words:
                raise WrongWord(choice, one, words)
        return tuple(given)

    return check
