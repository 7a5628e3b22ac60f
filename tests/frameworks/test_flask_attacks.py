"""What an attacker, or a mistaken handler, tries with a session; each was possible once."""

from __future__ import annotations

import pytest
from tests.frameworks.rig import MakeRig, Rig, cookies, session, value

from moored import MisuseError, OutOfBounds, TooLargeError
from moored.kinds.sessions.settings import DAY
from moored.testing.servers import RedisServer


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    return make_rig("memory:")


def test_a_cleared_sign_in_is_none(rig: Rig) -> None:
    def blocked() -> None:
        session().login("ann")
        session().clear()

    rig.visit(lambda: session().update(cart=[1]))
    rig.visit(blocked)
    assert rig.look(lambda: session().subject) is None


def test_a_sign_in_that_ends_everywhere_is_none(rig: Rig) -> None:
    rig.visit(lambda: session().login("ann"))

    def leave() -> None:
        session().login("ann")
        session().logout_everywhere()

    rig.visit(leave)
    assert rig.look(lambda: session().subject) is None


@pytest.mark.parametrize("field", ["user_id", "_fresh"])
def test_nobody_signs_in_inside_exclusive(rig: Rig, field: str) -> None:
    rig.visit(lambda: session().update(cart=[1]))

    def victim() -> None:
        with session().exclusive():
            session()[field] = True if field == "_fresh" else "victim"

    with pytest.raises(MisuseError, match=r"inside exclusive\(\)"):
        rig.visit(victim)
    assert rig.data() == {"cart": [1]}


def test_identity_is_not_added_to(rig: Rig) -> None:
    rig.visit(lambda: session().update(cart=[1]))
    for change in (
        lambda: session().add("user_id", 42),
        lambda: session().append("user", "x"),
        lambda: session().take("user_id"),
    ):
        with pytest.raises(MisuseError, match="who is signed in"):
            rig.visit(change)


def test_a_nickname_is_no_sign_in(rig: Rig) -> None:
    rig.visit(lambda: session().update(_user_id="42", cart=[1]))
    rig.visit(lambda: session().update(user="Alice"))
    assert rig.look(lambda: session().subject) == "42"
    assert rig.data()["cart"] == [1]
    rig.visit(lambda: session().update(_user_id="43"))
    assert rig.look(lambda: session().subject) == "43"


def test_a_number_that_is_none_does_not_pass_bounds(rig: Rig) -> None:
    rig.visit(lambda: str(session().add("balance", 100, min=0)))
    with pytest.raises(MisuseError, match="finite"):
        rig.visit(lambda: session().add("balance", float("nan"), min=0, max=1000))
    rig.visit(lambda: session().update(broken=float("nan")))
    with pytest.raises(OutOfBounds):
        rig.visit(lambda: session().add("broken", 1, min=0))


def test_changes_made_at_once_keep_the_limits(make_rig: MakeRig) -> None:
    rig = make_rig("memory:", MOORED_SESSION_MAX_BYTES=10_000, MOORED_SESSION_MAX_FIELDS=20)
    for _ in range(9):
        rig.visit(lambda: session().append("h", "x" * 1000))
    with pytest.raises(TooLargeError, match="10000 are allowed"):
        rig.visit(lambda: session().append("h", "x" * 1000))

    def count_up() -> None:
        for n in range(100):
            session().add(f"n{n}", 1)

    with pytest.raises(TooLargeError, match="20 are allowed"):
        rig.visit(count_up)
    with pytest.raises(TooLargeError):
        rig.visit(lambda: session().update({"n" * 20_000: 1}))
    assert len(rig.data()["h"]) == 9


def test_nobody_s_session_is_not_everybody_s(rig: Rig) -> None:
    rig.visit(lambda: session().login("ann"))
    sessions = rig.mooring.state.sessions
    (info,) = sessions.of("ann")
    with pytest.raises(MisuseError):
        sessions.revoke(info.selector, subject=None)  # type: ignore[arg-type]
    assert sessions.revoke(info.selector, subject=42) is False
    assert sessions.revoke(info.selector) is True


def test_everywhere_ends_this_one_whatever_the_list_says(rig: Rig) -> None:
    rig.visit(lambda: session().login("ann"))
    old = value(rig.client)
    rig.mooring.state.binding.engine.records.pop("subject:ann")  # type: ignore[attr-defined]
    rig.visit(lambda: session().logout_everywhere())
    rig.client.set_cookie("session", old)
    assert rig.look(lambda: session().subject) is None


def test_a_shorter_lifetime_does_not_forget_longer_sessions(make_rig: MakeRig) -> None:
    long = make_rig("memory:", MOORED_SESSION_ABSOLUTE=90 * DAY / 1000)
    long.visit(lambda: session().login("ann"))
    records = long.mooring.state.binding.engine.records  # type: ignore[attr-defined]
    before = records["subject:ann"].expires
    long.mooring.interface.host.settings = type(long.mooring.interface.host.settings)(absolute=DAY)
    long.app.test_client().get("/")
    other = long.app.test_client()
    long.visit(lambda: session().login("ann"), other)
    assert records["subject:ann"].expires >= before - 60_000


def test_a_superseded_request_locks_nobody_out(rig: Rig) -> None:
    rig.visit(lambda: session().update(cart=[1]))
    planted = value(rig.client)
    old = rig.app.test_client()
    old.set_cookie("session", planted)

    def slow() -> str:
        len(session())
        rig.visit(lambda: session().login("ann"))  # meanwhile, in the victim's browser
        try:
            with session().exclusive():
                return "held"
        except Exception as error:
            return type(error).__name__

    assert rig.visit(slow, old).text == "GoneError"
    assert rig.visit(lambda: session().update(a=1)).status_code == 200


def test_a_planted_cookie_beside_the_own_one(rig: Rig) -> None:
    rig.visit(lambda: session().login("ann"))
    own = value(rig.client)
    eve = rig.app.test_client()
    rig.visit(lambda: session().login("eve"), eve)
    junk = "; ".join(f"session={number:040d}" for number in range(19))
    for header in (f"session={value(eve)}; session={own}", f"session={value(eve)}; {junk}; session={own}"):
        plain = rig.app.test_client(use_cookies=False)
        assert rig.visit(lambda: str(session().subject), plain, headers={"Cookie": header}).text == "None"


def test_a_dead_cookie_beside_the_own_one_does_no_harm(rig: Rig) -> None:
    rig.visit(lambda: session().login("ann"))
    dead = value(rig.client)
    rig.visit(lambda: session().logout())
    rig.visit(lambda: session().login("ann"))
    header = f"session={dead}; session={value(rig.client)}"
    plain = rig.app.test_client(use_cookies=False)
    assert rig.visit(lambda: str(session().subject), plain, headers={"Cookie": header}).text == "ann"


def test_a_sign_out_tried_again_is_done(make_rig: MakeRig) -> None:
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        rig, other = (make_rig(f"{server.url}?deadline=1") for _ in range(2))
        rig.visit(lambda: session().login("ann"))
        old = value(rig.client)

        def leave() -> None:
            session().logout()
            server.kill()

        assert rig.visit(leave).status_code == 503
        server.start()
        answer = rig.visit(lambda: session().logout())
        assert answer.status_code == 200
        assert cookies(answer) != []
        other.client.set_cookie("session", old)
        assert other.look(lambda: session().subject) is None
