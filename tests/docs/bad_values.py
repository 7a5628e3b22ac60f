"""Values that a session cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from flask import session, stream_with_context
from tests.docs.bad_input import Ground, Row, row
from tests.docs.site import Site


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def _cyclic() -> dict[str, Any]:
    tree: dict[str, Any] = {"name": "root"}
    tree["children"] = [tree]
    return tree


def _shared() -> list[Any]:
    value: list[Any] = []
    for _ in range(24):
        value = [value, value]
    return value


VALUES: dict[str, Callable[[], Any]] = {
    "value-object": lambda: {"items": [1, object()]},
    "value-generator": lambda: (n for n in range(3)),
    "value-decimal-nan": lambda: [{"price": 1}, {"price": Decimal("NaN")}],
    "value-too-deep": lambda: _nested(33),
    "value-cyclic": _cyclic,
    "value-shared": _shared,
    "value-key-tuple": lambda: {"sizes": {(1, 2): "m"}},
    "value-key-bool": lambda: {True: "yes"},
    "value-key-long-int": lambda: {"1": [{2**64: "n"}]},
    "value-surrogate": lambda: ["ok", "bad \ud800"],
    "value-long-int": lambda: 10**5000,
}


def _stored(make: Callable[[], Any], **config: Any) -> Row:
    """What the log says; the visitor gets a 500 without it, and the session stays as it was."""

    def attempt(ground: Ground) -> str:
        site = Site(ground, **config)

        def put() -> str:
            session["cart"] = make()
            return "put"

        site.client.get("/add")
        answer = site.visit(put)
        assert answer.status_code == 500
        assert b"Traceback" not in answer.data
        assert b"cart" not in answer.data
        assert site.client.get("/").json == {"cart": ["book"]}
        site.app.testing = True
        return ground.refusal(lambda: site.visit(put))

    return attempt


for _id, _make in VALUES.items():
    row(_id)(_stored(_make))

row("session-too-large")(_stored(lambda: "x" * 3000, MOORED_SESSION_MAX_BYTES=2000))


@row("session-too-many-fields")
def _(ground: Ground) -> str:
    site = Site(ground, MOORED_SESSION_MAX_FIELDS=20, TESTING=True)

    def put() -> str:
        session.update({f"item-{number}": 1 for number in range(21)})
        return "put"

    return ground.refusal(lambda: site.visit(put))


@row("session-limit-lowered")
def _(ground: Ground) -> str:
    site = Site(ground, ground.url("sqlite"))

    def fill() -> str:
        session["notes"] = ["x" * 100] * 30
        return "filled"

    site.visit(fill)
    lower = Site(ground, ground.url("sqlite"), MOORED_SESSION_MAX_BYTES=1000)

    def shrink() -> str:
        session["notes"].pop()
        return "shrunk"

    lower.client.set_cookie("session", site.cookie)
    assert lower.visit(shrink).status_code == 200
    assert lower.send(site.cookie, path="/add").status_code == 500
    assert lower.send(site.cookie).json == {"notes": ["x" * 100] * 29}
    return "it is read, and may become smaller; what would make it larger is refused as above"


@row("session-name-not-text")
def _(ground: Ground) -> str:
    site = Site(ground, TESTING=True)

    def put() -> str:
        names: Any = session
        names[5] = "five"
        return "put"

    return ground.refusal(lambda: site.visit(put))


@row("session-changed-while-streaming")
def _(ground: Ground) -> str:
    site = Site(ground, TESTING=True)

    def stream() -> Any:
        session["page"] = 1

        def parts() -> Any:
            yield "first"
            session["page"] = 2

        return site.app.response_class(stream_with_context(parts()))

    return ground.refusal(lambda: site.visit(stream).data)
