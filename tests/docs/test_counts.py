"""The page about watching names everything that is counted."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, ROOT, table

_COUNTED = re.compile(r"\bcount\(\s*\"(\w+)\"")


def test_every_count_is_explained() -> None:
    code = "".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
    rows = table(DOCS / "how-to" / "observe.md", "count", "means", "if it grows")
    assert {row[0].strip("`") for row in rows} == set(_COUNTED.findall(code))
