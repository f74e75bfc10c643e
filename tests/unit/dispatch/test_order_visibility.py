"""What a driver sees of an order, before, while and after it carries it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.rest import serializers
from dispatch import feed_frames
from dispatch import messages as m
from dispatch.domain import order as o
from dispatch.domain.geo import Place, distance_m
from dispatch.domain.order import Facts, Item, Order, Pickup
from dispatch.domain.order_visibility import AREA_RADIUS_M, area, order_for_driver

DOOR = Place(52.52013, 13.40481)
FACTS = Facts(
    5, 1, (Pickup(1, "Bakery", Place(52.5, 13.4), 17, (0, 2)), Pickup(2, "Books", Place(52.51, 13.4), 4, (1,))), 100,
    DOOR, "Alexanderplatz 1", (Item(1, "Bread", 2, 450), Item(2, "Atlas", 1, 900), Item(3, "Roll", 3, 50)), 1950, "EUR",
    "cash", "ring twice", 1, "Ann", "+49 30 1", 350,
)  # fmt: skip
SECRETS = ("Alexanderplatz", "ring twice", "Ann", "+49 30 1", str(DOOR.lat), str(DOOR.lon))


def order(status: str, driver_id: int | None = None) -> Order:
    return Order(FACTS, status, 3, o.WAVES, (10, 20), 30, driver_id)


def leaks(shown: Any) -> list[str]:
    return [secret for secret in SECRETS if secret in str(shown)]


def test_offer_shows_what_is_needed_to_decide_and_nothing_of_the_door() -> None:
    shown = order_for_driver(order(o.CONFIRMED))
    assert [(p["store"]["name"], p["number"], p["ready_at_ms"]) for p in shown["pickups"]] == [
        ("Bakery", 17, 10), ("Books", 4, 20),
    ]  # fmt: skip
    assert [[item["name"] for item in p["items"]] for p in shown["pickups"]] == [["Bread", "Roll"], ["Atlas"]]
    assert shown["collect"] == {"amount_minor": 1950, "currency": "EUR"}
    assert shown["pay"] == {"amount_minor": 350, "currency": "EUR"}
    assert shown["ready_at_ms"] == 20
    assert distance_m(Place(shown["dropoff"]["lat"], shown["dropoff"]["lon"]), DOOR) <= AREA_RADIUS_M
    assert leaks(shown) == []


@pytest.mark.parametrize("status", [o.ASSIGNED, o.PICKED_UP])
def test_carrier_sees_everything_and_nobody_else_does(status: str) -> None:
    assert leaks(order_for_driver(order(status, 7), 7)) == list(SECRETS)
    assert leaks(order_for_driver(order(status, 7), 8)) == []
    assert leaks(serializers.order(order(status, 7), "driver", 7)) == list(SECRETS)
    assert leaks(serializers.order(order(status, 7), "driver", 8)) == []


@pytest.mark.parametrize("status", [o.DELIVERED, o.UNDELIVERABLE, o.CANCELLED])
def test_order_that_has_ended_is_shown_to_its_driver_without_the_door(status: str) -> None:
    assert leaks(order_for_driver(order(status, 7), 7)) == []
    assert leaks(serializers.order(order(status, 7), "driver", 7)) == []
    assert leaks(serializers.order(order(status, 7), "customer", 100)) == list(SECRETS)


def test_replay_of_an_order_that_was_let_go_is_without_the_door() -> None:
    carried, ended = order(o.ASSIGNED, 7), order(o.DELIVERED, 7)
    other = Order(replace(FACTS, id=6), o.ASSIGNED, 3, o.WAVES, (10, 20), 30, 7)
    entries = [
        m.Entry(1, "order.assigned", 1, "t", order_for_driver(carried, 7)),
        m.Entry(2, "order.assigned", 1, "t", order_for_driver(other, 7)),
        m.Entry(3, "order.delivered", 1, "t", order_for_driver(ended, 7)),
    ]
    frames = feed_frames.replayed(entries)
    assert [frame["seq"] for frame in frames] == [1, 2, 3]
    assert [leaks(frame) for frame in frames] == [[], list(SECRETS), []]
    assert leaks(feed_frames.event(entries[0])) == list(SECRETS), "as it was told at the time"


def test_area_is_the_same_for_all_places_in_its_cell() -> None:
    assert area(Place(52.5201, 13.4048)) == area(Place(52.5219, 13.4031))
    assert area(Place(-0.001, 179.9999)) == Place(0.0, 180.0)
