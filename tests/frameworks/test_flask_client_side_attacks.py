"""Cookies in which a session is: forged, copied, swapped, kept from before, or of another sort."""

from __future__ import annotations

import base64
import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flask
import msgspec
import pytest
from tests.frameworks.rig import MakeRig, Rig, cookies, session, value

from moored.flask.extension import mooring
from moored.seal import LONGEST_CHECK, KeyRing
from moored.web.client_side import PURPOSE, ClientSide
from moored.web.cookies import MOST_GENUINE

SORTS = ["signed-cookie", "sealed-cookie"]
SECRET = "the secret of these tests"


def put(**values: Any) -> Any:
    return lambda: flask.session.update(values)


def sign_in(number: int) -> None:
    session().login(number)


def shifted(clock: Callable[[], float], days: int) -> float:
    return clock() + days * 86_400


def store(rig: Rig) -> ClientSide:
    found = mooring(rig.app).interface.host.store
    assert isinstance(found, ClientSide)
    return found


def with_cookies(rig: Rig, *values: str) -> Any:
    """What a request with these cookies finds in its session."""
    found: list[Any] = []
    header = {"Cookie": "; ".join(f"session={one}" for one in values)}
    client = rig.app.test_client(use_cookies=False)
    rig.visit(lambda: found.append((session().subject, dict(flask.session))), client, headers=header)
    return found[0]


def signed(body: bytes) -> str:
    """A cookie with a good signature, whatever is in it."""
    raw = body + KeyRing([SECRET]).check(PURPOSE, body, LONGEST_CHECK)
    return "s" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


NOBODY: tuple[None, dict[str, Any]] = (None, {})


# --- Cookies of another sort -------------------------------------------------------------------------


def test_a_made_up_sealed_cookie_where_sealing_is_not_installed(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(MOORED_SESSION_STORE="signed-cookie")
    for name in list(sys.modules):
        if name.partition(".")[0] == "cryptography":
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ImportError):
        importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
    assert with_cookies(rig, "x" + "A" * 100) == NOBODY


@pytest.mark.parametrize("sort", SORTS)
def test_the_place_is_changed_in_either_direction(sort: str, make_rig: MakeRig) -> None:
    """Nobody is taken for anybody, no request fails, and the next one that writes has the new sort."""
    for now, then in (("engine", sort), (sort, "engine")):
        before, after = make_rig(MOORED_SESSION_STORE=now), make_rig(MOORED_SESSION_STORE=then)
        before.visit(lambda: session().login("ann"))
        held = value(before.client)
        assert with_cookies(after, held) == NOBODY
        after.client.set_cookie("session", held)
        after.visit(put(n=1))
        assert after.data() == {"n": 1}
        assert value(after.client) != held
        assert with_cookies(before, held) == ("ann", {}), "it was taken back"


def test_cookies_of_servers_never_look_like_these(make_rig: MakeRig) -> None:
    rigs = [make_rig(MOORED_SESSION_STORE=sort) for sort in SORTS]
    for first in "sx":
        for rig in rigs:
            assert with_cookies(rig, first + "A" * 39) == NOBODY


# --- Copies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", SORTS)
def test_a_copy_after_a_sign_out_is_as_good_as_it_is_said(sort: str, make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE=sort)
    rig.visit(lambda: session().login("ann"))
    copy = value(rig.client)
    rig.visit(lambda: session().logout())
    assert with_cookies(rig, copy)[0] == "ann"
    rig.client.set_cookie("session", copy)
    rig.visit(lambda: session().logout_everywhere())
    assert with_cookies(rig, copy) == NOBODY


@pytest.mark.parametrize("sort", SORTS)
def test_a_changed_password_keeps_who_has_just_proved_it(sort: str, make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE=sort)
    rig.visit(lambda: session().login("ann"))
    copy = value(rig.client)

    def change_password() -> None:
        session().signing_in("ann")
        session().logout_everywhere(keep_this=True)

    assert rig.visit(change_password).status_code == 200
    assert rig.look(lambda: session().subject) == "ann"
    assert with_cookies(rig, copy) == NOBODY


