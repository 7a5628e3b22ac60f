"""Rules that are declared for the values at a path, in the place of what ``merge`` does by itself.

What they say of a value that both sides changed:

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

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from moored.errors import ConfigurationError
from moored.spelling import did_you_mean

RULES: Final = frozenset({"sum", "max", "min", "union", "unique", "replace", "refuse"})
ANY: Final = "*"

Path = tuple[str, ...]


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
    hint = did_you_mean(rule, RULES) if isinstance(rule, str) else ""
    return (
        f"there is no merge rule {rule!r} (for {pattern!r}).{hint} The rules are {', '.join(sorted(RULES))}."
    )
