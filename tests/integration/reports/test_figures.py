"""Figures of days against plain Python: random orders, midnights, changes of the clock."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.reports import expected
from tests.integration.reports.world import DRIVERS, ENDS, STORES, TIME_ZONES, Placed, ReportWorld

# Berlin and Beirut put the clock forward, New York and Havana put it back; two days around each.
AROUND = (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 11, 1, 4, tzinfo=UTC))


def _random_order(chance: random.Random) -> Placed:
    zone = chance.choice([*TIME_ZONES])
    created = chance.choice(AROUND) + timedelta(milliseconds=chance.randint(-30, 30) * 3_600_000 // 4)
    created += timedelta(milliseconds=chance.choice([-1, 0, 1, chance.randint(0, 900_000)]))
    status = chance.choice(["delivered"] * 4 + ["cancelled", "undeliverable", "confirmed", "picked_up"])
    ended = created + timedelta(seconds=chance.randint(300, 40_000))
    stores = chance.sample(STORES[zone], chance.choice([1, 1, 2]))
    baskets = tuple(
        (store, tuple((chance.randint(1, 3), chance.randint(0, 900)) for _ in range(chance.randint(1, 2))))
        for store in stores
    )
    made = Placed(
        zone, baskets, created, status, ended if status in ENDS else None,
        role=chance.choice(["customer", "admin", "system"]), currency=chance.choice(["EUR", "EUR", "USD"]),
        payment=chance.choice(["cash", "card"]), driver=chance.choice(DRIVERS),
        pay_minor=chance.choice([None, 350]),
    )  # fmt: skip
    if made.payment == "card" and status == "delivered" and chance.random() < 0.3:
        return Placed(**{**vars(made), "refunded_minor": chance.randint(0, made.total_minor)})
    return made


def _same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    for name, value in theirs.items():
        close = name in ("delivery_mean_s", "delivery_p90_s") and value is not None
        assert ours[name] == (pytest.approx(value, abs=1e-3) if close else value), name


@pytest.mark.parametrize("seed", range(4))
async def test_figures_of_random_orders_are_those_of_plain_python(world: ReportWorld, seed: int) -> None:
    chance = random.Random(seed)
    orders = [_random_order(chance) for _ in range(150)]
    for order in orders:
        await world.place(order)
    await world.compute()
    ours, theirs = await world.figures(), expected.figures(orders)
    assert ours.keys() == theirs.keys()
    for place, figures in theirs.items():
        _same(ours[place], figures)
    assert await world.cash() == expected.cash(orders)


def _one(zone: int, created: datetime, **other: Any) -> Placed:
    return Placed(zone, ((STORES[zone][0], ((1, 500),)),), created, **other)


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        (1, "2026-03-28T22:59:59.999+00:00", "2026-03-28"),
        (1, "2026-03-28T23:00:00.000+00:00", "2026-03-29"),
        (1, "2026-03-29T21:59:59.999+00:00", "2026-03-29"),  # a day of 23 hours
        (1, "2026-03-29T22:00:00.000+00:00", "2026-03-30"),
        (2, "2026-11-01T03:59:59.999+00:00", "2026-10-31"),
        (2, "2026-11-01T04:00:00.000+00:00", "2026-11-01"),
        (2, "2026-11-02T04:59:59.999+00:00", "2026-11-01"),  # a day of 25 hours
        (2, "2026-11-02T05:00:00.000+00:00", "2026-11-02"),
        (3, "2026-03-28T21:59:59.999+00:00", "2026-03-28"),
        (3, "2026-03-28T22:00:00.000+00:00", "2026-03-29"),  # it begins at one o'clock
        (4, "2026-11-01T04:00:00.000+00:00", "2026-11-01"),  # the first of two midnights
        (4, "2026-11-01T05:00:00.000+00:00", "2026-11-01"),  # the second
    ],
)
async def test_order_counts_on_the_day_that_the_clock_of_its_zone_shows(
    world: ReportWorld, zone: int, moment: str, day: str
) -> None:
    placed = datetime.fromisoformat(moment)
    await world.place(_one(zone, placed, ended=placed, driver=201))
    await world.compute()
    assert {day for _, _, day in await world.figures()} == {day}
    assert {day for _, _, day, _ in await world.cash()} == {day}


async def test_order_of_two_stores_counts_once_in_the_zone_and_at_each_store(world: ReportWorld) -> None:
    one, two = STORES[1]
    at = datetime(2026, 5, 4, 10, tzinfo=UTC)
    order = Placed(
        1, ((two, ((1, 300), (2, 50))), (one, ((1, 600),))), at, ended=at + timedelta(hours=1),
        payment="card", pay_minor=350, refunded_minor=200, driver=201,
    )  # fmt: skip
    await world.place(order)
    await world.compute()
    shown = {store: (row["orders"], row["amounts"]) for (_, store, _), row in (await world.figures()).items()}
    whole = {"currency": "EUR", "revenue_minor": 1000, "refunded_minor": 200, "driver_pay_minor": 350}
    part = {"currency": "EUR", "refunded_minor": 0, "driver_pay_minor": 0}
    assert shown == {
        0: (1, [whole]),
        one: (1, [{**part, "revenue_minor": 600}]),
        two: (1, [{**part, "revenue_minor": 400}]),
    }
