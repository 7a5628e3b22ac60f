"""The scenes: what happens to the shop's sessions, and how many of the changes are there afterwards.

A scene knows nothing of sides.  What it chooses, it takes from a ``random.Random`` that is
seeded alike for every side.  It raises NotRun where what it relies on did not happen: a scene
in which nobody could sign in would find nobody signed in.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random

from msgspec import Struct

from moored.prove.browser import Browser, Visits
from moored.prove.gate import Gate, NotRun, Waiting

TABS = 4  # requests at once
ROUNDS = 25  # of them, in the scenes with a cart
KEY_ROUNDS = 10
TIMES = 8  # in the scenes that are about one request after the other
JITTER = 0.004  # seconds at most by which requests that were let go together differ
GOODS = ("anchor", "bell", "compass", "cork", "lantern", "mug", "ring", "rope")


class Count(Struct, frozen=True):
    """How many changes were asked for, how many are there, and how many were answered with an error."""

    expected: int
    kept: int
    failed: int = 0


class Stage:
    """What a scene has to work with: a server, the gate, and chance."""

    def __init__(self, port: int, gate: Gate, random: Random) -> None:
        self.gate = gate
        self.random = random
        self.visits: Visits = Visits()
        self._port = port

    def browser(self) -> Browser:
        """A new browser, without cookies."""
        return Browser(self._port, self.visits)

    def visitor(self) -> Browser:
        """A browser that has a session; NotRun if it has none."""
        found = self.browser()
        found.must("/begin")
        if not found.jar:
            raise NotRun("the shop set no cookie")
        return found

    def goods(self, count: int) -> list[str]:
        """Names of so many different things."""
        return [f"{self.random.choice(GOODS)}-{number}" for number in range(count)]

    def delays(self, count: int) -> list[float]:
        """So many short times in seconds."""
        return [self.random.uniform(0, JITTER) for _ in range(count)]


def cart(stage: Stage) -> Count:
    """Four tabs add to one cart; all four have read it before one of them writes."""
    visitor, goods = stage.visitor(), stage.goods(TABS * ROUNDS)
    added = _side_by_side(stage, visitor, [f"/cart/{item}" for item in goods])
    there = set(visitor.session().get("cart", ()))
    return _count(goods, added, there)


def rush(stage: Stage) -> Count:
    """Four tabs add to one cart, each as fast as it can; nobody waits for anybody."""
    visitor, goods = stage.visitor(), stage.goods(TABS * ROUNDS)

    def tab(number: int) -> list[bool]:
        return [visitor.post(f"/cart/{item}") for item in goods[number::TABS]]

    with ThreadPoolExecutor(TABS) as pool:
        answers = list(pool.map(tab, range(TABS)))
    added = [answers[number % TABS][number // TABS] for number in range(len(goods))]
    there = set(visitor.session().get("cart", ()))
    return _count(goods, added, there)


def keys(stage: Stage) -> Count:
    """Four tabs set four different keys; all four have read the session before one of them writes."""
    visitor, names = stage.visitor(), stage.goods(TABS * KEY_ROUNDS)
    was_set = _side_by_side(stage, visitor, [f"/setting/{name}" for name in names])
    return _count(names, was_set, set(visitor.session()))


def sign_out(stage: Stage) -> Count:
    """Sign out while a slow request is under way, which then writes to the session.  Who is signed in?"""
    held = 0
    for _ in range(TIMES):
        name = f"user-{stage.random.randrange(10_000)}"
        visitor = _signed_in(stage.visitor(), name)
        with ThreadPoolExecutor(1) as other_tab:
            slow = other_tab.submit(visitor.post, "/report", gate=True)
            with _under_way(stage, [slow]) as under_way:
                visitor.must("/sign-out")
                under_way.let_go(stage.delays(1))
            if not slow.result():
                raise NotRun("the slow request was answered with an error")
        held += "user_id" not in visitor.session()
    return Count(TIMES, held)


def fixation(stage: Stage) -> Count:
    """An attacker's cookie is in the visitor's browser when they sign in.  Whose session has the attacker?"""
    held = 0
    for _ in range(TIMES):
        name = f"user-{stage.random.randrange(10_000)}"
        attacker, visitor = stage.visitor(), stage.browser()
        visitor.jar.update(attacker.jar)
        _signed_in(visitor, name)
        held += "user_id" not in attacker.session()
    return Count(TIMES, held)


def nested(stage: Stage) -> Count:
    """Append to a list in the session, in place and without a flag, one request after the other."""
    visitor, goods = stage.visitor(), stage.goods(TIMES)
    if "wishes" not in visitor.session():
        raise NotRun("the list that is to be changed was not kept")
    added = [visitor.post(f"/wish/{item}") for item in goods]
    return _count(goods, added, set(visitor.session().get("wishes", ())))


def _side_by_side(stage: Stage, visitor: Browser, paths: list[str]) -> list[bool]:
    """Send these, as many at once as there are tabs; each such round has read before one of it writes."""
    found: list[bool] = []
    with ThreadPoolExecutor(TABS) as tabs:
        for start in range(0, len(paths), TABS):
            some = paths[start : start + TABS]
            sent = [tabs.submit(visitor.post, path, gate=True) for path in some]
            _under_way(stage, sent).let_go(stage.delays(len(sent)))
            found += [each.result() for each in sent]
    return found


def _under_way(stage: Stage, sent: list[Future[bool]]) -> Waiting:
    """The handlers of these requests, all of them when they have read; NotRun if they do not come so far."""
    try:
        return stage.gate.gather(len(sent), "read")
    except NotRun:
        stage.gate.send_away(lambda: all([each.done() for each in sent]))
        raise


def _signed_in(browser: Browser, name: str) -> Browser:
    browser.must(f"/sign-in/{name}")
    if browser.session().get("user_id") != name:
        raise NotRun("who signed in is not signed in")
    return browser


def _count(asked: list[str], acknowledged: list[bool], there: set[str]) -> Count:
    """What was acknowledged and is not there is lost; an error is not a loss: it was told."""
    kept = [item in there for item, ok in zip(asked, acknowledged, strict=True) if ok]
    return Count(len(asked), sum(kept), acknowledged.count(False))


class Scene(Struct, frozen=True):
    """One scene and its words; ``lost`` and ``kept`` are said of changes, with figures."""

    id: str
    title: str  # at most 14 characters, for a terminal
    headline: str
    does: str
    play: Callable[[Stage], Count]
    kept: str = "kept"
    lost: str = "lost"
    remark: str = ""  # what a peer that lost has to say for itself


_ADDS, _KEYS = TABS * ROUNDS, TABS * KEY_ROUNDS

SCENES = (
    Scene(
        "cart",
        "cart",
        "Adding to one cart from four tabs",
        f"{_ADDS} adds, {TABS} at a time: all {TABS} have read the cart before one writes it",
        cart,
    ),
    Scene(
        "rush",
        "cart at speed",
        "The same, with nobody waiting",
        f"{_ADDS} adds from {TABS} tabs, each as fast as it can",
        rush,
    ),
    Scene(
        "keys",
        "different keys",
        "Setting different keys of one session",
        f"{_KEYS} keys, {TABS} at a time: all {TABS} have read the session before one writes",
        keys,
    ),
    Scene(
        "sign-out",
        "sign-out",
        "Signing out while a slow request runs",
        f"{TIMES} times: the request writes to the session after the sign-out was answered",
        sign_out,
        "held",
        "undone",
    ),
    Scene(
        "fixation",
        "fixation",
        "Signing in on a planted cookie",
        f"{TIMES} times: an attacker's cookie was in the browser; is the attacker signed in now?",
        fixation,
        "held",
        "stolen",
        "with Flask-Session, calling session_interface.regenerate(session) at every sign-in prevents it.",
    ),
    Scene(
        "nested",
        "nested change",
        "Changing a value in place",
        f"{TIMES} appends to a list in the session, without session.modified = True",
        nested,
    ),
)
