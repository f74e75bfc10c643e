"""The queue at the stores: who has a place, who is told of it, and who is asked first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.behaviour import Done
from actors.messages import Query, QueryAnswer, Wake
from dispatch import messages as m
from dispatch.domain.geo import Place
from dispatch.pickup_queue import GRACE_MS, PLACES_MAX, Fence, PickupQueue, fence_from
from dispatch.zone_actor import REBUILD_MS, TICK
from tests.unit.dispatch.test_driver_feed import EPOCH, TURN, Feed
from tests.unit.dispatch.test_order_decisions import NOW, order
from tests.unit.dispatch.test_zone_actor import ZONE, Clock, offers
from tests.unit.dispatch.test_zone_planning import PLANNING, PlannedZone, waiting
from tests.unit.dispatch.test_zone_planning import offers as planned_offers

MIDDLE = Place(1.0, 2.0)
FENCE = {"queue_radius_m": 300, "queue_lat": MIDDLE.lat, "queue_lon": MIDDLE.lon}
# Some 110 m from the middle, and 1,100 m.
INSIDE, OUTSIDE = Place(1.001, 2.0), Place(1.01, 2.0)


def driver(number: int, place: Place | None = INSIDE, **changes: Any) -> m.DriverChanged:
    return replace(m.DriverChanged(number, True, 2, frozenset(), place), **changes)


def told(done: Done) -> dict[int, int | None]:
    return {t.to.number: t.message.place for t in done.tells if isinstance(t.message, m.QueuePlaced)}


def queue_of(*numbers: int) -> PickupQueue:
    queue = PickupQueue(Fence(MIDDLE, 300))
    for number in numbers:
        queue.heard(driver(number), NOW)
    return queue


# -- places -----------------------------------------------------------------------------------------------


def test_first_to_come_is_first_and_reports_from_inside_change_nothing() -> None:
    queue = queue_of(9, 7, 8)
    queue.heard(driver(9, MIDDLE), NOW + 1)
    assert [*queue] == [9, 7, 8]
    assert queue.news() == [(9, 1), (7, 2), (8, 3)]
    assert queue.news() == []


@pytest.mark.parametrize(
    "gone",
    [{"carrying": frozenset({5})}, {"capacity": 0}],
    ids=["an order", "no slot"],
)
def test_driver_leaves_by_an_order_and_comes_back_at_the_end(gone: dict[str, Any]) -> None:
    queue = queue_of(9, 7)
    queue.news()
    queue.heard(driver(9, **gone), NOW)
    assert queue.news() == [(9, None), (7, 1)]
    queue.heard(driver(9), NOW)
    assert [*queue] == [7, 9]


def test_driver_outside_keeps_its_place_for_a_while() -> None:
    queue = queue_of(9, 7)
    queue.heard(driver(9, OUTSIDE), NOW)
    assert (queue.overdue(NOW + GRACE_MS - 1), queue.waits_inside(9)) == ([], False)
    queue.heard(driver(9, OUTSIDE), NOW + GRACE_MS - 1)
    assert queue.overdue(NOW + GRACE_MS) == [9]
    assert [*queue] == [7]


def test_driver_who_comes_back_in_time_keeps_its_place() -> None:
    queue = queue_of(9, 7)
    queue.heard(driver(9, OUTSIDE), NOW)
    queue.heard(driver(9), NOW + GRACE_MS - 1)
    assert (queue.overdue(NOW + 2 * GRACE_MS), [*queue]) == ([], [9, 7])


def test_driver_without_a_known_place_or_outside_gets_none() -> None:
    queue = queue_of()
    queue.heard(driver(9, None), NOW)
    queue.heard(driver(8, OUTSIDE), NOW)
    assert [*queue] == []


def test_places_are_bounded() -> None:
    queue = queue_of(*range(1, PLACES_MAX + 10))
    assert len([*queue]) == PLACES_MAX
    queue.leave(1)
    queue.heard(driver(PLACES_MAX + 9), NOW)
    assert [*queue][-1] == PLACES_MAX + 9


def test_zone_without_radius_or_stores_has_no_fence() -> None:
    assert fence_from(ZONE) is None
    assert fence_from(ZONE | {"queue_radius_m": 300, "queue_lat": None, "queue_lon": None}) is None
    assert fence_from(ZONE | FENCE) == Fence(MIDDLE, 300)


# -- the zone ---------------------------------------------------------------------------------------------


def test_zone_tells_each_change_of_a_place_once_and_all_again_with_the_next_comparison() -> None:
    zone = Clock(**FENCE)
    zone.say(driver(9))
    zone.say(driver(7))
    assert told(zone.say(Wake(TICK), 1000)) == {9: 1, 7: 2}
    assert told(zone.say(Wake(TICK), 1000)) == {}
    zone.say(replace(driver(9), online=False))
    assert told(zone.say(Wake(TICK), 1000)) == {9: None, 7: 1}
    assert told(zone.say(Wake(TICK), REBUILD_MS)) == {7: 1}


def test_head_of_the_queue_is_asked_before_who_is_nearer() -> None:
    zone = Clock(**FENCE)
    for number, place in ((9, INSIDE), (7, MIDDLE), (8, MIDDLE)):
        zone.say(driver(number, place))
    found = offers(zone.say(m.OrderChanged(order(version=1, updated_ms=NOW))))
    assert found == [(9,)]


def test_driver_in_the_grace_is_where_it_is() -> None:
    zone = Clock(**FENCE)
    zone.say(driver(9))
    zone.say(driver(7))
    zone.say(driver(9, OUTSIDE))
    assert offers(zone.say(m.OrderChanged(order(version=1, updated_ms=NOW)))) == [(7,)]


def test_planner_takes_the_head_of_the_queue() -> None:
    zone = PlannedZone()
    row = ZONE | FENCE | {"plan": "planned", "planning": PLANNING}
    zone.say(QueryAnswer(Query("load_zones", tag="settings"), [row]))
    for number, place in ((9, INSIDE), (7, MIDDLE), (8, MIDDLE)):
        zone.online(number, place)
    done = zone.say(m.OrderChanged(waiting()))
    assert [drivers for _, drivers, _ in planned_offers(done)] == [(9,)]


def test_new_fence_is_for_drivers_who_are_there_already() -> None:
    zone = Clock()
    zone.say(driver(9))
    zone.say(driver(7, OUTSIDE))
    zone.say(QueryAnswer(Query("load_zones", tag="settings"), [ZONE | FENCE]))
    assert told(zone.say(Wake(TICK), 1000)) == {9: 1}
    zone.say(QueryAnswer(Query("load_zones", tag="settings"), [ZONE]))
    assert told(zone.say(Wake(TICK), 1000)) == {9: None}


def test_takeover_begins_a_new_queue_and_takes_back_places_that_are_not_held() -> None:
    zone = Clock(**FENCE)
    rows: list[Any] = [(8, OUTSIDE.lat, OUTSIDE.lon, 2, [], None), (7, INSIDE.lat, INSIDE.lon, 2, [], None)]
    zone.say(QueryAnswer(Query("zone_drivers", (1,), tag="drivers"), rows))
    assert told(zone.say(Wake(TICK), 1000)) == {7: 1, 8: None}


# -- the driver -------------------------------------------------------------------------------------------


def shown(feed: Feed, message: object) -> list[Any]:
    """Places that a message shows to the driver."""
    done = feed.behaviour.decide(feed.state, message, TURN)
    assert isinstance(done, Done)
    feed.state = done.state or feed.state
    return [emit.frame["data"]["place"] for emit in done.emits if emit.topic == "queue"]


def test_driver_sees_each_change_of_its_place_and_the_place_at_its_next_session() -> None:
    feed = Feed()
    feed.connect(fresh=True)
    feed.answer()
    assert [shown(feed, m.QueuePlaced(1, place)) for place in (3, 3, 2)] == [[3], [], [2]]
    seen = feed.behaviour.decide(feed.state, m.DriverView(), TURN)
    assert isinstance(seen, Done)
    assert seen.reply.queue_place == 2
    assert shown(feed, m.Connect("s2", EPOCH, 0)) == [2]
    assert shown(feed, m.QueuePlaced(1, None)) == [None]
    assert shown(feed, m.Connect("s3", EPOCH, 0)) == []


def test_place_in_the_queue_of_another_zone_is_not_the_drivers() -> None:
    feed = Feed()
    assert shown(feed, m.QueuePlaced(2, 1)) == []
    assert feed.state.queue_place is None
