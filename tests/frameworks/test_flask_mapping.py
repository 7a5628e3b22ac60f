"""``session`` is a mapping that is loaded on first touch, in every way that applications use one.

A subclass of ``dict`` that loads lazily breaks wherever C code looks past its methods (``dict(s)``,
``{**s}``, ``json.dumps``, ``==``, ``match``), so each way is tried here as the first touch.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import flask
import pytest
from flask import jsonify
from flask.sessions import SessionMixin
from tests.frameworks.rig import Rig, session

from moored import EncodingError

STORED = {"a": 1, "b": [1, 2], "c": {"d": None}}
READ = ("Read",)


def matched() -> Any:
    match session():
        case {"a": a, "b": [first, *_]}:
            return a, first
        case _:
            return None


def kinds() -> Any:
    found: Any = flask.session
    return len(found), [isinstance(found, kind) for kind in (Mapping, MutableMapping, SessionMixin)]


def loop() -> list[str]:
    return [name for name in flask.session]  # noqa: C416 - a loop is what is meant


READING: dict[str, tuple[Callable[[], Any], Any]] = {
    "dict()": (lambda: dict(flask.session), STORED),
    "dict() of the object": (lambda: dict(session()), STORED),
    "{**}": (lambda: {**flask.session}, STORED),
    "json.dumps": (lambda: json.loads(json.dumps(dict(flask.session))), STORED),
    "jsonify": (lambda: jsonify(dict(flask.session)).json, STORED),
    "jsonify(**)": (lambda: jsonify(**flask.session).json, STORED),
    "copy": (lambda: session().copy(), STORED),
    "copy.copy": (lambda: copy.copy(session()), STORED),
    "copy.deepcopy": (lambda: copy.deepcopy(dict(session())), STORED),
    "to_dict": (lambda: session().to_dict(), STORED),
    "==": (lambda: flask.session == STORED, True),
    "== swapped": (lambda: STORED == session(), True),  # noqa: SIM300
    "!=": (lambda: flask.session != {"a": 2}, True),
    "match": (matched, (1, 1)),
    "in": (lambda: ("a" in flask.session, "z" in flask.session), (True, False)),
    "not in": (lambda: "z" not in flask.session, True),
    "len": (lambda: len(flask.session), 3),
    "bool": (lambda: bool(flask.session), True),
    "iteration": (loop, ["a", "b", "c"]),
    "list": (lambda: list(flask.session), ["a", "b", "c"]),
    "sorted": (lambda: sorted(flask.session, reverse=True), ["c", "b", "a"]),
    "keys": (lambda: set(flask.session.keys()), {"a", "b", "c"}),
    "keys &": (lambda: flask.session.keys() & {"a", "z"}, {"a"}),
    "values": (lambda: list(flask.session.values()), [1, [1, 2], {"d": None}]),
    "items": (lambda: sorted(name for name, _ in flask.session.items()), ["a", "b", "c"]),
    "get": (
        lambda: (flask.session.get("a"), flask.session.get("z"), flask.session.get("z", 5)),
        (1, None, 5),
    ),
    "[]": (lambda: flask.session["c"]["d"], None),
    "|": (lambda: session() | {"a": 2}, {**STORED, "a": 2}),
    "| swapped": (lambda: {"a": 2, "z": 0} | session(), {"z": 0, **STORED}),
    "setdefault of what is there": (lambda: flask.session.setdefault("a", 5), 1),
    "pop of what is not there": (lambda: flask.session.pop("z", None), None),
    "format": (lambda: "{a}".format(**flask.session), "1"),
    "isinstance": (kinds, (3, [True] * 3)),
}


@pytest.mark.parametrize("way", READING)
def test_each_way_of_reading_as_the_first_touch(rig: Rig, way: str) -> None:
    read, expected = READING[way]
    rig.visit(lambda: session().update(STORED))
    rig.steps()
    assert rig.look(read) == expected
    assert rig.steps() == [READ]


def delete(name: str) -> None:
    del flask.session[name]


def popitem() -> tuple[str, Any]:
    return flask.session.popitem()


def clear() -> None:
    flask.session.clear()


def append_in_place() -> None:
    for value in flask.session.values():
        if isinstance(value, list):
            value.append(3)


def assign_in_place() -> None:
    mine = session()
    mine |= {"a": 2}


def clear_and_write() -> None:
    flask.session.clear()
    flask.session["z"] = 1


WRITING: dict[str, tuple[Callable[[], Any], Any, dict[str, Any]]] = {
    "[]=": (lambda: flask.session.__setitem__("a", 2), None, {**STORED, "a": 2}),
    "del": (lambda: delete("a"), None, {"b": [1, 2], "c": {"d": None}}),
    "pop": (lambda: flask.session.pop("a"), 1, {"b": [1, 2], "c": {"d": None}}),
    "setdefault": (lambda: flask.session.setdefault("z", []).append(1), None, {**STORED, "z": [1]}),
    "update": (lambda: flask.session.update({"a": 2}, z=0), None, {**STORED, "a": 2, "z": 0}),
    "update pairs": (lambda: flask.session.update([("a", 2)]), None, {**STORED, "a": 2}),
    "|=": (assign_in_place, None, {**STORED, "a": 2}),
    "popitem": (popitem, ("a", 1), {"b": [1, 2], "c": {"d": None}}),
    "clear": (clear, None, {}),
    "clear and write": (clear_and_write, None, {"z": 1}),
    "a change of a copy": (lambda: dict(flask.session).update(a=2), None, STORED),
    "del and set again": (lambda: (flask.session.pop("a"), flask.session.update(a=1))[0], 1, STORED),
    "in place through values()": (
        append_in_place,
        None,
        {**STORED, "b": [1, 2, 3]},
    ),
}


@pytest.mark.parametrize("way", WRITING)
def test_each_way_of_writing_as_the_first_touch(rig: Rig, way: str) -> None:
    write, expected, after = WRITING[way]
    rig.visit(lambda: session().update(STORED))
    assert rig.look(write) == expected
    assert rig.data() == after


def test_what_is_not_there_raises_a_key_error(rig: Rig) -> None:
    def misses() -> None:
        for miss in (
            lambda: flask.session["z"],
            lambda: delete("z"),
            lambda: flask.session.pop("z"),
        ):
            with pytest.raises(KeyError, match="z"):
                miss()

    rig.visit(misses)
    rig.visit(lambda: session().update(STORED))
    rig.visit(misses)
    assert rig.data() == STORED


def test_within_a_request_changes_are_seen_at_once(rig: Rig) -> None:
    rig.visit(lambda: session().update(STORED))

    def view() -> list[Any]:
        mine = session()
        del mine["a"]
        mine["new"] = "x"
        seen = [list(mine), "a" in mine, len(mine), mine.get("a"), mine.modified]
        mine.clear()
        return [*seen, list(mine), mine.get("b"), bool(mine)]

    found = rig.look(view)
    assert found == [["b", "c", "new"], False, 3, None, True, [], None, False]


def test_changing_it_while_iterating_is_as_with_a_dict_copy(rig: Rig) -> None:
    rig.visit(lambda: session().update(STORED))
    rig.visit(lambda: [flask.session.pop(name) for name in list(flask.session)] and None)
    assert rig.data() == {}


def test_names_are_text(rig: Rig) -> None:
    def view() -> None:
        with pytest.raises(EncodingError, match="names in a session are text, not int"):
            flask.session[1] = "x"  # type: ignore[index]

    rig.visit(view)
    assert rig.data() == {}


def test_its_repr_shows_no_values(rig: Rig) -> None:
    rig.visit(lambda: session().update(password="swordfish"))
    assert "swordfish" not in rig.look(lambda: session()["password"] and repr(session()))
