"""What a share link shows of an order and its driver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.rest.shared_order import shared_order
from dispatch.domain import order as o
from dispatch.domain.geo import Place, distance_m
from dispatch.domain.order import Eta, Facts, Item, Order, Paid, Pickup, Terms, Trip
from dispatch.domain.order_sharing import GRID_M, expected_window, first_name, is_on_last_way, on_grid
from dispatch.messages import DriverSeen
from dispatch.order_shares import SharedOrder

MIN_MS = 60_000
DRIVER = 7
FACTS = Facts(
    5, 1, (Pickup(1, "Bakery", Place(52.5, 13.4), 17),), 100, Place(52.52013, 13.40481), "Alexanderplatz 1",
    (Item(1, "Secret bread", 2, 450),), 1950, "EUR", "cash", "ring twice", 1_000, "Ann", "+49 30 1", 350,
    100 * MIN_MS + 17, 112 * MIN_MS, Terms(tip_minor=150, pin="0417"),
)  # fmt: skip
SEEN = DriverSeen(DRIVER, 1, "Max Mustermann", "online", 2, (5,), Place(52.51234, 13.41111), True, 9)


def order(status: str = o.PICKED_UP, number: int = 5, **other: Any) -> Order:
    facts = replace(FACTS, id=number)
    return replace(Order(facts, status, 3, o.WAVES, (60_000,), 30, DRIVER), **other)


def trip(*numbers: int) -> Trip:
    return Trip("trp_5_1", numbers)


# -- the driver -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [s for s in o.STATUSES if s != o.PICKED_UP])
def test_driver_is_shown_only_between_pick_up_and_delivery(status: str) -> None:
    assert not is_on_last_way(order(status), [order(status)])
    assert is_on_last_way(order(), [order()])


def test_driver_on_the_way_back_is_not_shown() -> None:
    back = order(returning_ms=1)
    assert not is_on_last_way(back, [back])


def test_driver_who_carries_another_order_without_a_plan_is_shown_to_neither() -> None:
    one, two = order(), order(number=6)
    assert not is_on_last_way(one, [one, two])
    assert not is_on_last_way(two, [one, two])


def test_driver_is_shown_to_the_first_door_of_its_trip_and_not_to_the_second() -> None:
    one, two = (order(number=number, trip=trip(5, 6)) for number in (5, 6))
    assert is_on_last_way(one, [one, two])
    assert not is_on_last_way(two, [one, two])
    assert is_on_last_way(two, [two]), "once the first was delivered"


def test_driver_who_fetches_something_else_first_is_not_shown() -> None:
    here = order(eta=Eta(10, 30))
    before, after = (order(o.ASSIGNED, 6, eta=Eta(at_ms, 90)) for at_ms in (20, 40))
    assert not is_on_last_way(here, [here, before])
    assert is_on_last_way(here, [here, after])


def test_trip_whose_second_goods_are_still_in_the_store_goes_by_the_expected_times() -> None:
    here = order(trip=trip(5, 6), eta=Eta(10, 30))
    fetched_first = order(o.ASSIGNED, 6, trip=trip(5, 6), eta=Eta(20, 40))
    assert not is_on_last_way(here, [here, fetched_first])


def test_driver_who_brings_something_back_is_not_shown() -> None:
    here, back = order(eta=Eta(10, 30)), order(number=6, eta=Eta(10, 90), returning_ms=1)
    assert not is_on_last_way(here, [here, back])


def test_order_that_its_driver_does_not_carry_shows_none() -> None:
    assert not is_on_last_way(order(), [])
    assert not is_on_last_way(order(), [order(number=6)])


@pytest.mark.parametrize(
    ("name", "first"),
    [("Ada Lovelace", "Ada"), ("Lovelace, Ada", "Ada"), ("  Ada ", "Ada"), ("Ada,", "Ada"), ("", "")],
)
def test_driver_is_called_by_its_first_name(name: str, first: str) -> None:
    assert first_name(name) == first


# -- places and times -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", [FACTS.dropoff, Place(0, 0), Place(-33.8, 151.2), Place(69.6, -18.9)])
def test_place_is_shown_as_a_point_of_a_grid_of_fifty_metres(place: Place) -> None:
    shown = on_grid(place)
    assert distance_m(shown, place) <= GRID_M * 0.75
    nudged = Place(shown.lat + 0.0001, shown.lon + 0.0001)
    assert on_grid(nudged) == shown, "a step of ten metres cannot be seen"


def test_pole_and_date_line_have_points_of_the_grid_too() -> None:
    for place in (Place(90, 180), Place(-90, -180)):
        shown = on_grid(place)
        assert abs(shown.lat) <= 90
        assert abs(shown.lon) <= 180


def test_window_reaches_from_what_is_expected_to_what_is_promised_in_steps_of_five_minutes() -> None:
    window = expected_window(order())
    assert window is not None
    assert (window.from_ms, window.to_ms) == (100 * MIN_MS, 115 * MIN_MS)


def test_window_of_a_late_order_is_ten_minutes_at_least() -> None:
    window = expected_window(order(eta=Eta(1, 119 * MIN_MS)))
    assert window is not None
    assert (window.from_ms, window.to_ms) == (115 * MIN_MS, 125 * MIN_MS)


def test_order_that_has_ended_is_not_expected() -> None:
    assert expected_window(order(o.DELIVERED)) is None


# -- the whole ------------------------------------------------------------------------------------

PRIVATE = (
    "Alexanderplatz", "Secret bread", "ring twice", "Ann", "+49", "0417", "1950", "150", "350", "Mustermann",
    "usr_", "drv_", "ord_", "52.52013", "13.40481", "52.51234", "13.41111",
)  # fmt: skip


@pytest.mark.parametrize("status", o.STATUSES)
def test_nothing_else_is_told_of_anybody(status: str) -> None:
    paid = order(status, payments=(Paid(9, "held", 1950),))
    shown = str(shared_order(paid, SharedOrder(5, {}), SEEN if status == o.PICKED_UP else None))
    assert [secret for secret in PRIVATE if secret in shown] == []
    assert ("Max" in shown) == (status == o.PICKED_UP)


def test_whoever_waits_is_told_what_to_do() -> None:
    shown = shared_order(order(), SharedOrder(5, {}), SEEN)
    assert shown["todo"] == ["cash", "pin", "be_at_the_door"]
    assert shared_order(order(o.ASSIGNED), SharedOrder(5, {}), None)["todo"] == []
    assert shared_order(order(o.AWAITING_PAYMENT), SharedOrder(5, {}), None)["todo"] == ["pay"]
    assert shared_order(order(returning_ms=1), SharedOrder(5, {}), None)["todo"] == []


@pytest.mark.parametrize("status", sorted(o.TERMINAL))
def test_order_that_has_ended_shows_no_places_but_its_store(status: str) -> None:
    shown = shared_order(order(status), SharedOrder(5, {}), None)
    assert (shown["door"], shown["driver"], shown["window"], shown["todo"]) == (None, None, None, [])


def test_steps_have_the_times_of_what_was_reached_and_only_of_that() -> None:
    times = {"assigned": 2_000, "picked_up": 3_000, "delivered": 4_000, "cancelled": 5_000, "returned": 6_000}

    def reached(status: str) -> list[tuple[str, str]]:
        steps = shared_order(order(status), SharedOrder(5, times), None)["steps"]
        return [(step["step"], (step["at"] or "-")[-5:]) for step in steps]

    assert reached(o.CONFIRMED)[1:] == [("assigned", "-"), ("picked_up", "-"), ("delivered", "-")]
    assert [at for _, at in reached(o.DELIVERED)] == [".000Z"] * 4
    assert [step for step, _ in reached(o.CANCELLED)] == ["placed", "cancelled"]
    assert [step for step, _ in reached(o.UNDELIVERABLE)] == ["placed", "undeliverable"]
