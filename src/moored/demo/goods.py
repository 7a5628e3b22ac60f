"""What the shop sells.  The pictures are in ``templates/goods.svg``, one symbol each."""

from __future__ import annotations

from msgspec import Struct


class Product(Struct, frozen=True):
    """One thing on the shelf: ``price`` in cents, ``stock`` the pieces of one delivery."""

    title: str
    note: str
    price: int
    stock: int


GOODS = {
    "compass": Product("Brass compass", "Points north, and knows it.", 6_450, 12),
    "lantern": Product("Storm lantern", "Burns on when the wind has an opinion.", 3_200, 18),
    "ring": Product("Lifebuoy", "For when the deck leaves you.", 2_750, 16),
    "sextant": Product("Old sextant", "Found in an attic. Five of them.", 24_900, 5),
    "rope": Product("Coil of rope", "Thirty metres of second thoughts.", 1_890, 40),
    "bell": Product("Ship's bell", "Eight of it and you may sleep.", 5_800, 9),
    "anchor": Product("Fisherman's anchor", "Stays where you put it.", 4_900, 14),
    "spyglass": Product("Spyglass", "Sees the pub from the harbour mouth.", 7_200, 8),
    "boots": Product("Sea boots", "Dry inside, on good days.", 3_950, 20),
    "mug": Product("Enamel mug", "Chips, but does not sink the mood.", 950, 60),
    "bottle": Product("Bottle post", "Paper and cork included. No tracking.", 450, 90),
    "cork": Product("Cork float", "Sold by the piece, wanted by the fifty.", 40, 400),
}


def known(cart: dict[str, int]) -> dict[str, int]:
    """The lines of a cart that can be sold, in the order of the shelf."""
    return {name: cart[name] for name in GOODS if cart.get(name, 0) > 0}


def total(cart: dict[str, int]) -> int:
    """The price of a cart in cents."""
    return sum(GOODS[name].price * quantity for name, quantity in cart.items())


def summary(cart: dict[str, int]) -> str:
    """The lines in one text, to tell whether a cart is still the one that somebody looked at."""
    return ",".join(f"{name}:{quantity}" for name, quantity in cart.items())
