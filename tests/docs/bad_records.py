"""Records that are damaged, or that something other than Moored wrote."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import msgspec
from tests.docs.bad_input import ENGINES, Ground, Row, joined, row
from tests.docs.site import Site, told
from tests.docs.tamper import Tamper

from moored import CorruptRecord, State
from moored.codec import encode

Damage = Callable[[Tamper, str], None]


def _damaged_session(damage: Damage) -> Row:
    """What a visitor meets, and that they are rid of it when they write to the session next."""

    def attempt(ground: Ground) -> str:
        answers = {}
        for engine in ENGINES:
            url = ground.url(engine)
            site = Site(ground, url)
            site.client.get("/add")
            damage(Tamper(ground, engine, url), "session:" + site.selector())
            assert site.client.get("/plain").status_code == 200
            answers[engine] = site.told(site.cookie)
            assert site.client.get("/add").status_code in (200, 503)
            assert site.client.get("/add").status_code == 200, "it does not stay so"
            assert site.client.get("/").status_code == 200
        return joined(answers)

    return attempt


SESSIONS: dict[str, Damage] = {
    "record-truncated": Tamper.truncate,
    "record-other-format": Tamper.reformat,
    "record-other-type": Tamper.retype,
    "record-50-mb": lambda tamper, key: tamper.field(key, ".blob", encode(bytes(50 * 1024 * 1024))),
    "record-generation": lambda tamper, key: tamper.field(key, "@generation", b"first"),
    "record-no-verifier": lambda tamper, key: tamper.field(key, "@verifier", None),
    "record-subject": lambda tamper, key: tamper.field(key, "@subject", b"\xff\xfe"),
    "record-value-pickled": lambda tamper, key: tamper.field(key, ".cart", pickle.dumps(["book"])),
    "record-value-truncated": lambda tamper, key: tamper.field(key, ".cart", encode(["book"])[:-1]),
    "record-value-unknown-type": lambda tamper, key: tamper.field(
        key, ".cart", msgspec.msgpack.encode(msgspec.msgpack.Ext(99, b""))
    ),
    "record-value-json": lambda tamper, key: tamper.field(key, ".cart", b'["book"]'),
}
for _id, _damage in SESSIONS.items():
    row(_id)(_damaged_session(_damage))


@row("record-list-of-sessions")
def _(ground: Ground) -> str:
    answers = {}
    for engine in ENGINES:
        url = ground.url(engine)
        site = Site(ground, url)
        site.client.get("/in")
        kept = site.cookie
        Tamper(ground, engine, url).truncate("subject:ann")
        assert site.send(kept).json == {"user_id": "ann"}, "who is signed in stays so"
        ground.logged()
        answer = site.app.test_client().get("/in")
        answers[engine] = told(answer, log=ground.logged())
    return joined(answers)


COUNTERS: dict[str, Damage] = {
    "counter-truncated": Tamper.truncate,
    "counter-other-type": Tamper.retype,
    "counter-not-a-number": lambda tamper, key: tamper.field(key, "n", b"many"),
}


def _damaged_counter(damage: Damage) -> Row:
    def attempt(ground: Ground) -> str:
        answers = {}
        for engine in ENGINES:
            url = ground.url(engine)
            with State(url) as state:
                visits = state.counter("visits")
                visits.add()
                damage(Tamper(ground, engine, url), "counter:visits")
                told = {"`add()`": ground.refusal(visits.add), "`value()`": ground.refusal(visits.value)}
                answers[engine] = joined(told)
        return joined(answers)

    return attempt


for _id, _damage in COUNTERS.items():
    row(_id)(_damaged_counter(_damage))


@row("counter-damaged-in-flask")
def _(ground: Ground) -> str:
    site = Site(ground)

    @site.app.get("/count")
    def count() -> str:
        raise CorruptRecord("the record 'counter:visits' cannot be read.")

    return told(site.client.get("/count"), log=ground.logged())
