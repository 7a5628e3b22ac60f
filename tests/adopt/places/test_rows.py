"""Flask-Session 0.8 itself writes what the places read, and reads what they write."""

from __future__ import annotations

import pickle
import secrets
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from markupsafe import Markup
from tests.adopt.databases import DATABASES, SERVERS
from tests.adopt.places.peers import KINDS, Peer
from tests.waiting import until

from moored import EncodingError, State
from moored.adopt.place import MARK, MARKED, Replaced, Row, UnreadableRow
from moored.testing.servers import RedisServer

DAY = 24 * 60 * 60 * 1000
MakePeer = Callable[..., Peer]

VALUES: dict[str, Any] = {
    "user_id": 7,
    "name": "Zoë 🛒",
    "cart": [{"sku": "a", "n": 2, "tags": ["x", None, True, 1.5]}],
    "nested": {"deep": {"deeper": [[], {}, ""]}},
    "_flashes": [("message", "saved"), ("error", "<b>no</b>")],
    "_permanent": True,
    "bytes": b"\x00\xff",
    "at": datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
    "naive": datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - applications do
    "day": date(2026, 1, 2),
    "took": timedelta(days=1, microseconds=1),
    "price": Decimal("9.90"),
    "id": UUID(int=5),
    "numbers": {1, 2},
    "pair": (1, 2),
}


def read(peer: Peer, row: str) -> Row:
    found = peer.place.read(row)
    assert found is not None
    return found


def test_what_flask_session_writes_is_read_as_it_reads_it(peer: Peer) -> None:
    found = read(peer, peer.store(**VALUES))
    assert found.values == peer.visit()
    assert found.values.keys() == VALUES.keys()
    assert not found.moved
    assert found.expires is not None
    assert abs(found.expires - time.time() * 1000 - 31 * DAY) < 60_000


def test_what_is_replaced_is_read_by_flask_session(peer: Peer) -> None:
    row = peer.store(user_id=7)
    before = read(peer, row).raw
    done = peer.place.replace(row, before, VALUES, DAY)
    assert done is not None
    after = read(peer, row)
    assert after.raw == done.raw
    assert after.expires is not None
    assert abs(after.expires - time.time() * 1000 - DAY) < 60_000
    assert after.values == peer.visit()
    peer.visit(lambda session: session.update(more=1))
    assert read(peer, row).values == after.values | {"more": 1}


@pytest.mark.parametrize("kind", ["filesystem", "cachelib"])
def test_files_keep_every_type(make_peer: MakePeer, kind: str) -> None:
    peer = make_peer(kind)
    assert read(peer, peer.store(**VALUES)).values == VALUES
    row = peer.row()
    assert peer.place.replace(row, read(peer, row).raw, VALUES | {"html": Markup("<b>")}, DAY)
    assert type(peer.visit()["html"]) is Markup


def test_a_row_is_replaced_only_if_it_is_as_it_was_read(peer: Peer) -> None:
    row = peer.store(n=1)
    stale = read(peer, row).raw
    peer.visit(lambda session: session.update(n=2))
    for values in ({"n": 9}, None):
        assert peer.place.replace(row, stale, values, DAY) is None
        assert peer.place.replace(row, None, values, DAY) is None
    assert not peer.place.mark(row, stale, DAY)
    assert peer.visit()["n"] == 2
    # The library writes it again with each request, and its deadline moves: it is still the same.
    before = read(peer, row).raw
    peer.visit()
    assert peer.place.replace(row, before, {"n": 3}, DAY) is not None
    assert peer.visit() == {"n": 3}


def test_a_row_that_is_not_there_is_made_or_left(peer: Peer) -> None:
    row = peer.place.new_id()
    assert peer.place.read(row) is None
    assert peer.place.replace(row, b"something", {"n": 1}, DAY) is None
    assert peer.place.replace(row, b"something", None, DAY) is None
    assert not peer.place.mark(row, b"something", DAY)
    assert peer.place.read(row) is None
    assert peer.place.replace(row, None, {"n": 1}, DAY) is not None
    assert read(peer, row).values == {"n": 1}


def test_a_new_row_is_a_session_of_flask_session(peer: Peer) -> None:
    row = peer.place.new_id()
    assert peer.place.replace(row, None, {"user_id": 7}, DAY) is not None
    peer.cookie = peer.place.cookie_of(row)
    assert peer.row() == row
    assert peer.visit() == {"user_id": 7}


def test_a_removed_row_is_gone_for_flask_session(peer: Peer) -> None:
    row = peer.store(user_id=7)
    assert peer.place.replace(row, read(peer, row).raw, None, 1) == Replaced(None)
    assert peer.place.read(row) is None
    assert peer.visit() == {"_permanent": True}


