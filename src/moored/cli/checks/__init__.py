"""What ``moored doctor`` looks at: one module for each thing, one finding for each look."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

# id → what it is about; ``docs/cli.md`` has the same list.  An id keeps its meaning.
TOPICS = {
    "MRD-D001": "the URL of the state",
    "MRD-D002": "whether the engine answers, and how fast",
    "MRD-D003": "versions of Python and packages",
    "MRD-D004": "the secret",
    "MRD-D005": "who can read a secret that was made up",
    "MRD-D006": "state in memory",
    "MRD-D007": "names of variables in the environment and in `.env`",
    "MRD-D008": "the settings of the application",
    "MRD-D101": "the folder of the SQLite file",
    "MRD-D102": "who can read and write the SQLite file",
    "MRD-D103": "its journal",
    "MRD-D104": "when a change is on the disk",
    "MRD-D105": "free space on its disk",
    "MRD-D106": "the reserve for a full disk",
    "MRD-D107": "its file system",
    "MRD-D108": "whether it is damaged (with --thorough)",
    "MRD-D201": "the Redis server's version and role",
    "MRD-D202": "what a crash of Redis can lose",
    "MRD-D203": "whether Redis evicts records",
    "MRD-D204": "the memory of Redis",
    "MRD-D205": "replicas of Redis, and ?wait",
    "MRD-D206": "the clock of Redis",
    "MRD-D207": "whether the way to Redis is encrypted",
    "MRD-D208": "whether Redis asks for a password",
    "MRD-D209": "whether the configuration of Redis may be read",
    "MRD-D301": "whether the application's sessions are kept by Moored",
    "MRD-D302": "the cookie's Secure",
    "MRD-D303": "the cookie's SameSite",
    "MRD-D304": "the cookie's HttpOnly",
    "MRD-D305": "debug mode",
    "MRD-D306": "sessions that are taken over from another library: how many are left",
}


class Severity(StrEnum):
    """How bad it is: an error loses or shows data, or will; a note is good to know."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Finding(Struct, frozen=True):
    """One look at one thing: ``cure`` says what to do, where there is something to do."""

    id: str
    severity: Severity
    what: str
    cure: str = ""


def ok(id: str, what: str) -> Finding:
    """All is well."""
    return Finding(id, Severity.OK, what)


def note(id: str, what: str, cure: str) -> Finding:
    """Good to know."""
    return Finding(id, Severity.NOTE, what, cure)


def warning(id: str, what: str, cure: str) -> Finding:
    """Not as it should be where it matters."""
    return Finding(id, Severity.WARNING, what, cure)


def error(id: str, what: str, cure: str) -> Finding:
    """Wrong: it loses or shows data, does not work, or soon will not."""
    return Finding(id, Severity.ERROR, what, cure)
