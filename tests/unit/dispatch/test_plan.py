"""Who is offered what."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.domain import plan as planning
from dispatch.domain.fleet import Fleet
from dispatch.domain.geo import Place, distance_m
from dispatch.domain.plan import OpenOrder, Proposal

MALL = Place(52.52, 13.405)


Free = tuple[int, Place | None, int]


def driver(number: int, north_m: float, slots: int = 1) -> Free:
    return number, Place(52.52 + north_m / 111_195, 13.405), slots


def plan(orders: Sequence[OpenOrder], drivers: Sequence[Free], k: int) -> list[Proposal]:
    fleet = Fleet()
    for one in drivers:
        fleet.put(*one)
    return planning.plan(orders, fleet, k, offered={})


def open_order(
    number: int, created_ms: int = 0, tried: tuple[int, ...] = (), *, may_repeat: bool = True
) -> OpenOrder:
    return OpenOrder(number, MALL, created_ms, 1, 0, frozenset(tried), may_repeat)


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
