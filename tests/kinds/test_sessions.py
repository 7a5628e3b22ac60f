"""The promises of sessions, on every engine; what may happen between two steps is in tests/simulation."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from tests.kinds.place import Place

from moored import ConflictError, GoneError, HeldError, LoginRefused, OutOfBounds, TooLargeError
from moored.codec import decode, encode
from moored.engines.sqlite_writer import SMALL
from moored.kinds.sessions import EndedSession, SessionInfo, SessionSettings, changes, exclusive
from moored.kinds.sessions.browsers import remembers
from moored.kinds.sessions.end_reason import EndReason
from moored.kinds.sessions.gate import signing_in
from moored.kinds.sessions.record import Credential, Session, new_selector
from moored.kinds.sessions.saving import Outdated, Saved, create, load, look, save
from moored.kinds.sessions.signing import forget_identity, login, logout
from moored.kinds.sessions.subjects import Origin, noted
from moored.merge import MISSING, Rules
from moored.seal import KeyRing
from moored.web.remember import proven, value_for

SETTINGS = SessionSettings()
RING = KeyRing(["a secret of the application's own"])


def packed(**values: Any) -> dict[str, bytes | None]:
    return {name: None if value is MISSING else encode(value) for name, value in values.items()}


def values(session: Session | None) -> dict[str, Any]:
    assert session is not None
    return {name: decode(value) for name, value in session.user_fields().items()}


def visitor(place: Place, settings: SessionSettings = SETTINGS, **fields: Any) -> Credential:
    made: Saved[Credential] = place.run(create(packed(**fields), settings))
    assert made.credential
    return made.credential


def member(place: Place, subject: str, settings: SessionSettings = SETTINGS, **fields: Any) -> Credential:
    gate = place.run(signing_in(subject))
    made: Saved[Credential] = place.run(
        login(None, packed(**fields), gate, settings, origin=Origin("Firefox", "::1"))
    )
    assert made.credential
    return made.credential


def test_round_trip(place: Place) -> None:
    credential = visitor(place, cart=["a"], n=1)
    session = place.run(load(credential))
    assert values(session) == {"cart": ["a"], "n": 1}
    assert session.generation == 0
    assert session.subject is None


def test_a_wrong_verifier_proves_nothing(place: Place) -> None:
    credential = visitor(place, a=1)
    assert place.run(load(Credential(credential.selector, b"\0" * 16))) is None
    assert place.run(load(Credential("a" * 16, credential.verifier))) is None


def test_only_what_changed_is_written_and_different_fields_do_not_conflict(place: Place) -> None:
    credential = visitor(place)
    first, second = place.run(load(credential)), place.run(load(credential))
    steps: list[str] = []
    place.state.observe(lambda sent: steps.extend(sent.commands))
    place.run(save(first, packed(a=1), SETTINGS))
    place.run(save(second, packed(b=2), SETTINGS))
    assert steps == ["Patch", "Patch"]
    assert values(place.run(load(credential))) == {"a": 1, "b": 2}


def test_appends_of_both_are_there(place: Place) -> None:
    credential = visitor(place, cart=["x"])
    first, second = place.run(load(credential)), place.run(load(credential))
    place.run(save(first, packed(cart=["x", "a"]), SETTINGS))
    place.run(save(second, packed(cart=["x", "b"]), SETTINGS))
    assert values(place.run(load(credential))) == {"cart": ["x", "a", "b"]}


def test_a_removed_field_is_gone(place: Place) -> None:
    credential = visitor(place, a=1, b=2)
    place.run(save(place.run(load(credential)), packed(a=MISSING), SETTINGS))
    assert values(place.run(load(credential))) == {"b": 2}


def test_declared_rules(place: Place) -> None:
    settings = SessionSettings(merge=Rules.parse({"n": "sum", "draft": "refuse"}))
    credential = visitor(place, settings, n=10, draft="")
    first, second = place.run(load(credential)), place.run(load(credential))
    place.run(save(first, packed(n=11, draft="mine"), settings))
    place.run(save(second, packed(n=12), settings))
    assert values(place.run(load(credential)))["n"] == 13
    with pytest.raises(ConflictError, match="draft"):
        place.run(save(second, packed(draft="yours"), settings))


def test_the_old_cookie_is_dead_after_a_login(place: Place) -> None:
    planted = visitor(place, cart=["x"], csrf_token="planted")
    session = place.run(load(planted))
    saved = place.run(login(session, packed(user_id=1), place.run(signing_in("ann")), SETTINGS))
    assert saved.credential.selector == planted.selector
    assert place.run(look(planted)) == Outdated(recently=True)
    signed = place.run(load(saved.credential))
    assert signed.subject == "ann"
    assert signed.generation == 1
    assert values(signed) == {"cart": ["x"], "user_id": 1}, "the token from before the login is gone"


def test_another_person_gets_another_session_without_the_first_ones_data(place: Place) -> None:
    ann = member(place, "ann", secret="hers")
    session = place.run(load(ann))
    saved = place.run(login(session, packed(user_id="bob"), place.run(signing_in("bob")), SETTINGS))
    assert saved.credential.selector != ann.selector
    assert values(place.run(load(saved.credential))) == {"user_id": "bob"}
    assert place.run(load(ann)) is None
    assert place.do(lambda state: state.sessions.of("ann")) == []


def test_also_where_the_identity_was_removed_first(place: Place) -> None:
    ann = member(place, "ann", secret="hers")
    bare = place.run(forget_identity(place.run(load(ann)), {}, SETTINGS))
    session = place.run(load(bare.credential))
    assert session.subject is None
    assert session.owner == "ann"
    assert values(session) == {"secret": "hers"}
    saved = place.run(login(session, {}, place.run(signing_in("bob")), SETTINGS))
    assert values(place.run(load(saved.credential))) == {}


def test_a_logout_is_final(place: Place) -> None:
    ann = member(place, "ann", cart=[])
    late = place.run(load(ann))
    assert place.run(logout(place.run(load(ann)))) is True
    saved = place.run(save(late, packed(cart=["late"]), SETTINGS))
    assert saved.dropped
    assert saved.credential is None
    assert place.run(load(ann)) is None
    ended = place.do(lambda state: state.sessions.show(ann.selector))
    assert isinstance(ended, EndedSession)
    assert ended.reason == "signed out"
    assert abs(ended.ended.timestamp() - time.time()) < 60


def test_everywhere_leaves_none_and_refuses_logins_begun_before(place: Place) -> None:
    devices = [member(place, "ann") for _ in range(3)]
    gate = place.run(signing_in("ann"))
    kept = devices[1]
    place.do(lambda state: state.sessions.revoke_subject("ann", keep=kept.selector))
    assert [place.run(load(device)) is not None for device in devices] == [False, True, False]
    with pytest.raises(LoginRefused):
        place.run(login(None, {}, gate, SETTINGS))
    place.do(lambda state: state.sessions.revoke_subject("ann"))
    assert place.do(lambda state: state.sessions.of("ann")) == []


def test_lists_and_revokes_ones_own_only(place: Place) -> None:
    ann, bob = member(place, "ann"), member(place, "bob")
    (info,) = place.do(lambda state: state.sessions.of("ann"))
    assert isinstance(info, SessionInfo)
    assert (info.selector, info.subject, info.device, info.address) == (ann.selector, "ann", "Firefox", "::1")
    assert abs(info.created.timestamp() - time.time()) < 60
    assert info.last_seen >= info.created
    assert place.do(lambda state: state.sessions.revoke(ann.selector, subject="bob")) is False
    assert place.run(load(ann))
    assert place.do(lambda state: state.sessions.revoke(ann.selector, subject="ann")) is True
    assert place.run(load(ann)) is None
    assert place.run(load(bob))
    assert place.do(lambda state: state.sessions.revoke(bob.selector)) is True
    assert place.run(load(bob)) is None
    assert place.do(lambda state: state.sessions.revoke("nobody")) is False


def remembered(place: Place, browser: str = "") -> tuple[Credential, str]:
    """A session that a browser signed in to by its cookie, or for the first time; and the browser's name."""
    gate = place.run(signing_in("ann"))
    gate = gate.by_cookie(browser) if browser else replace(gate, wanted=True)
    made: Saved[Credential] = place.run(login(None, {}, gate, SETTINGS))
    assert made.credential
    assert remembers(place.run(signing_in("ann")).record, made.session.browser)
    assert made.session.browser == browser or not browser
    return made.credential, made.session.browser


