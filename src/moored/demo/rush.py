"""Thirty shoppers who order at once, and five pieces."""

from __future__ import annotations

import fcntl
import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from msgspec import Struct

from moored.demo import stock
from moored.demo.goods import GOODS
from moored.demo.robot import Robot, Site, Verdict

SHOPPERS = 30
WANTED = "sextant"  # five are delivered at a time


class Shopper(Struct, frozen=True, tag="shopper"):
    """What became of one of them: "bought", "sold out", or "failed"."""

    number: int
    fate: str
    at: float


@contextmanager
def alone(books: Path) -> Generator[bool]:
    """Is nobody else, in any process, counting these pieces?  The system ends it if we crash."""
    with books.with_suffix(".rush").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def last_five(site: Site, books: Path) -> Iterator[Shopper | Verdict]:
    """Fill the shelf, let everybody fill a cart, open the doors for all at once, and count."""
    with alone(books) as free:
        if not free:
            yield Verdict(False, "Somebody else is running this just now. Try again in a few seconds.")
            return
        stock.restock(WANTED)
        had = stock.left(WANTED)
        fates: queue.SimpleQueue[Shopper] = queue.SimpleQueue()
        doors = threading.Barrier(SHOPPERS)

        def shop(number: int) -> None:
            fate = "failed"
            try:
                fate = _order(Robot(site, f"shopper {number}"), doors)
            except (OSError, HTTPException, threading.BrokenBarrierError):
                doors.abort()
            finally:
                fates.put(Shopper(number, fate, site.clock()))

        for number in range(SHOPPERS):
            threading.Thread(target=shop, args=(number,), daemon=True).start()
        bought = failed = 0
        for _ in range(SHOPPERS):
            shopper = fates.get()
            bought += shopper.fate == "bought"
            failed += shopper.fate == "failed"
            yield shopper
        yield _verdict(had, bought, failed, stock.left(WANTED))


def _order(robot: Robot, doors: threading.Barrier) -> str:
    robot.post("/cart", product=WANTED)
    page = robot.get("/checkout")
    doors.wait(30)
    answer = robot.post(
        "/checkout", number=page.hidden("number"), lines=page.hidden("lines"), boat="of a robot"
    )
    if answer.exchange.status == 303 and answer.location.startswith("/orders/"):
        return "bought"
    return "sold out" if answer.exchange.status == 409 else "failed"


def _verdict(had: int, bought: int, failed: int, left: int) -> Verdict:
    oversold = max(0, bought - had)
    numbers = {"shoppers": SHOPPERS, "on the shelf": had, "sold": bought, "oversold": oversold}
    if failed:
        return Verdict(False, f"{failed} shoppers could not be heard to the end. Try again.", numbers)
    title = GOODS[WANTED].title.lower()
    if oversold:
        return Verdict(False, f"{bought} orders for {had} pieces of the {title}.", numbers)
    return Verdict(
        True,
        f"{bought} orders were confirmed, {SHOPPERS - bought} were told “sold out”, and {left} are left."
        " Restock below to see the sextant on the shelf again.",
        numbers,
    )