@pytest.mark.parametrize("sort", SORTS)
def test_who_is_ended_everywhere_while_their_password_is_looked_at_is_not_kept(
    sort: str, make_rig: MakeRig
) -> None:
    rig = make_rig(MOORED_SESSION_STORE=sort)
    rig.visit(lambda: session().login("ann"))

    def change_password() -> None:
        session().signing_in("ann")
        rig.mooring.state.sessions.revoke_subject("ann")
        session().logout_everywhere(keep_this=True)

    assert rig.visit(change_password).status_code == 409
    assert rig.look(lambda: session().subject) is None


@pytest.mark.parametrize("sort", SORTS)
def test_who_was_signed_out_everywhere_stays_out_when_the_engine_is_taken_away(
    sort: str, make_rig: MakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(MOORED_SESSION_STORE=sort)
    rig.visit(lambda: session().login("ann"))
    copy = value(rig.client)
    visitor = rig.browser()
    rig.visit(put(n=1), visitor)
    rig.visit(lambda: session().logout_everywhere())
    store(rig).revocable = False  # as an application without MOORED_URL
    assert with_cookies(rig, copy) == NOBODY
    assert with_cookies(rig, value(visitor)) == (None, {"n": 1})


def test_a_cookie_from_before_there_was_an_engine_is_refused(make_rig: MakeRig) -> None:
    """Nobody can tell whether its subject was signed out everywhere."""
    rig = make_rig(MOORED_SESSION_STORE="signed-cookie")
    store(rig).revocable = False
    rig.visit(lambda: session().login("ann"))
    assert rig.look(lambda: session().subject) == "ann"
    store(rig).revocable = True
    assert rig.look(lambda: session().subject) is None


def test_a_request_that_was_overtaken_signs_nobody_in_again(make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE="sealed-cookie")
    rig.visit(lambda: session().login("ann"))

    def late() -> None:
        assert session().subject == "ann"
        rig.mooring.state.sessions.revoke_subject("ann")
        flask.session["n"] = 1

    rig.visit(late)
    assert rig.look(lambda: session().subject) is None


# --- Several at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", SORTS)
def test_of_two_good_ones_neither_is_used(sort: str, make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE=sort)
    attacker = rig.browser()
    rig.visit(lambda: session().login("ann"))
    rig.visit(lambda: session().login("mallory"), attacker)
    both = value(rig.client), value(attacker)
    assert with_cookies(rig, *both) == with_cookies(rig, *both[::-1]) == NOBODY


def test_very_many_good_ones_cost_no_more_than_anywhere(make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE="signed-cookie")
    held = []
    for number in range(20):
        client = rig.browser()
        rig.visit(partial(sign_in, number), client)
        held.append(value(client))
    rig.steps()
    assert with_cookies(rig, *held) == NOBODY
    assert len(rig.steps()) <= MOST_GENUINE
    assert with_cookies(rig, *[f"s{number:060d}" for number in range(500)]) == NOBODY
    assert rig.steps() == []


# --- What is in them -------------------------------------------------------------------------------------

NESTED = b"\x91" * 2_500 + b"\xc0"
CONTENTS: list[Any] = ["a" * 16, 1, 2**53, 2**53, 0, None, None, b"", {}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc0",
        NESTED,
        b"\x9a" + msgspec.msgpack.encode(CONTENTS)[1:] + NESTED,  # one element too many, and deep
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        msgspec.msgpack.encode([*CONTENTS[:8], {"n": NESTED}]),
        msgspec.msgpack.encode([*CONTENTS[:8], {"n": b"\xdd\xff\xff\xff\xff"}]),
        msgspec.msgpack.encode([*CONTENTS[:8], [1]]),
        msgspec.msgpack.encode([*CONTENTS[:5], 7, 7, b"", {}]),
        msgspec.msgpack.encode([CONTENTS[0], float("nan"), *CONTENTS[2:]]),
        msgspec.msgpack.encode([*CONTENTS[:2], 2**64 - 1, 2**64 - 1, *CONTENTS[4:]]),
        msgspec.msgpack.encode([*CONTENTS[:8], {"": b"\xc0"}]),
        b"\x99\xd9\x02\xff\xfe" + msgspec.msgpack.encode(CONTENTS)[18:],
    ],
)
def test_nothing_with_a_good_signature_breaks_a_server(body: bytes, make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE="signed-cookie")
    rig.app.config["PROPAGATE_EXCEPTIONS"] = rig.app.testing = False
    header = {"Cookie": f"session={signed(body)}"}
    client = rig.app.test_client(use_cookies=False)
    answer = rig.visit(lambda: str(len(dict(flask.session))), client, headers=header)
    assert answer.status_code == 200 or "cannot be read" in answer.text
    again = rig.visit(lambda: flask.session.update(n=1), rig.browser())
    assert again.status_code == 200
    assert time_of(rig, header) < 1.0


