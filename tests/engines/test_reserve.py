"""The reserve of disk space: only a plain file of ours is ever written to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from moored.engines.reserve import SIZE, Reserve


def soft(place: Path, other: Path) -> None:
    place.symlink_to(other)


def hard(place: Path, other: Path) -> None:
    place.hardlink_to(other)


@pytest.mark.parametrize("link", [soft, hard])
@pytest.mark.parametrize("text", [b"", b"precious"])
def test_a_link_in_its_place_harms_no_other_file(
    tmp_path: Path, link: Callable[[Path, Path], None], text: bytes
) -> None:
    other, reserve = tmp_path / "other", Reserve(tmp_path / "x.db")
    other.write_bytes(text)
    link(tmp_path / "x.db-reserve", other)
    reserve.fill()
    reserve.release()
    assert not reserve.spent()
    assert other.read_bytes() == text


def test_a_link_that_leads_nowhere_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.db-reserve").symlink_to(tmp_path / "other")
    Reserve(tmp_path / "x.db").fill()
    assert not (tmp_path / "other").exists()


def test_a_pipe_in_its_place_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.db-reserve")
    reserve = Reserve(tmp_path / "x.db")
    reserve.fill()
    reserve.release()
    assert not reserve.spent()


def test_another_user_s_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "x.db-reserve"
    place.write_bytes(b"precious")
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    reserve = Reserve(tmp_path / "x.db")
    reserve.fill()
    reserve.release()
    assert place.read_bytes() == b"precious"


def test_held_given_up_and_taken_again(tmp_path: Path) -> None:
    place, reserve = tmp_path / "x.db-reserve", Reserve(tmp_path / "x.db")
    assert not reserve.spent()
    reserve.fill()
    assert place.stat().st_size == SIZE
    assert place.stat().st_mode & 0o077 == 0
    reserve.release()
    assert place.stat().st_size == 0
    assert not reserve.spent(), "there is room: it was taken again"
    assert place.stat().st_size == SIZE
