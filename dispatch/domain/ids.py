"""Public ids: a prefix for the kind, and the number of the row.

Numbers stay below 2^53, so that every JSON client reads them exactly (version 1 shows the bare number).
"""

from __future__ import annotations

import re

NUMBER_MAX = (1 << 53) - 1

ORDER = "ord"
DRIVER = "drv"
STORE = "sto"
PRODUCT = "prd"
ZONE = "zon"
USER = "usr"
PAYMENT = "pay"
WEBHOOK = "whk"
REPLAY = "rpl"
# A position in the log of events.
EVENT = "evt"
JOB = "job"
TRIP = "trp"

_NUMBER = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


def public_id(prefix: str, number: int) -> str:
    """`public_id("ord", 17)` is `ord_17`."""
    return f"{prefix}_{number}"


def parse_id(prefix: str, text: str) -> int | None:
    """The number of a public id of this kind, or None if the text is not one."""
    head, _, tail = text.partition("_")
    if head != prefix or _NUMBER.fullmatch(tail) is None:
        return None
    number = int(tail)
    return number if number <= NUMBER_MAX else None


def offer_id(order: int, count: int) -> str:
    """Id of an order's offer number `count`. Numbers do not repeat within an order."""
    return f"ofr_{order}_{count}"


def trip_id(order: int, count: int) -> str:
    """Id of a trip: the number of its first delivery's order, and of the offer in which that order is offered."""
    return f"{TRIP}_{order}_{count}"


def parse_trip_id(text: str) -> int | None:
    """The number of the order that a trip is called after, or None if the text is no trip's id."""
    head, _, count = text.rpartition("_")
    return parse_id(TRIP, head) if _NUMBER.fullmatch(count) else None


def round_id(order: int, number: int) -> str:
    """Id of an order's round, which an acceptance in `open` mode names. The board shows it."""
    return f"rnd_{order}_{number}"