def test_a_row_that_has_expired_is_not_there(peer: Peer) -> None:
    row = peer.store(n=1)
    done = peer.place.replace(row, read(peer, row).raw, {"n": 2}, 1)
    assert done is not None
    until(lambda: peer.place.read(row) is None, "the end of a row")
    assert peer.place.is_empty()
    assert peer.place.replace(row, done.raw, {"n": 3}, DAY) is None
    assert peer.place.replace(row, None, {"n": 4}, DAY) is not None
    assert peer.visit() == {"n": 4}


# --- The mark -----------------------------------------------------------------------------------


def test_a_marked_row_is_an_anonymous_session_for_flask_session(peer: Peer) -> None:
    row = peer.store(user_id=7, cart=["book"])
    assert peer.place.mark(row, read(peer, row).raw, DAY)
    marked = read(peer, row)
    assert marked.moved
    assert marked.values == {"_permanent": False}
    assert peer.visit() == MARKED
    assert "Set-Cookie" not in peer.response.headers  # it would replace the one that Moored has set
    again = read(peer, row)
    assert again.moved
    assert again.raw == marked.raw


def test_what_an_old_worker_writes_keeps_the_mark(local_peer: Peer) -> None:
    row = local_peer.store(user_id=7)
    local_peer.place.mark(row, read(local_peer, row).raw, DAY)
    local_peer.visit(lambda session: session.update(cart=["pen"]))
    found = read(local_peer, row)
    assert found.moved
    assert found.values == {"_permanent": False, "cart": ["pen"]}


def test_a_marked_row_that_is_emptied_is_removed(local_peer: Peer) -> None:
    row = local_peer.store(user_id=7)
    local_peer.place.mark(row, read(local_peer, row).raw, DAY)
    local_peer.visit(lambda session: session.clear())
    assert local_peer.place.read(row) is None


# --- Ids ----------------------------------------------------------------------------------------


def test_all_rows_are_listed_and_nothing_else(peer: Peer, redis_server: RedisServer) -> None:
    assert peer.place.is_empty()
    assert [*peer.place.ids()] == []
    rows = {peer.store(n=1)}
    assert not peer.place.is_empty()
    for _ in range(20):
        peer.another()
        rows.add(peer.store(n=1))
    peer.place.mark(peer.row(), read(peer, peer.row()).raw, DAY)
    if peer.kind.startswith("redis"):
        with State(f"{redis_server.url.removesuffix('0')}5", prefix=peer.prefix) as state:
            state.counter("n").add()
            state.counter("x" * 43).add()
        client = peer.app.config["SESSION_REDIS"]
        client.set(peer.prefix + "too-short", b"x")
        client.hset(peer.prefix + "h" * 43, "f", "v")
    assert len(rows) == 21
    assert sorted(set(peer.place.ids())) == sorted(rows)


def test_moored_s_own_records_are_no_rows(make_peer: MakePeer, redis_server: RedisServer) -> None:
    peer = make_peer("redis")
    with State(f"{redis_server.url.removesuffix('0')}5", prefix=peer.prefix) as state:
        state.counter("n").add()
        peer.app.config["SESSION_REDIS"].hset(peer.prefix + "h" * 43, "f", "v")
        assert peer.place.is_empty()
        assert peer.place.read(peer.prefix + "h" * 43) is None
        assert peer.place.replace(peer.prefix + "h" * 43, None, {"n": 1}, DAY) is None


@pytest.mark.parametrize("kind", [*KINDS, *SERVERS])
def test_many_rows_are_listed_page_by_page(make_peer: MakePeer, kind: str) -> None:
    peer = make_peer(kind)
    rows = {peer.place.new_id() for _ in range(1_203)}
    for row in rows:
        assert peer.place.replace(row, None, {"n": 1}, DAY)
    assert sorted(set(peer.place.ids())) == sorted(rows)


def test_cookies_that_cannot_be_theirs_name_no_row(local_peer: Peer) -> None:
    sid = secrets.token_urlsafe(32)
    good = [sid, "12345678-1234-4321-8888-0123456789ab"]
    bad = [
        "",
        "x",
        sid + "x",
        sid[:-1],
        sid[:-1] + ":",
        sid[:-1] + "/",
        sid[:-1] + "é",
        "../" + sid[3:],
        sid + "\n",
    ]
    bad += [secrets.token_urlsafe(30), "\ud800" * 43, f"session:{sid}"]
    assert all(local_peer.place.row_id(cookie) for cookie in good)
    assert [local_peer.place.row_id(cookie) for cookie in bad] == [None] * len(bad)


