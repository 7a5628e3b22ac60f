"""Ordering what is in the cart: once, and no more than there is."""

from __future__ import annotations

import base64
import secrets
import sqlite3
import time

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from moored.demo import stock
from moored.demo.books import Order
from moored.demo.goods import GOODS, summary, total
from moored.demo.shop import cart_page
from moored.demo.visitor import books, cart, visitor

checkout: Blueprint = Blueprint("checkout", __name__)


@checkout.get("/checkout")
def show() -> ResponseReturnValue:
    """The order as it would be placed, with the number that it will have."""
    lines = cart()
    if not lines:
        return redirect(url_for("shop.show_cart"), 303)
    number = visitor().setdefault("checkout", _new_number())
    if books().order(number):  # placed, but the answer and the change to the session were lost
        return redirect(_forget_cart(number), 303)
    return render_template("checkout.html", goods=GOODS, lines=lines, number=number, summary=summary(lines))


@checkout.post("/checkout")
def place() -> ResponseReturnValue:
    """Place the order that the visitor saw: all of it, once, or nothing.

    Of several requests with one number (a double click, a retry) the first gets the session
    to itself, the others wait and then find the order in the books.
    """
    number = request.form.get("number", "")
    if visitor().selector is None:
        return cart_page("This cart has ended. Nothing was ordered."), 409
    with visitor().exclusive():
        lines = cart()
        if books().order(number) is None:
            seen = visitor().get("checkout") == number and request.form.get("lines") == summary(lines)
            if not lines or not seen:
                return cart_page("The cart has changed since you looked at it. Nothing was ordered."), 409
            try:
                stock.take(lines)
            except stock.SoldOut as short:
                return cart_page(_short(short.left)), 409
            _enter(_order(number, lines))
        return redirect(_forget_cart(number), 303)


def _order(number: str, lines: dict[str, int]) -> Order:
    boat = " ".join(request.form.get("boat", "").split())[:40] or "boat without a name"
    return Order(number, visitor().subject, boat, lines, total(lines), time.time())


def _enter(order: Order) -> None:
    """Put the order into the books, or what was taken for it back on the shelf."""
    try:
        if books().place(order):
            return
    except sqlite3.Error:
        if books().order(order.number) is not None:
            raise
        stock.give_back(order.lines)
        raise
    stock.give_back(order.lines)  # another request of that number was faster


@checkout.get("/orders/<number>")
def order(number: str) -> str:
    """An order, for whoever placed it."""
    found, subject = books().order(number), visitor().subject
    if found is None:
        abort(404)
    if number not in visitor().get("orders", ()) and (subject is None or found.owner != subject):
        abort(404)
    return render_template("order.html", goods=GOODS, order=found)


def _new_number() -> str:
    """An order's number, which nobody can guess: 40 bits."""
    return base64.b32encode(secrets.token_bytes(5)).decode()


def _forget_cart(number: str) -> str:
    """The order is placed: its cart is gone; where it is shown."""
    session = visitor()
    if session.get("checkout") == number:
        del session["checkout"]
        session.pop("cart", None)
        session.setdefault("orders", []).append(number)
    return url_for("checkout.order", number=number)


def _short(left: dict[str, int]) -> str:
    short = [f"{GOODS[name].title}: {f'only {n} left' if n else 'sold out'}" for name, n in left.items()]
    return f"{'; '.join(short) or 'Somebody was faster'}. Nothing was ordered, and nothing was taken."
