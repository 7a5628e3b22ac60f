"""The shelf and the cart."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from moored.demo import stock
from moored.demo.goods import GOODS
from moored.demo.visitor import cart, state, visitor

MOST = 999  # pieces of one product in a cart

shop: Blueprint = Blueprint("shop", __name__)


@shop.get("/")
def shelf() -> str:
    """All goods, with what is left of each."""
    visits = state().counter("visits")
    opened = request.headers.get("Sec-Fetch-Dest", "document") == "document"
    return render_template(
        "shelf.html",
        goods=GOODS,
        left={name: stock.left(name) for name in GOODS},
        visits=visits.add() if opened else visits.value(),
    )


@shop.get("/cart")
def show_cart() -> str:
    """What is in the cart."""
    return cart_page()


@shop.post("/cart")
def change_cart() -> ResponseReturnValue:
    """Add one piece of a product, set how many there are (``quantity``), or ``remove`` all of them."""
    name = request.form.get("product", "")
    if name not in GOODS:
        abort(404)
    quantity = request.form.get("quantity", type=int)
    if "remove" in request.form or quantity == 0:
        visitor().get("cart", {}).pop(name, None)
    elif "quantity" not in request.form:
        lines = visitor().setdefault("cart", {})
        lines[name] = lines.get(name, 0) + 1
    elif quantity is None or not 0 < quantity <= MOST:
        abort(400, f"The quantity must be a whole number from 0 to {MOST}.")
    else:
        # Added up, as the app's settings say, "make it 5" sent twice would come to more than 5.
        with visitor().exclusive():
            visitor().setdefault("cart", {})[name] = quantity
    if "quantity" in request.form or "remove" in request.form:
        return redirect(url_for("shop.show_cart"), 303)
    return redirect(url_for("shop.shelf", _anchor=f"card-{name}"), 303)


def cart_page(problem: str = "") -> str:
    """The cart, and what is wrong with it."""
    return render_template(
        "cart.html",
        goods=GOODS,
        lines=cart(),
        left={name: stock.left(name) for name in cart()},
        most=MOST,
        problem=problem,
    )
