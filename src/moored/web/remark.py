"""What an operator should hear of."""

from __future__ import annotations

from msgspec import Struct


class Remark(Struct, frozen=True):
    """Something that is not as it should be, and what to do about it: sentences."""

    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.what} {self.cure}"
