"""Every kind of state that a Python web app keeps, correct under concurrency, behind one URL."""

from moored.errors import (
    BreakerOpen,
    ConfigurationError,
    ConflictError,
    CorruptRecord,
    EncodingError,
    GoneError,
    HeldError,
    LimitExceeded,
    LoginRefused,
    MisuseError,
    MooredError,
    OutcomeUnknown,
    OutOfBounds,
    RefusalError,
    TooLargeError,
    Unavailable,
    UnsupportedError,
)
from moored.state import AsyncState, State

__version__ = "0.1.0"

__all__ = [
    "AsyncState",
    "BreakerOpen",
    "ConfigurationError",
    "ConflictError",
    "CorruptRecord",
    "EncodingError",
    "GoneError",
    "HeldError",
    "LimitExceeded",
    "LoginRefused",
    "MisuseError",
    "MooredError",
    "OutOfBounds",
    "OutcomeUnknown",
    "RefusalError",
    "State",
    "TooLargeError",
    "Unavailable",
    "UnsupportedError",
]
