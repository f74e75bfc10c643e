"""What happens in a replayed day: rides and moves in minutes, and what went wrong."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

# A courier's first place in the files of a solution.
START = "0"


class Move(NamedTuple):
    """One drive. Places are ids of restaurants and orders, or START."""

    courier: str
    departed: int
    origin: str
    destination: str


@dataclass(frozen=True, slots=True)
class Ride:
    """One delivered order. Times are minutes of the day.

    Attributes:
        assigned: the minute in which the courier learned that the order is its own.
        lag: minutes, with their fraction, from the first moment when order and courier were both free
            to the moment when the courier learned it.
    """

    order: str
    courier: str
    assigned: int
    picked_up: int
    delivered: int
    lag: float


class Won(NamedTuple):
    """A driver was told that an order is its own, as of this version of the order."""

    driver_id: str
    version: int


@dataclass(slots=True)
class DayRecord:
    """The day so far.

    Attributes:
        acknowledged: the server's id of every order it has taken, by the day's id.
        told: who was told `won`, by the server's order id.
        counts: `assigned`, `picked_up`, `handed_back`, `reconnects`, `repeats`, `declined: REASON`, and
            `accept: CODE` for the answers to acceptances.
        errors: answers that were not expected.
        delivered: set with every new ride.
    """

    acknowledged: dict[str, str] = field(default_factory=dict)
    told: defaultdict[str, list[Won]] = field(default_factory=lambda: defaultdict(list))
    rides: list[Ride] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    delivered: asyncio.Event = field(default_factory=asyncio.Event)