def is_remembered(place: Place, browser: str) -> bool:
    gate = place.run(signing_in("ann"))
    return proven(value_for(gate, browser, RING), gate, RING) is not None


def test_with_a_session_its_browser_is_forgotten(place: Place) -> None:
    (here, mine), (first, lost) = remembered(place), remembered(place)
    there = [first, remembered(place, lost)[0]]
    gate = place.run(signing_in("ann"))
    assert place.do(lambda state: state.sessions.revoke(there[0].selector, subject="bob")) is False
    assert is_remembered(place, lost)
    assert place.do(lambda state: state.sessions.revoke(there[0].selector, subject="ann")) is True
    assert [place.run(look(device)) for device in there] == [Outdated(True, ended=True)] * 2
    assert not is_remembered(place, lost)
    assert place.run(load(here)) is not None
    assert is_remembered(place, mine)
    with pytest.raises(LoginRefused):
        place.run(login(None, {}, gate.by_cookie(lost), SETTINGS))
    ended = place.do(lambda state: state.sessions.show(there[1].selector))
    assert isinstance(ended, EndedSession)
    assert ended.reason == "revoked"


@pytest.mark.parametrize(
    "how",
    [
        logout,
        lambda session: logout(session, EndReason.REPLACED),
        lambda session: forget_identity(session, {}, SETTINGS),
    ],
    ids=["logout", "why", "forget_identity"],
)
def test_a_sign_out_lets_the_browser_forget(place: Place, how: Callable[[Session], Any]) -> None:
    earlier, browser = remembered(place)
    credential, _ = remembered(place, browser)
    place.run(how(place.run(load(credential))))
    assert not is_remembered(place, browser)
    assert place.run(load(earlier)) is None


