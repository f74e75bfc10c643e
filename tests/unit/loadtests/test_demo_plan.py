"""The demo's town: the same seed is the same plan, and its geometry is that of the map."""

from __future__ import annotations

from itertools import islice

import pytest

from dispatch.domain.geo import Place
from dispatch.domain.geo import distance_m as sphere_m
from loadtests.demo.plan import PRODUCTS, make_plan, wishes
from loadtests.demo.world import (
    MIDDLE_M,
    SPEED_MPS,
    SPEEDUP,
    TOWN_M,
    Spot,
    distance_m,
    driven,
    place_of,
    spot_of,
)


def test_same_seed_is_the_same_people_stores_and_orders() -> None:
    one, other = make_plan(7, 20, 120), make_plan(7, 20, 120)
    assert one == other
    assert list(islice(wishes(one), 500)) == list(islice(wishes(other), 500))


def test_another_seed_is_another_town() -> None:
    one, other = make_plan(7, 20, 120), make_plan(8, 20, 120)
    assert one.stores != other.stores
    assert one.drivers != other.drivers
    assert list(islice(wishes(one), 5)) != list(islice(wishes(other), 5))


def test_nobody_shares_chance_with_somebody_else() -> None:
    plan = make_plan(1, 60, 120)
    seeds = [person.seed for person in (*plan.drivers, *plan.customers)] + [plan.wish_seed]
    assert len(set(seeds)) == len(seeds)


def test_orders_come_as_often_as_wanted_and_some_are_cancelled() -> None:
    plan = make_plan(1, 60, 120)
    first = list(islice(wishes(plan), 2000))
    assert sum(wish.after_s for wish in first) == pytest.approx(1000, rel=0.1)
    assert 0.04 < sum(wish.cancel_after_s is not None for wish in first) / 2000 < 0.12


def test_every_order_can_be_placed() -> None:
    plan = make_plan(2, 10, 30)
    for wish in islice(wishes(plan), 500):
        products = [product for product, _ in wish.lines]
        assert len(set(products)) == len(products) > 0
        assert all(0 <= product < len(PRODUCTS) and quantity > 0 for product, quantity in wish.lines)
        assert plan.customers[wish.customer] is not None
        assert plan.stores[wish.store].preparation_s >= 0


def test_everybody_lives_in_town_and_stores_are_in_its_middle() -> None:
    plan = make_plan(3, 60, 120)
    assert all(abs(axis) <= TOWN_M for person in (*plan.drivers, *plan.customers) for axis in person.at)
    assert all(abs(axis) <= MIDDLE_M for store in plan.stores for axis in store.at)


def test_place_of_a_spot_is_that_spot_again() -> None:
    back = spot_of(place_of(Spot(431.5, -900.25)))
    assert back == pytest.approx((431.5, -900.25), abs=1e-6)


def test_metres_of_the_town_are_metres_on_the_sphere() -> None:
    a, b = Spot(-800.0, 300.0), Spot(900.0, -1100.0)
    places = [Place(**place_of(spot)) for spot in (a, b)]
    assert distance_m(a, b) == pytest.approx(sphere_m(*places), rel=0.002)


def test_driver_drives_straight_and_stops_where_it_wanted_to_be() -> None:
    a, b = Spot(0.0, 0.0), Spot(600.0, 800.0)
    halfway_s = 500 / (SPEED_MPS * SPEEDUP)
    assert driven(a, b, halfway_s) == pytest.approx((300.0, 400.0))
    assert driven(a, b, 2 * halfway_s) == b
    assert driven(a, b, 99.0) == b
    assert driven(b, b, 0.0) == b
