"""Every error has a code of its own, and a section in the documentation."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS

import moored
from moored import errors

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.MooredError)
}


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in CLASSES.values()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"MRD-\d{3}", code) for code in codes)


def test_every_class_has_a_code_of_its_own() -> None:
    assert [name for name, kind in CLASSES.items() if "code" not in vars(kind)] == []


def test_every_error_has_its_section_in_the_order_of_codes() -> None:
    sections = re.findall(r"^## (MRD-\d+) (\w+)$", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert sections == sorted((kind.code, name) for name, kind in CLASSES.items())


def test_every_error_can_be_imported_from_moored() -> None:
    assert [name for name, kind in CLASSES.items() if getattr(moored, name, None) is not kind] == []


def test_a_message_ends_in_its_code() -> None:
    assert str(errors.GoneError("it is gone.")) == "it is gone. [MRD-012]"
