"""Every row of the table of bad input is tried, and answers what is written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs import (
    bad_calls,
    bad_client_side,
    bad_cookies,
    bad_disks,
    bad_outages,
    bad_records,
    bad_settings,
    bad_urls,
    bad_values,
)
from tests.docs.bad_input import ROWS, Ground, code
from tests.docs.pages import DOCS, table

MODULES = (
    bad_calls,
    bad_client_side,
    bad_cookies,
    bad_disks,
    bad_outages,
    bad_records,
    bad_settings,
    bad_urls,
    bad_values,
)

# Rows without an id are headings.
WRITTEN = [row for row in table(DOCS / "bad-input.md", "id", "input", "outcome") if row[0]]
CELLS = {id.strip("`"): outcome for id, _, outcome in WRITTEN}


@pytest.fixture
def ground(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Ground]:
    for name in ("MOORED_URL", "MOORED_SECRET"):
        monkeypatch.delenv(name, raising=False)
    ground = Ground(tmp_path, request, caplog)
    yield ground
    ground.close()


def test_rows_and_functions_belong_together() -> None:
    assert sorted(set(CELLS) - set(ROWS)) == [], "rows without a function"
    assert sorted(set(ROWS) - set(CELLS)) == [], "functions without a row"


def test_the_table_has_each_id_once() -> None:
    assert len(WRITTEN) == len(CELLS)


def test_what_is_tried_is_what_is_written() -> None:
    tried = {id: code(url) for id, url in bad_urls.URLS.items()}
    for id, config in bad_settings.CONFIGS.items():
        tried[id] = ", ".join(code(f"{name} = {value!r}") for name, value in config.items())
    tried |= {id: code(call) for id, call in bad_calls.CALLS.items()}
    written = {id.strip("`"): input for id, input, _ in WRITTEN}
    assert {id: written[id] for id in tried} == tried


@pytest.mark.parametrize("id", sorted(CELLS))
def test_row(id: str, ground: Ground) -> None:
    assert ROWS[id](ground) == CELLS[id]