def test_what_is_ending_takes_no_room() -> None:
    """On a full disk a step that ends something may write little: see ``sqlite_writer``."""
    for why, further in ((EndReason.EVERYWHERE, len(secrets.token_hex(8))), (EndReason.REVOKED, 0)):
        ending = dict.fromkeys([new_selector() for _ in range(SETTINGS.each)], why)
        assert sum(map(len, noted(ending).values())) + further <= SMALL


def test_reasons_mean_what_they_meant() -> None:
    """Records of earlier versions hold these codes, and applications compare these words: none may change."""
    stored = [(why.code, why.note) for why in EndReason]
    assert stored[:8] == [
        (b"", b"signed out everywhere"),
        (b"1", b"over the maximum"),
        (b"2", b"revoked"),
        (b"3", b"revoked by an operator"),
        (b"4", b"signed out"),
        (b"5", b"replaced by another sign-in"),
        (b"6", b"replaced by a sign-in"),
        (b"7", b"ended by the old library"),
    ]
    assert len(dict(stored)) == len(stored)
    assert [EndReason.of_code(why.code) for why in EndReason] == list(EndReason)
    assert EndReason.of_code(b"99") is EndReason.EVERYWHERE


def test_over_the_maximum_the_oldest_ends(place: Place) -> None:
    settings = SessionSettings(each=2)
    first, *others = [member(place, "ann", settings) for _ in range(3)]
    assert place.run(load(first)) is None
    assert {info.selector for info in place.do(lambda state: state.sessions.of("ann"))} == {
        device.selector for device in others
    }


def page_at(cursor: str, state: Any) -> Any:
    return state.sessions.selectors(cursor, 7)


def test_scans_all_selectors(place: Place) -> None:
    made = {visitor(place, n=n).selector for n in range(25)}
    found: set[str] = set()
    cursor = ""
    while True:
        page, cursor = place.do(partial(page_at, cursor))
        found |= set(page)
        if not cursor:
            break
    assert found == made


