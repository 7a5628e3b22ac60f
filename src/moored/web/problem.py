"""Errors as HTTP: a status, ``Retry-After`` where it helps, and a short body without internals."""

from __future__ import annotations

import msgspec

from moored.errors import (
    ConflictError,
    CorruptRecord,
    GoneError,
    HeldError,
    MooredError,
    OutcomeUnknown,
    Unavailable,
)

RETRY_AFTER = 2  # seconds


class Problem(msgspec.Struct, frozen=True):
    """A response: RFC 9457 problem details, or a line of HTML."""

    status: int
    headers: dict[str, str]
    body: bytes


_TEXTS: dict[type[MooredError], tuple[int, str, str]] = {
    Unavailable: (
        503,
        "Service Unavailable",
        "Your session cannot be reached right now. Try again in a moment.",
    ),
    OutcomeUnknown: (
        503,
        "Service Unavailable",
        "It is not known whether your change was kept. Look before you repeat it.",
    ),
    CorruptRecord: (
        503,
        "Service Unavailable",
        "Something that is stored cannot be read. Try again; if this stays, tell those who run the site.",
    ),
    HeldError: (409, "Conflict", "Another request is working on the same session. Try again in a moment."),
    GoneError: (409, "Conflict", "Your session has ended. Sign in again."),
    ConflictError: (409, "Conflict", "Another request changed the same thing. Look at it again."),
}
TRANSLATED = tuple(_TEXTS)  # errors that become responses; all others are the application's mistakes


def problem(error: MooredError, accept: str) -> Problem:
    """The response for an error; JSON where ``Accept`` names JSON and not HTML."""
    status, title, detail = next(
        (text for kind, text in _TEXTS.items() if isinstance(error, kind)), (500, "Internal Server Error", "")
    )
    headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else {}
    headers["Cache-Control"] = "no-store"
    if "json" in accept and "html" not in accept:
        headers["Content-Type"] = "application/problem+json"
        fields = {"title": title, "status": status, "detail": detail, "code": error.code}
        return Problem(status, headers, msgspec.json.encode(fields))
    headers["Content-Type"] = "text/html; charset=utf-8"
    page = f"<!doctype html><title>{status} {title}</title><h1>{title}</h1><p>{detail}</p>"
    return Problem(status, headers, page.encode())
