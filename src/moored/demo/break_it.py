"""“Break it”: the page of scenes made to lose something, each with the code that it tries."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from msgspec import Struct

from moored.demo import account, lab, rush, stock
from moored.demo.goods import GOODS
from moored.demo.visitor import books

break_it: Blueprint = Blueprint("break_it", __name__)


class Scene(Struct, frozen=True):
    """One thing to try: what it does, and the code that it tries it on."""

    name: str
    title: str
    does: str
    button: str
    code: Callable[..., object]

    @property
    def source(self) -> str:
        """That code as it stands in its file."""
        return inspect.getsource(self.code)


SCENES = (
    Scene(
        "corks",
        "Fifty adds at once",
        "Your browser adds a cork float to your cart 50 times, as many at a time as it can. Each request"
        " reads the cart, dawdles for 50 ms and writes it back. One setting says that quantities add up.",
        "Add 50 corks",
        lab.add_cork,
    ),
    Scene(
        "tabs",
        "Two tabs, one session",
        "Two tabs write 20 notes each, side by side, deep inside one value of your session. There is no"
        " setting, no flag and no lock.",
        "Write from two tabs",
        lab.add_note,
    ),
    Scene(
        "rush",
        "Thirty shoppers, five sextants",
        "The shelf is filled to five sextants. Thirty shoppers (played by the server, over HTTP) each put one"
        " into a cart and press “Place the order” at the same moment.",
        "Open the doors",
        stock.take,
    ),
    Scene(
        "deep",
        "A change deep inside",
        "Twenty requests, one after the other, each change something two levels deep in what is stored, and"
        " none of them says so. No flag is set, and nothing is assigned to the session itself.",
        "Change it 20 times",
        lab.change_deep,
    ),
    Scene(
        "race",
        "A slow request over a sign-out",
        "A second browser (played by the server) starts a request that takes two seconds and then writes"
        " to its session. Meanwhile it signs out. Your own session is not touched.",
        "Race the sign-out",
        lab.slow,
    ),
    Scene(
        "planted",
        "A planted cookie",
        "An attacker plants the cookie of their own session in a victim's browser. The victim signs in. Then"
        " the attacker comes back with that cookie, to look and to write. Both are played by the server.",
        "Plant the cookie",
        account.sign_in,
    ),
)


@break_it.get("/break-it")
def show() -> str:
    """The page."""
    return render_template(
        "break_it.html",
        scenes=SCENES,
        gone=[GOODS[name].title for name in GOODS if not stock.left(name)],
        restocked="restocked" in request.args,
    )


@break_it.post("/restock")
def restock() -> ResponseReturnValue:
    """Fill all shelves, but not that of a product that is being counted."""
    with rush.alone(books().file) as free:
        for name in GOODS:
            if free or name != rush.WANTED:
                stock.restock(name)
    return redirect(url_for("break_it.show", restocked="yes", _anchor="restock"), 303)