def time_of(rig: Rig, header: dict[str, str]) -> float:
    """Seconds that a request takes."""
    from time import perf_counter

    began = perf_counter()
    rig.visit(str, rig.app.test_client(use_cookies=False), headers=header)
    return perf_counter() - began


@pytest.mark.parametrize("sort", SORTS)
def test_parts_of_two_cookies_make_none(sort: str, make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE=sort)
    ann, bob = rig.browser(), rig.browser()
    rig.visit(lambda: session().login("ann"), ann)
    rig.visit(lambda: session().login("bob"), bob)
    one, other = value(ann), value(bob)
    assert len(one) == len(other)
    for at in range(4, len(one) - 1, 4):
        mixed = one[:at] + other[at:]
        assert mixed in (one, other) or with_cookies(rig, mixed) == NOBODY
    assert with_cookies(rig, "x" + one[1:] if sort == SORTS[0] else "s" + one[1:]) == NOBODY


@pytest.mark.parametrize("sort", SORTS)
def test_a_clock_that_jumps_ends_sessions_or_leaves_them(sort: str, make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE=sort)
    rig.visit(lambda: session().login("ann"))
    right = store(rig)._clock
    for days, found in ((-3_650, "ann"), (3_650, None), (0, "ann")):
        store(rig)._clock = partial(shifted, right, days)
        assert with_cookies(rig, value(rig.client))[0] == found


# --- Headers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", SORTS)
def test_what_depends_on_the_cookie_says_so(sort: str, make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE=sort)
    for view in (put(n=1), lambda: str(len(flask.session)), lambda: session().clear()):
        assert "Cookie" in rig.visit(view).headers["Vary"]
    assert "Vary" not in rig.visit(lambda: "a page for everybody").headers


def test_a_cookie_that_is_refused_is_not_sent_again(make_rig: MakeRig) -> None:
    rig = make_rig(MOORED_SESSION_STORE="signed-cookie")
    rig.visit(lambda: session().login("ann"))
    rig.mooring.state.sessions.revoke_subject("ann")
    assert cookies(rig.visit(lambda: str(session().subject))) == []


def test_keys_are_rotated(make_rig: MakeRig) -> None:
    for now, then in (SORTS, SORTS[::-1]):
        rig = make_rig(MOORED_SESSION_STORE=now)
        rig.visit(lambda: session().login("ann"))
        held = value(rig.client)
        later = make_rig(
            MOORED_SESSION_STORE=then,
            SECRET_KEY="a newer secret of these tests",
            SECRET_KEY_FALLBACKS=[SECRET],
        )
        store(later).revocable = store(rig).revocable = False
        rig.visit(lambda: session().login("ann"))
        held = value(rig.client)
        assert with_cookies(later, held)[0] == "ann"
        later.client.set_cookie("session", held)
        later.visit(put(n=1))
        assert with_cookies(rig, value(later.client)) == NOBODY
