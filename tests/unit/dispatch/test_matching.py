"""Who is offered what."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.domain import matching as planning
from dispatch.domain.driver_index import DriverIndex
from dispatch.domain.geo import Place, distance_m
from dispatch.domain.matching import OpenOrder, Proposal

MALL = Place(52.52, 13.405)


Free = tuple[int, Place | None, int]


def driver(number: int, north_m: float, slots: int = 1) -> Free:
    return number, Place(52.52 + north_m / 111_195, 13.405), slots


def plan(
    orders: Sequence[OpenOrder], drivers: Sequence[Free], k: int, reach_m: int = 50_000
) -> list[Proposal]:
    fleet = DriverIndex()
    for one in drivers:
        fleet.put(*one)
    return planning.plan(orders, fleet, k, offered={}, reach_m=reach_m)


def open_order(
    number: int,
    created_ms: int = 0,
    tried: tuple[int, ...] = (),
    *,
    may_repeat: bool = True,
    released: tuple[int, ...] = (),
) -> OpenOrder:
    return OpenOrder(number, MALL, created_ms, 1, 0, frozenset(tried), may_repeat, frozenset(released))


def test_nearest_drivers_are_asked_first() -> None:
    drivers = [driver(1, 900), driver(2, 100), driver(3, 500)]
    [proposal] = plan([open_order(1)], drivers, 2)
    assert proposal.driver_ids == (2, 3)
    assert proposal.distances_m == (100, 500)


def test_older_order_goes_first_and_a_driver_gets_no_more_than_its_slots() -> None:
    proposals = plan([open_order(2, 200), open_order(1, 100)], [driver(1, 10)], 3)
    assert [(p.order.id, p.driver_ids) for p in proposals] == [(1, (1,))]


def test_driver_with_two_slots_is_asked_for_two_orders() -> None:
    proposals = plan([open_order(1), open_order(2)], [driver(1, 10, slots=2)], 1)
    assert [p.order.id for p in proposals] == [1, 2]


def test_those_asked_before_are_asked_again_only_when_all_were_and_it_is_time() -> None:
    drivers = [driver(1, 10), driver(2, 20)]
    assert plan([open_order(1, tried=(1,))], drivers, 1)[0].driver_ids == (2,)
    again = plan([open_order(1, tried=(1, 2))], drivers, 1)
    assert (again[0].driver_ids, again[0].again) == ((1,), True)
    assert plan([open_order(1, tried=(1, 2), may_repeat=False)], drivers, 1) == []


def test_driver_without_a_place_comes_last() -> None:
    [proposal] = plan([open_order(1)], [(1, None, 1), driver(2, 9_000)], 2)
    assert proposal.driver_ids == (2, 1)
    assert proposal.distances_m == (9_000, -1)


def test_distance_is_that_of_the_sphere() -> None:
    berlin, paris = Place(52.52, 13.405), Place(48.8566, 2.3522)
    assert abs(distance_m(berlin, paris) - 877_464) < 50
    assert distance_m(Place(0, 179.999), Place(0, -179.999)) < 250


def test_driver_who_is_too_far_away_is_not_asked_and_the_next_order_is_not_held_up() -> None:
    drivers = [driver(1, 16_000_000), driver(2, 50_100), driver(3, 49_900)]
    [proposal] = plan([open_order(1)], drivers, 3)
    assert (proposal.driver_ids, proposal.distances_m) == ((3,), (49_900,))
    far = OpenOrder(1, Place(-30.0, 100.0), 0, 1, 0)
    assert [p.order.id for p in plan([far, open_order(2, 1)], [driver(3, 10)], 1)] == [2]


def test_distance_of_an_offer_is_measured_across_the_180th_meridian() -> None:
    order = OpenOrder(1, Place(-16.5, 179.9995), 0, 1, 0)
    there = (7, Place(-16.5, -179.9995), 1)
    [proposal] = plan([order], [there], 1, reach_m=200)
    assert (proposal.driver_ids, proposal.distances_m) == ((7,), (107,))
    assert plan([order], [there], 1, reach_m=100) == []


def test_order_does_not_go_back_to_whom_it_was_taken_from_while_somebody_else_is_there() -> None:
    drivers = [driver(1, 10), driver(2, 900)]
    [proposal] = plan([open_order(1, released=(1,))], drivers, 2)
    assert proposal.driver_ids == (2,)
    again = plan([open_order(1, tried=(2,), released=(1,))], drivers, 2)
    assert [(p.driver_ids, p.again) for p in again] == [((2,), True)], "who declined is asked again before"
    assert plan([open_order(1, tried=(2,), may_repeat=False, released=(1,))], drivers, 2) == []


def test_order_goes_back_to_whom_it_was_taken_from_when_nobody_else_is_there() -> None:
    [proposal] = plan([open_order(1, released=(1,))], [driver(1, 10)], 1)
    assert (proposal.driver_ids, proposal.again) == ((1,), False)
    [proposal] = plan([open_order(1, released=(1,))], [driver(1, 10), driver(2, 60_000)], 1)
    assert proposal.driver_ids == (1,), "one who is out of reach is not there"


def test_somebody_with_an_offer_at_the_moment_is_there() -> None:
    fleet = DriverIndex()
    for one in (driver(1, 10), driver(2, 20)):
        fleet.put(*one)
    order = open_order(1, released=(1,))
    assert planning.plan([order], fleet, 1, offered={2: 1}, reach_m=50_000) == []
