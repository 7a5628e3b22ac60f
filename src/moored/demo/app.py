"""The shop: a catalogue, a cart, signing in and out, and the visitor's devices."""

from __future__ import annotations

import hmac
import os
from datetime import UTC, datetime
from typing import cast

from flask import Blueprint, Flask, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from moored.demo import lab
from moored.demo.goods import GOODS, euros, known, total
from moored.demo.visitor import state, visitor
from moored.flask import Moored
from moored.web.cross_site import SAFE, is_cross_site

PASSWORD = "moored"  # noqa: S105 - shown on the page
MOST = 999  # pieces of one product in a cart
IDLE = 3600  # seconds after which a visitor who does nothing is forgotten
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

shop = Blueprint("shop", __name__)


def create_app(url: str, secret: str | None = None) -> Flask:
    """The shop, with its state at ``url``.

    ``secret`` is Flask's ``SECRET_KEY``; a SQLite file can do without.
    """
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secret,
        MAX_CONTENT_LENGTH=10_000,
        MOORED_SESSION_IDLE=IDLE,
        # Two requests that add to one line of the cart: both additions count.
        MOORED_MERGE={"cart.*": "sum"},
        MOORED_LOGIN_CROSS_SITE="refuse",
    )
    Moored(app, url)
    app.before_request(_refuse_other_sites)
    app.after_request(_harden)
    app.add_template_filter(euros)
    app.add_template_filter(_ago, "ago")
    app.add_template_filter(_device, "device")
    app.register_blueprint(shop)
    app.register_blueprint(lab.lab)
    return app


@shop.get("/")
def index() -> str:
    """The page."""
    return _page()


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
        cart = visitor().setdefault("cart", {})
        cart[name] = cart.get(name, 0) + 1
    elif quantity is None or not 0 < quantity <= MOST:
        abort(400, f"The quantity must be a whole number from 0 to {MOST}.")
    else:
        # Added up, as declared above, "make it 5" sent twice would come to more than 5.
        with visitor().exclusive():
            visitor().setdefault("cart", {})[name] = quantity
    return _back("cart")


@shop.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Any name will do; the password is on the page."""
    name = " ".join(request.form.get("name", "").split())[:40]
    if not name:
        return _page("Tell us a name first."), 400
    visitor().signing_in(name)  # before the proof: signed out everywhere meanwhile, this sign-in is refused
    if not hmac.compare_digest(request.form.get("password", "").encode(), PASSWORD.encode()):
        return _page(f"That is not the password. It is “{PASSWORD}”."), 403
    visitor().login(name)
    return _back("you")


@shop.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this session, with its cart."""
    visitor().logout()
    return _back("you")


@shop.post("/devices/sign-out")
def sign_out_device() -> ResponseReturnValue:
    """End one of the visitor's sessions; ``subject`` makes sure that it is theirs."""
    selector, subject = request.form.get("selector", ""), visitor().subject
    if selector == visitor().selector:
        return sign_out()
    if subject is not None:
        state().sessions.revoke(selector, subject=subject)
    return _back("you")


@shop.post("/devices/sign-out-everywhere")
def sign_out_everywhere() -> ResponseReturnValue:
    """End all of the visitor's sessions, or all the others (``keep``)."""
    if visitor().subject is not None:
        visitor().logout_everywhere(keep_this="keep" in request.form)
    return _back("you")


def _page(problem: str = "") -> str:
    visits = state().counter("visits")
    opened = request.method == "GET" and request.headers.get("Sec-Fetch-Dest", "document") == "document"
    subject = visitor().subject
    cart = known(visitor().get("cart", {}))
    return render_template(
        "shop.html",
        goods=GOODS,
        cart=cart,
        pieces=sum(cart.values()),
        total=total(cart),
        most=MOST,
        subject=subject,
        this=visitor().selector,
        devices=state().sessions.of(subject) if subject is not None else [],
        password=PASSWORD,
        problem=problem,
        name=request.form.get("name", ""),
        visits=visits.add() if opened else visits.value(),
        place=state().url,
        worker=os.getpid(),
        scenes=lab.SCENES,
    )


def _back(fragment: str) -> Response:
    """See the page again, from there on."""
    return cast(Response, redirect(url_for("shop.index", _anchor=fragment), 303))


def _refuse_other_sites() -> None:
    """Only the shop's own pages may change something (and programs that are no browser)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        foreign = is_cross_site(request.method, None, request.headers.get("Origin"), request.host)
    else:
        foreign = request.method not in SAFE and site not in ("same-origin", "none")
    if foreign:
        abort(403, "This request came from another site.")


def _harden(response: Response) -> Response:
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "static":
        headers["Cache-Control"] = "no-store"
    return response


def _ago(when: datetime) -> str:
    """How long ago that is.  "Last seen" is written at most every three minutes here."""
    minutes = int((datetime.now(UTC) - when).total_seconds() // 60)
    if minutes < 4:
        return "just now"
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"


BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def _device(agent: str) -> str:
    """A name for a User-Agent that its owner recognises."""
    browser = next((name for mark, name in BROWSERS if f"{mark}/" in agent), "")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return " on ".join(filter(None, (browser, system))) or agent[:30] or "Unknown device"
