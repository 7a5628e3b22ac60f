"""Why a value cannot be stored, and where in it that is."""

from __future__ import annotations

from typing import Final

from moored.errors import EncodingError, TooLargeError

_PATH_STEPS: Final = 8
_KEY_LENGTH: Final = 40


class FaultError(Exception):
    """What cannot be stored; on its way up it gathers the path, innermost step first."""

    def __init__(self, problem: str, error: type[EncodingError | TooLargeError] = EncodingError) -> None:
        super().__init__(problem)
        self.error = error
        self.steps: list[str] = []

    def at(self, path: str) -> EncodingError | TooLargeError:
        """The error for the caller, who calls the whole value ``path``."""
        steps = self.steps[::-1]
        if path and not _is_name(path):
            path = _shortened(path)  # it may be anybody's text, as keys are
        if len(steps) > _PATH_STEPS:
            steps[_PATH_STEPS // 2 : -_PATH_STEPS // 2] = ["…"]
        place = path + "".join(steps)
        if not path:
            place = place.removeprefix(".")
        return self.error(f"{place}: {self}" if place else str(self))


def step(key: object) -> str:
    """One step of a path: to the member at ``key``."""
    return f".{key}" if _is_name(key) else f"[{_shortened(key)}]"


def type_name(kind: type) -> str:
    """What errors call a type."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _is_name(key: object) -> bool:
    return isinstance(key, str) and len(key) <= _KEY_LENGTH and key.isidentifier()


def _shortened(key: object) -> str:
    text = repr(key)
    return text if len(text) <= _KEY_LENGTH else f"{text[: _KEY_LENGTH - 2]}…{text[-1]}"
