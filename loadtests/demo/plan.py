"""Everything that a seed decides before the first request: the same seed, the same town and the same orders.

What the server then decides, and when, is not repeated: the demo runs on real clocks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from loadtests.demo.world import MIDDLE_M, SPEEDUP, TOWN_M, Spot

STORES = ("Bakery", "Soup Kitchen", "Flower Shop", "Book Shop", "Grocery", "Noodle Bar")
PRODUCTS = ("small box", "large box", "gift")
# Orders of one customer in a minute stay far below the server's limit for each user.
ORDERS_PER_CUSTOMER = 6
QUANTITY_MAX = 3
# What stores need for an order, in seconds of the town.
PREPARATION_S = (20, 120)
CANCEL = 0.08
# Seconds of ours after the order.
CANCEL_S = (0.2, 5.0)


@dataclass(frozen=True, slots=True)
class PlannedStore:
    """Where orders are fetched; `preparation_s` is in our time."""

    name: str
    at: Spot
    preparation_s: int


@dataclass(frozen=True, slots=True)
class PlannedUser:
    """A user with a first place and chance of their own."""

    at: Spot
    seed: int


@dataclass(frozen=True, slots=True)
class Wish:
    """An order that will be placed.

    Attributes:
        after_s: seconds of ours since the one before.
        customer, store: places in the plan's lists.
        lines: (place in PRODUCTS, quantity).
        cancel_after_s: seconds until the customer changes its mind, or None.
    """

    number: int
    after_s: float
    customer: int
    store: int
    lines: tuple[tuple[int, int], ...]
    cancel_after_s: float | None


@dataclass(frozen=True, slots=True)
class TownPlan:
    """A town with its users."""

    seed: int
    orders_per_min: float
    stores: tuple[PlannedStore, ...]
    customers: tuple[PlannedUser, ...]
    drivers: tuple[PlannedUser, ...]
    wish_seed: int


def make_plan(seed: int, drivers: int, orders_per_min: float) -> TownPlan:
    """The town of a seed."""
    chance = random.Random(seed)
    stores = tuple(
        PlannedStore(name, _spot(chance, MIDDLE_M), round(chance.uniform(*PREPARATION_S) / SPEEDUP))
        for name in STORES
    )
    customers = max(len(STORES), ceil(orders_per_min / ORDERS_PER_CUSTOMER))
    return TownPlan(
        seed,
        orders_per_min,
        stores,
        _people(chance, customers),
        _people(chance, drivers),
        chance.getrandbits(64),
    )


def _spot(chance: random.Random, reach_m: float) -> Spot:
    return Spot(chance.uniform(-reach_m, reach_m), chance.uniform(-reach_m, reach_m))


def _people(chance: random.Random, count: int) -> tuple[PlannedUser, ...]:
    return tuple(PlannedUser(_spot(chance, TOWN_M), chance.getrandbits(64)) for _ in range(count))


def wishes(plan: TownPlan) -> Iterator[Wish]:
    """The orders of a town, one after another, as long as somebody asks for more."""
    chance, number = random.Random(plan.wish_seed), 0
    while True:
        number += 1
        products = sorted(chance.sample(range(len(PRODUCTS)), chance.randint(1, 2)))
        yield Wish(
            number,
            chance.expovariate(plan.orders_per_min / 60),
            chance.randrange(len(plan.customers)),
            chance.randrange(len(plan.stores)),
            tuple((product, chance.randint(1, QUANTITY_MAX)) for product in products),
            chance.uniform(*CANCEL_S) if chance.random() < CANCEL else None,
        )
