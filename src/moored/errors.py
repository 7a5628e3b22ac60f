"""What a caller can meet, ordered by what can be done about it.

Every error has a stable ``code`` (its page in ``docs/errors.md``) and a message that
says what happened, why, and what to do.  No message ever holds a secret, a cookie or a
stored value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar


class MooredError(Exception):
    """Everything that Moored raises on purpose."""

    code: ClassVar[str] = "MRD-000"

    def __str__(self) -> str:
        return f"{super().__str__()} [{self.code}]"


# --- The engine could not serve ---------------------------------------------------------


class Unavailable(MooredError):
    """The engine could not serve the call, and nothing was changed: try again later.

    ``outage`` is false where the engine answers but refuses this kind of step (a full or
    read-only disk, memory at its limit): such answers do not open the breaker.
    """

    code = "MRD-001"

    def __init__(self, message: str, *, outage: bool = True) -> None:
        super().__init__(message)
        self.outage = outage


class BreakerOpen(Unavailable):
    """The engine failed so often lately that the call was not even sent."""

    code = "MRD-002"


class OutcomeUnknown(MooredError):
    """The answer was lost: the change may have been made, or not.

    ``resolve()`` asks the engine what became of it and answers ``"done"``, ``"not done"``
    or ``"unknown"``; for a call of ``AsyncState`` the answer is to be awaited.
    """

    code = "MRD-003"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.resolver: Callable[[], Any] | None = None

    def resolve(self) -> Any:
        """What became of the change: "done", "not done" or "unknown"."""
        return "unknown" if self.resolver is None else self.resolver()


# --- The engine said no ---------------------------------------------------------------------


class RefusalError(MooredError):
    """The engine was reached, and said no; nothing was changed."""

    code = "MRD-010"


class ConflictError(RefusalError):
    """Others changed the same thing, and the changes cannot stand together."""

    code = "MRD-011"


class GoneError(RefusalError):
    """What was to be changed has expired, was ended or was lost."""

    code = "MRD-012"


class HeldError(RefusalError):
    """Somebody else has it to themselves at the moment."""

    code = "MRD-013"


class OutOfBounds(RefusalError):
    """The change would leave the bounds that the caller set."""

    code = "MRD-014"


class LimitExceeded(RefusalError):
    """More was asked for than the limit allows at this time."""

    code = "MRD-015"


class LoginRefused(ConflictError):
    """The subject was logged out everywhere while this login was under way."""

    code = "MRD-016"


# --- The call or its configuration is wrong ------------------------------------------------


class MisuseError(MooredError):
    """The call cannot work as it was written."""

    code = "MRD-020"


class UnsupportedError(MisuseError):
    """The engine lacks a trait that this kind of state needs."""

    code = "MRD-021"


class ConfigurationError(MisuseError):
    """A setting, a URL or an environment variable is wrong."""

    code = "MRD-022"


class TooLargeError(MisuseError):
    """The value is over a limit on size, depth or number."""

    code = "MRD-023"


class EncodingError(MisuseError):
    """The value is of a type that cannot be stored."""

    code = "MRD-024"


# --- What is stored is wrong ------------------------------------------------------------------


class CorruptRecord(MooredError):
    """What the engine holds is damaged, or was not written by Moored."""

    code = "MRD-030"