def test_idle_and_absolute_expiry(place: Place) -> None:
    idle = visitor(place, SessionSettings(idle=150), a=1)
    short = SessionSettings(idle=60_000, absolute=300)
    absolute = visitor(place, short, a=1)
    assert place.run(load(idle))
    assert place.run(load(absolute))
    ends = time.monotonic() + 5
    while place.run(load(idle)):
        assert time.monotonic() < ends, "it did not expire"
    while session := place.run(load(absolute)):
        place.run(save(session, packed(t=time.time()), short))  # using it does not outlast the absolute end
        assert time.monotonic() < ends, "it did not expire"


def test_a_session_that_expired_meanwhile(place: Place) -> None:
    short = SessionSettings(idle=100)
    anonymous, signed = visitor(place, short, a=1), member(place, "ann", short, a=1)
    first, second = place.run(load(anonymous)), place.run(load(signed))
    ends = time.monotonic() + 5
    while place.run(load(anonymous)) or place.run(load(signed)):
        assert time.monotonic() < ends
    saved = place.run(save(first, packed(b=2), SETTINGS))
    assert saved.credential.selector != anonymous.selector
    assert values(place.run(load(saved.credential))) == {"a": 1, "b": 2}
    with pytest.raises(GoneError):
        place.run(save(second, packed(b=2), SETTINGS))


def test_take_add_append(place: Place) -> None:
    session = place.run(load(visitor(place, code=7, n=1)))
    again = session
    session, code = place.run(changes.take(session, "code", SETTINGS))
    assert code == 7
    assert place.run(changes.take(again, "code", SETTINGS))[1] is MISSING
    session, total = place.run(changes.decide(session, "n", changes.adding("n", 2, None, 3), SETTINGS))
    assert total == 3
    with pytest.raises(OutOfBounds):
        place.run(changes.decide(again, "n", changes.adding("n", 1, None, 3), SETTINGS))
    once, twice = changes.appending("cart", "a", True), changes.appending("cart", "a", False)
    _, items = place.run(changes.decide(again, "cart", once, SETTINGS))
    assert items == ["a"]
    assert place.run(changes.decide(session, "cart", once, SETTINGS))[1] == ["a"]
    assert place.run(changes.decide(session, "cart", twice, SETTINGS))[1] == [
        "a",
        "a",
    ]
    with pytest.raises(ConflictError, match="not a number"):
        place.run(changes.decide(session, "cart", changes.adding("cart", 1, None, None), SETTINGS))


def test_exclusive_use(place: Place) -> None:
    credential = visitor(place, balance=10)
    other = place.run(load(credential))
    held, token = place.run(exclusive.hold(place.run(load(credential)), 10_000))
    place.state.binding.policy.deadline = 0.2
    with pytest.raises(HeldError):
        place.run(save(other, packed(balance=99), SETTINGS))
    place.state.binding.policy.deadline = 2.0
    place.run(save(held, packed(balance=5), SETTINGS, token=token))
    place.run(save(other, packed(other=1), SETTINGS))
    assert values(place.run(load(credential))) == {"balance": 5, "other": 1}


def test_limits_name_the_field_and_its_size(place: Place) -> None:
    small = SessionSettings(largest=2_000, most=20)
    session = place.run(load(visitor(place, a=1)))
    with pytest.raises(TooLargeError, match=r"2000 are allowed; its largest field is 'big' with 300\d"):
        place.run(save(session, packed(big="x" * 3_000), small))
    with pytest.raises(TooLargeError, match="fields, 20 are allowed"):
        place.run(save(session, packed(**{f"f{n}": 1 for n in range(30)}), small))


def test_ten_thousand_fields(place: Place) -> None:
    credential = visitor(place, SETTINGS, **{f"f{n}": n for n in range(10_000)})
    session = place.run(load(credential))
    assert len(session.names()) == 10_000
    place.run(save(session, packed(**{f"f{n}": -n for n in range(9_000)}), SETTINGS))
    assert decode(place.run(load(credential)).get("f8999")) == -8999