@pytest.mark.parametrize("kind", KINDS)
def test_signed_cookies_are_verified_and_made(make_peer: MakePeer, kind: str) -> None:
    peer = make_peer(kind, SESSION_USE_SIGNER=True, SESSION_ID_LENGTH=48)
    row = peer.store(user_id=7)
    assert read(peer, row).values == peer.visit()
    sid, _, signature = peer.cookie.rpartition(".")
    other = secrets.token_urlsafe(48)
    for forged in (sid, f"{other}.{signature}", f"{sid}.{signature[:-1]}", f"{sid}.", other):
        assert peer.place.row_id(forged) is None
    new = peer.place.new_id()
    peer.place.replace(new, None, {"user_id": 8}, DAY)
    peer.cookie = peer.place.cookie_of(new)
    assert peer.visit() == {"user_id": 8}


def test_a_session_under_a_uuid_of_earlier_versions_is_read(local_peer: Peer) -> None:
    local_peer.cookie = "12345678-1234-4321-8888-0123456789ab"
    local_peer.place.replace(local_peer.row(), None, {"user_id": 7}, DAY)
    assert local_peer.visit() == {"user_id": 7}
    assert [*local_peer.place.ids()] == [local_peer.row()]


# --- What cannot be read, and what cannot be written ----------------------------------------------


def put_raw(peer: Peer, row: str, raw: bytes) -> None:
    if peer.kind.startswith("redis"):
        peer.app.config["SESSION_REDIS"].set(row, raw)
    elif peer.kind in DATABASES:
        from sqlalchemy import text

        with peer.engine.begin() as connection:
            connection.execute(
                text("UPDATE sessions SET data = :raw WHERE session_id = :row"), {"raw": raw, "row": row}
            )
    else:
        from moored.adopt.file_rows import FileRows

        assert isinstance(peer.place, FileRows)
        path = peer.place._folder / row
        path.write_bytes(path.read_bytes()[:4] + raw)


def test_pickles_are_read_only_if_that_is_allowed(local_peer: Peer) -> None:
    row = local_peer.store(user_id=7)
    put_raw(local_peer, row, pickle.dumps({"user_id": 8, "pair": (1, 2)}))
    assert read(local_peer, row).values == local_peer.visit() == {"user_id": 8, "pair": (1, 2)}
    put_raw(local_peer, row, pickle.dumps({"user_id": 8, "pair": (1, 2)}))
    with pytest.raises(UnreadableRow, match="MOORED_ADOPT_PICKLE = True"):
        local_peer.new_place(allow_pickle=False).read(row)


@pytest.mark.parametrize("kind", ["filesystem", "cachelib"])
def test_marks_in_files_are_known_without_reading_pickles(make_peer: MakePeer, kind: str) -> None:
    peer = make_peer(kind)
    row = peer.store(user_id=7)
    assert peer.place.mark(row, read(peer, row).raw, DAY)
    found = peer.new_place(allow_pickle=False).read(row)
    assert found is not None
    assert found.moved


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"7",
        b"[1]",
        b"\x93\x01\x02\x03",
        b"\x80\x05N.",
        b"{" * 20_000,
        b"\x91" * 20_000,
        b'{"a":' * 9_999,
    ],
    ids=["damaged", "number", "list", "packed list", "None", "broken", "deep", "deep json"],
)
def test_damaged_rows_are_unreadable(local_peer: Peer, raw: bytes) -> None:
    row = local_peer.store(user_id=7)
    put_raw(local_peer, row, raw)
    with pytest.raises(UnreadableRow) as caught:
        local_peer.place.read(row)
    assert row not in str(caught.value)


def test_a_value_that_the_format_cannot_carry_is_refused_and_not_shown(local_peer: Peer) -> None:
    row = local_peer.store(n=1)
    before = read(local_peer, row).raw
    unfit = {"n": lambda: "verysecret"}
    with pytest.raises(EncodingError) as caught:
        local_peer.place.replace(row, before, unfit, DAY)
    assert "verysecret" not in repr(caught.value) + repr(caught.value.__context__)
    assert read(local_peer, row).raw == before


def test_the_mark_is_a_field_that_applications_do_not_use() -> None:
    assert MARK.startswith("_")


def test_secrets_are_not_shown(local_peer: Peer) -> None:
    row = local_peer.store(user_id="verysecret")
    shown = repr(read(local_peer, row)) + repr(local_peer.place) + local_peer.place.name
    shown += repr(local_peer.place.replace(row, read(local_peer, row).raw, {"user_id": "verysecret"}, DAY))
    assert row not in shown
    assert "verysecret" not in shown
    with pytest.raises(LookupError) as caught:
        local_peer.place.cookie_of("0" * 64)
    assert "0" * 64 not in repr(caught.value)
