"""What the shop sells.  The pictures are in ``templates/goods.svg``, one symbol each."""

from __future__ import annotations

from msgspec import Struct


class Product(Struct, frozen=True):
    """One thing on the shelf; ``price`` is in cents."""

    title: str
    price: int


GOODS = {
    "anchor": Product("Folding anchor", 4_900),
    "compass": Product("Brass compass", 6_450),
    "lantern": Product("Storm lantern", 3_200),
    "bell": Product("Ship's bell", 5_800),
    "ring": Product("Lifebuoy", 2_750),
    "rope": Product("Coil of rope", 1_890),
    "mug": Product("Enamel mug", 950),
    "cork": Product("Cork float", 40),
}


def known(cart: dict[str, int]) -> dict[str, int]:
    """The lines of a cart that can be sold, in the order of the shelf."""
    return {name: cart[name] for name in GOODS if cart.get(name, 0) > 0}


def total(cart: dict[str, int]) -> int:
    """The price of a cart in cents."""
    return sum(GOODS[name].price * quantity for name, quantity in cart.items())


def euros(cents: int) -> str:
    """An amount as it is written on the page."""
    return f"€\u00a0{cents // 100:,}.{cents % 100:02}"
