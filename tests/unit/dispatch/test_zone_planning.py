"""A planned zone: what it tells its planner, and which offers follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.behaviour import Done
from actors.messages import Query, QueryAnswer, QueryFailed, Turn, Wake
from dispatch import messages as m
from dispatch import zone_planning
from dispatch.domain.commands import Assign, MakeOffers
from dispatch.domain.geo import Place
from dispatch.domain.offer_ladder import UNPLANNED_S
from dispatch.domain.order import Offer, Order, Pickup, Trip
from dispatch.domain.planning import PlanState
from dispatch.plan_steps import step
from dispatch.zone_actor import REBUILD_MS, TICK, ZoneBehaviour
from dispatch.zone_plan import ZonePlan
from dispatch.zone_planning import REPEAT_MS, STEP, STEP_LOST_MS
from dispatch.zone_predictions import predicted_end
from tests.unit.dispatch.test_order_decisions import NOW, order
from tests.unit.dispatch.test_zone_actor import ZONE, Clock

STORE = Place(1.0, 2.0)
# About 556 m north of the store: 111 s at 5 m/s.
NEAR = Place(1.005, 2.0)
PLANNING: dict[str, Any] = {
    "speed_m_per_s": 5.0, "street_factor": 1.0, "pickup_s": 60, "dropoff_s": 60, "rest_s": 30, "planned_offers": 2,
}  # fmt: skip


class PlannedZone(Clock):
    """A planned zone whose steps are computed at once, unless the test wants to answer them."""

    def __init__(self, plan: str = "planned", **settings: Any) -> None:
        self.row = ZONE | {"plan": plan, "planning": PLANNING | settings}
        super().__init__(**self.row)
        self.asked: list[Query] = []
        self.answers = True

    @property
    def plan(self) -> ZonePlan:
        assert self.state.plan is not None
        return self.state.plan

    def configure(self, **settings: Any) -> None:
        """Other settings, as an admin gives them."""
        self.row |= settings
        self.state.set(self.row)

    def turn(self) -> Turn:
        """A turn now."""
        return Turn(self.now, "t")

    def say(self, message: object, after_ms: int = 300) -> Done:
        done = super().say(message, after_ms)
        steps = [query for query in done.queries if query.name == STEP]
        self.asked += steps
        if not (steps and self.answers):
            return done
        answered = self.say(QueryAnswer(steps[0], step(*steps[0].params)), 0)
        return replace(done, tells=(*done.tells, *answered.tells))

    def online(self, number: int, place: Place = NEAR, capacity: int = 4, **changes: Any) -> Done:
        return self.say(m.DriverChanged(number, True, capacity, frozenset(), place, **changes))

    def beat(self, after_ms: int = 1000) -> Done:
        return self.say(Wake(TICK), after_ms)


def waiting(number: int = 5, ready_ms: int = NOW, **changes: Any) -> Order:
    made = order(**{"version": 1, "ready": (ready_ms,), "updated_ms": NOW, **changes})
    return replace(made, facts=replace(made.facts, id=number, dropoff=Place(1.01, 2.0)))


def offers(done: Done) -> list[tuple[int, tuple[int, ...], Trip | None]]:
    return [
        (t.to.number, t.message.driver_ids, t.message.trip)
        for t in done.tells
        if isinstance(t.message, MakeOffers)
    ]


def test_order_is_offered_when_its_driver_would_be_late_if_asked_later() -> None:
    zone = PlannedZone()
    zone.online(7)
    assert offers(zone.say(m.OrderChanged(waiting(ready_ms=NOW + 600_000)))) == []
    # 111 s to drive and half a minute at the store: 459 s from now it is time; offers go out two seconds earlier,
    # because one in ten is refused and lasts ten seconds.
    assert offers(zone.beat(450_000)) == []
    assert offers(zone.beat(10_000)) == [(5, (7,), None)]


def test_orders_of_one_store_are_offered_as_one_trip() -> None:
    zone = PlannedZone()
    zone.answers = False
    zone.say(m.OrderChanged(waiting(5)))
    zone.say(m.OrderChanged(waiting(6)))
    zone.answers = True
    made = offers(zone.online(7))
    assert {(number, drivers) for number, drivers, _ in made} == {(5, (7,)), (6, (7,))}
    [trip] = {trip for _, _, trip in made}
    assert trip is not None
    assert (trip.id, sorted(trip.order_ids)) == (f"trp_{trip.order_ids[0]}_1", [5, 6])


def test_trip_is_no_larger_than_the_free_slots_of_its_driver() -> None:
    zone = PlannedZone()
    zone.answers = False
    for number in (5, 6, 8):
        zone.say(m.OrderChanged(waiting(number)))
    zone.answers = True
    assert len(offers(zone.online(7, capacity=2))) == 2


def test_trip_of_which_an_order_is_gone_is_planned_anew() -> None:
    zone = PlannedZone()
    zone.answers = False
    zone.say(m.OrderChanged(waiting(5)))
    zone.say(m.OrderChanged(waiting(6)))
    zone.online(7)
    [query] = zone.asked
    assert [each.id for each in query.params[0].orders] == [5, 6]
    zone.say(m.OrderChanged(waiting(6, status="cancelled", version=2)))
    stale = zone.say(QueryAnswer(query, step(*query.params)), 0)
    assert offers(stale) == []
    zone.answers = True
    assert offers(zone.beat()) == [(5, (7,), None)]


def test_only_one_step_is_under_way_and_a_lost_one_is_made_again() -> None:
    zone = PlannedZone()
    zone.answers = False
    zone.online(7)
    zone.say(m.OrderChanged(waiting()))
    zone.beat()
    zone.beat()
    assert len(zone.asked) == 1
    zone.beat(STEP_LOST_MS)
    assert len(zone.asked) == 2


def test_zone_whose_steps_are_all_lost_asks_the_nearest_drivers() -> None:
    zone = PlannedZone()
    zone.answers = False
    zone.online(7)
    zone.say(m.OrderChanged(waiting()))
    assert offers(zone.beat(STEP_LOST_MS)) == []
    assert offers(zone.beat(STEP_LOST_MS)) == [(5, (7,), None)]


def test_step_that_fails_is_made_again_with_the_next_beat() -> None:
    zone = PlannedZone()
    zone.answers = False
    zone.online(7)
    zone.say(m.OrderChanged(waiting()))
    zone.say(QueryFailed(zone.asked[0]))
    zone.answers = True
    assert offers(zone.beat()) == [(5, (7,), None)]


def declined(zone: PlannedZone, number: int = 5, version: int = 3, wave: int = 1) -> Done:
    """Driver 7 had an offer of the order, and declines it."""
    live = (Offer("ofr_5_1", 7, zone.now + 60_000),)
    zone.say(m.OrderChanged(waiting(number, version=version - 1, wave=wave, offers=live)))
    return zone.say(
        m.OrderChanged(waiting(number, version=version, wave=wave, tried=(7,), updated_ms=zone.now))
    )


def test_driver_who_declines_rests_and_another_one_gets_the_order() -> None:
    zone = PlannedZone()
    zone.online(7)
    zone.online(8, Place(1.02, 2.0))
    assert offers(declined(zone)) == [(5, (8,), None)]
    assert zone.plan.rests == {7: zone.now + 30_000}
    assert zone.plan.refusals.everybody > 0.1


def test_driver_who_often_declines_is_asked_earlier_than_others() -> None:
    zone = PlannedZone()
    for number in (7, 8):
        zone.online(number)
    for wave in range(6):
        declined(zone, wave=0, version=3 + 2 * wave)
    zone.say(m.OrderChanged(waiting(6, ready_ms=NOW + 900_000)))
    zone.beat()
    drivers = {each.id: each for each in zone.asked[-1].params[0].drivers}
    own_s, usual_s = drivers[7].lead_s, zone.asked[-1].params[3].lead_s
    assert own_s > 2 * usual_s > 2.0
    assert drivers[8].lead_s is None
    taken = waiting(6, offers=(Offer("ofr_6_1", 8, zone.now + 60_000),), version=2)
    zone.say(m.OrderChanged(taken))
    zone.say(m.OrderChanged(replace(taken, status="assigned", driver_id=8, offers=(), version=3)))
    own = zone.plan.refusals.own(8)
    assert own is not None
    assert own < zone.plan.refusals.everybody


def test_driver_who_declined_is_asked_again_when_there_is_nobody_else() -> None:
    zone = PlannedZone(rest_s=0)
    zone.online(7)
    assert offers(declined(zone)) == []
    assert offers(zone.beat(REPEAT_MS)) == [(5, (7,), None)]


def test_after_some_offers_the_nearest_drivers_are_asked_at_once() -> None:
    zone = PlannedZone()
    zone.configure(wave_size=2)
    zone.online(7)
    zone.online(8, Place(1.02, 2.0))
    zone.online(9, Place(1.03, 2.0))
    assert offers(declined(zone, wave=2)) == [(5, (8, 9), None)]


def test_order_that_no_plan_can_place_goes_to_the_nearest_drivers() -> None:
    zone = PlannedZone()
    zone.online(7, shift_ends_ms=NOW - 1)
    assert offers(zone.say(m.OrderChanged(waiting(since_ms=zone.now)))) == []
    assert offers(zone.beat(UNPLANNED_S * 1000)) == [(5, (7,), None)]


def test_driver_without_a_known_place_comes_after_those_who_are_near() -> None:
    zone = PlannedZone()
    zone.say(m.DriverChanged(7, True, 4, frozenset(), None))
    assert offers(zone.say(m.OrderChanged(waiting(5)))) == [(5, (7,), None)]
    zone.online(8)
    assert offers(zone.say(m.OrderChanged(waiting(6)))) == [(6, (8,), None)]


def test_driver_who_is_too_far_away_gets_no_offer() -> None:
    zone = PlannedZone()
    zone.configure(offer_distance_max_m=1000)
    zone.online(7, Place(1.02, 2.0))
    assert offers(zone.say(m.OrderChanged(waiting()))) == []
    assert offers(zone.online(8, NEAR)) == [(5, (8,), None)]


def test_driver_who_was_too_far_away_gets_the_order_when_it_has_come_nearer() -> None:
    zone = PlannedZone()
    zone.configure(offer_distance_max_m=1000)
    zone.online(7, Place(1.02, 2.0))
    assert offers(zone.say(m.OrderChanged(waiting()))) == []
    zone.online(7, NEAR)
    assert offers(zone.beat()) == [(5, (7,), None)]


def test_orders_beyond_what_a_step_can_do_go_to_the_nearest_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone_planning, "STEP_ORDERS_MAX", 1)
    zone = PlannedZone()
    zone.answers = False
    for number in (5, 6):
        zone.say(m.OrderChanged(waiting(number)))
    assert offers(zone.online(7)) == []
    assert [[each.id for each in query.params[0].orders] for query in zone.asked] == [[5]]
    assert offers(zone.beat()) == [(6, (7,), None)]


def test_direct_zone_assigns_with_its_reasons() -> None:
    zone = PlannedZone("direct")
    zone.online(7)
    done = zone.say(m.OrderChanged(waiting()))
    [assigned] = [t.message for t in done.tells if isinstance(t.message, Assign)]
    assert (assigned.driver_id, assigned.by.role) == (7, "dispatch")
    assert assigned.reasons["plan"]["chosen"]["driver_id"] == "drv_7"


def carried(number: int = 5, status: str = "assigned", **changes: Any) -> Order:
    return waiting(number, status=status, driver_id=7, **{"version": 4, **changes})


def test_driver_under_way_is_planned_for_from_the_end_of_its_trip() -> None:
    zone = PlannedZone()
    zone.online(7)
    zone.say(m.OrderChanged(carried(ready_ms=NOW + 600_000)))
    spot, free_s = predicted_end(zone.plan, 7, [zone.plan.carried[5]], zone.now)
    assert spot == zone.plan.spot(Place(1.01, 2.0))
    # Ready after 600 s, half a minute at the store, 1112 m, a minute at the door.
    assert free_s == pytest.approx(NOW / 1000 + 600 + 30 + 1112 / 5 + 60, abs=1)


def test_pick_up_and_delivery_say_where_the_driver_is() -> None:
    zone = PlannedZone()
    zone.online(7)
    zone.say(m.OrderChanged(carried(status="picked_up", updated_ms=zone.now)))
    assert zone.plan.known_places[7].place == STORE
    # The driver's actor tells the place that it knew before.
    zone.say(m.DriverChanged(7, True, 4, frozenset({5}), NEAR))
    assert zone.plan.known_places[7].place == STORE
    zone.say(m.OrderChanged(carried(status="delivered", version=5, updated_ms=zone.now)))
    assert zone.plan.known_places[7].place == Place(1.01, 2.0)
    assert (zone.plan.carried, zone.plan.loads) == ({}, {})


def test_what_drivers_carry_is_compared_with_the_rows() -> None:
    zone = PlannedZone()
    zone.online(7)
    zone.say(m.OrderChanged(carried()))
    asked = [query.name for query in zone.beat(REBUILD_MS).queries]
    assert "zone_carried" in asked
    rows = [(9, 2)]
    done = zone.say(QueryAnswer(Query("zone_carried", (1,), tag="carried"), rows))
    assert zone.plan.carried == {}
    assert [query.params for query in done.queries] == [([9],)]


def test_zone_that_is_planned_no_more_forgets_its_plan() -> None:
    zone = PlannedZone()
    zone.state.set({**_ROW, "plan": None})
    assert zone.state.plan is None


_ROW = {
    "mode": "waves", "wave_size": 1, "offer_ttl_s": 10, "offer_distance_max_m": 50_000, "release_pause_s": 600,
    "give_up_after_s": None,
}  # fmt: skip


def test_same_state_and_seed_make_the_same_plan() -> None:
    zone = PlannedZone()
    zone.answers = False
    for number in range(5, 15):
        zone.say(m.OrderChanged(waiting(number)))
    for number in range(1, 6):
        zone.online(number, Place(1 + number / 1000, 2.0))
    query = zone.asked[-1]
    state: PlanState = query.params[0]
    again = replace(state, orders=state.orders[::-1], drivers=state.drivers[::-1])
    assert step(*query.params) == step(again, *query.params[1:])


# -- what was learned -------------------------------------------------------------------------------------


def _speed(**row: Any) -> float:
    zone = Clock(plan="planned", **row)
    assert zone.state.plan is not None
    return zone.state.plan.settings.travel.metres_per_s


@pytest.mark.parametrize(
    ("row", "speed"),
    [
        ({}, 5 / 1.3),
        ({"learned_speed_m_per_s": 2.6}, 2),
        ({"learned_speed_m_per_s": 2.6, "planning": {"street_factor": 1, "speed_learned": True}}, 2.6),
        ({"learned_speed_m_per_s": 2.6, "planning": {"speed_m_per_s": 13, "speed_learned": False}}, 10),
        ({"learned_speed_m_per_s": 2.6, "planning": {"speed_m_per_s": 13}}, 10),
        ({"planning": {"speed_m_per_s": 13, "speed_learned": True}}, 10),
    ],
    ids=["nothing", "learned", "both", "set", "set by an older version", "not yet learned"],
)
def test_learned_speed_counts_where_the_operator_sets_none(row: dict[str, Any], speed: float) -> None:
    assert _speed(**row) == pytest.approx(speed)


def test_what_is_learned_is_read_again_with_the_settings_and_never_for_a_step() -> None:
    zone = PlannedZone()
    asked = [query.name for _ in range(299) for query in zone.beat().queries]
    assert "load_zones" not in asked
    assert "load_zones" in [query.name for query in zone.beat().queries]
    assert "load_zones" not in [query.name for query in zone.beat().queries]


def test_planner_knows_promises_and_how_late_stores_may_be() -> None:
    spreads = [[0, 60], [waiting().facts.first.store_id, 300]]
    zone = PlannedZone(time_scale=2)
    zone.answers = False
    zone.say(QueryAnswer(Query("load_zones", tag="settings"), [_zone_row(ready_spreads=spreads)]))
    zone.online(7)
    made = waiting()
    zone.say(m.OrderChanged(replace(made, facts=replace(made.facts, promised_ms=NOW + 900_000))))
    zone.beat()
    [seen] = _state_of(zone.asked[-1]).orders
    assert (seen.ready_spread_s, seen.promise_s) == (600, (NOW + 900_000) / 1000 * 2)


def _zone_row(**more: Any) -> dict[str, Any]:
    return ZONE | {"plan": "planned", "planning": PLANNING | {"time_scale": 2}} | more


def _state_of(query: Query) -> PlanState:
    state = query.params[0]
    assert isinstance(state, PlanState)
    return state


def test_spread_of_the_zone_counts_for_a_store_that_is_not_known() -> None:
    plan = PlannedZone().plan
    assert plan.ready_spread_s(1) == 0
    plan.ready_spreads = {0: 60, 2: 300}
    assert (plan.ready_spread_s(1), plan.ready_spread_s(2)) == (60, 300)


# -- malls ------------------------------------------------------------------------------------------------

# About 111 m from the store.
NEXT_DOOR = Place(1.001, 2.0)


def of_store(number: int, store: int, place: Place, **changes: Any) -> Order:
    made = waiting(number, **changes)
    return replace(made, facts=replace(made.facts, pickups=(Pickup(store, "S", place, 1),)))


def mall_trips(zone: PlannedZone, *orders: Order) -> set[Trip | None]:
    """Trips that are offered when a driver comes online while these orders wait."""
    zone.answers = False
    for each in orders:
        zone.say(m.OrderChanged(each))
    zone.answers = True
    return {trip for _, _, trip in offers(zone.online(7))}


@pytest.mark.parametrize("pooling", [False, True])
def test_orders_of_stores_within_the_radius_of_a_site_share_a_trip(pooling: bool) -> None:
    orders = of_store(5, 11, STORE), of_store(6, 12, NEXT_DOOR)
    [trip] = mall_trips(PlannedZone(site_radius_m=150, pooling=pooling), *orders)
    assert trip is not None
    assert sorted(trip.order_ids) == [5, 6]
    assert mall_trips(PlannedZone(site_radius_m=90, pooling=pooling), *orders) == {None}


def test_trip_has_saved_something_when_its_second_order_is_delivered() -> None:
    saved: list[tuple[int, float]] = []
    zone = PlannedZone()
    zone.behaviour = ZoneBehaviour(saved=lambda number, metres: saved.append((number, metres)))
    zone.online(7)
    trip = Trip("trp_5_1", (5, 6))
    for number, in_trip in ((5, trip), (6, trip), (8, None)):
        under_way = waiting(number, status="picked_up", version=4, driver_id=7, trip=in_trip)
        zone.say(m.OrderChanged(under_way))
    for number, in_trip in ((5, trip), (6, trip), (6, trip), (8, None)):
        zone.say(m.OrderChanged(waiting(number, status="delivered", version=5, driver_id=7, trip=in_trip)))
    # Both doors are some 1,112 m away: out and back is driven once instead of twice, and it is counted once.
    [(number, metres)] = saved
    assert number == 1
    assert metres == pytest.approx(2 * 1112, rel=1e-3)


def test_store_that_has_moved_belongs_to_another_site() -> None:
    zone = PlannedZone(site_radius_m=150)
    zone.say(m.OrderChanged(of_store(5, 11, STORE)))
    zone.say(m.OrderChanged(of_store(6, 12, NEXT_DOOR)))
    assert zone.plan.sites == {11: 11, 12: 11}
    zone.say(m.OrderChanged(of_store(8, 12, Place(1.01, 2.0))))
    assert zone.plan.sites == {11: 11, 12: 12}


def test_pooling_zone_tells_its_planner_what_was_promised_and_where_orders_went_of_late() -> None:
    zone = PlannedZone(pooling=True)
    zone.online(7)
    promised = waiting(5)
    zone.say(m.OrderChanged(replace(promised, facts=replace(promised.facts, promised_ms=NOW + 60_000))))
    state: PlanState = zone.asked[0].params[0]
    [site] = state.recent
    assert [door.order_id for door in site.doors] == [5]
    assert state.orders[0].promise_s == (NOW + 60_000) / 1000


def test_zone_without_pooling_does_not_tell_where_orders_went() -> None:
    zone = PlannedZone()
    zone.online(7)
    zone.say(m.OrderChanged(waiting(5)))
    state: PlanState = zone.asked[0].params[0]
    assert state.recent == ()


def test_order_that_waits_for_a_partner_does_not_go_to_the_nearest_drivers() -> None:
    """Many orders went to one door of late, so another one is expected."""
    zone = PlannedZone(pooling=True, pooling_wait_max_s=120)
    for number in range(100, 140):
        zone.say(m.OrderChanged(waiting(number)))
        zone.say(m.OrderChanged(waiting(number, status="cancelled", version=2)))
    zone.online(7, STORE)
    first = waiting(5, ready_ms=zone.now, since_ms=zone.now, updated_ms=zone.now)
    assert offers(zone.say(m.OrderChanged(first), 0)) == []
    assert offers(zone.beat(2_000 * UNPLANNED_S)) == []
    assert offers(zone.beat(120_000)) == [(5, (7,), None)]
