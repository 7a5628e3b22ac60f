"""Why a session ended: kept in its tombstone, and shown to its owner and to operators."""

from __future__ import annotations

from enum import Enum


class EndReason(Enum):
    """Why a session ends: a code that entries of its subject's record hold, and words for people.

    Codes are stored and words are shown to applications: members are added at the end, with the next
    code, and none is changed or removed.
    """

    EVERYWHERE = 0, "signed out everywhere"
    OVER = 1, "over the maximum"
    REVOKED = 2, "revoked"
    BY_OPERATOR = 3, "revoked by an operator"
    SIGNED_OUT = 4, "signed out"
    REPLACED = 5, "replaced by another sign-in"
    RENEWED = 6, "replaced by a sign-in"  # under a new id, where another library keeps it
    BY_OLD_LIBRARY = 7, "ended by the old library"

    def __init__(self, code: int, words: str) -> None:
        # One digit, or nothing for the first: on a full disk there is room for steps that remove
        # something and write next to nothing (``sqlite_writer``).
        self.code: bytes = b"%d" % code if code else b""
        self.note: bytes = words.encode()

    @classmethod
    def of_code(cls, code: bytes) -> EndReason:
        """The reason of this code; for one that a later version wrote, the first."""
        return next((reason for reason in cls if reason.code == code), cls.EVERYWHERE)
