"""The zone's heartbeat, and what it does with what it hears."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.behaviour import Done
from actors.messages import Query, QueryAnswer, QueryFailed, Turn, Wake
from dispatch import messages as m
from dispatch.domain.commands import GiveUp, MakeOffers, SetMode, Withdraw
from dispatch.domain.geo import Place
from dispatch.domain.order import Offer, Order, Terms
from dispatch.zone_actor import REBUILD_MS, REPEAT_MS, TICK, ZoneBehaviour
from dispatch.zone_expiry import GIVE_UP_MAX, PROPOSED_MS
from dispatch.zone_state import ZoneState
from tests.unit.dispatch.test_order_decisions import NOW, order

PICTURE = ["zone_orders", "zone_drivers"]
ZONE: dict[str, Any] = {
    "mode": "waves", "wave_size": 1, "offer_ttl_s": 10, "offer_distance_max_m": 50_000, "release_pause_s": 600,
    "give_up_after_s": None,
}  # fmt: skip


class Clock:
    """A zone whose turns happen when the test says."""

    def __init__(self, **settings: Any) -> None:
        self.behaviour = ZoneBehaviour()
        self.state: ZoneState = self.behaviour.restore(1, ZONE | settings, None)
        self.now = NOW
        self.behaviour.activated(self.state, Turn(NOW, "t"))

    def say(self, message: object, after_ms: int = 100) -> Done:
        self.now += after_ms
        done = self.behaviour.decide(self.state, message, Turn(self.now, "t"))
        assert isinstance(done, Done)
        return done


def offers(done: Done) -> list[Any]:
    return [t.message.driver_ids for t in done.tells if isinstance(t.message, MakeOffers)]


def driver(number: int, capacity: int = 1) -> m.DriverChanged:
    return m.DriverChanged(number, True, capacity, frozenset(), Place(1, 2))


@pytest.mark.parametrize("step_ms", [1000, -600, -5_000, 3_600_000, 0])
def test_heart_goes_on_beating_whatever_the_clock_does(step_ms: int) -> None:
    zone = Clock()
    for _ in range(5):
        done = zone.say(Wake(TICK), step_ms)
        assert (done.wake_s, done.wake) == (1.0, TICK)


def test_picture_is_asked_for_again_after_a_while_also_when_the_clock_was_set_back() -> None:
    zone = Clock()
    assert zone.say(Wake(TICK), REBUILD_MS - 1000).queries == ()
    assert [q.name for q in zone.say(Wake(TICK), 1000).queries] == PICTURE
    assert [q.name for q in zone.say(Wake(TICK), -60_000).queries] == PICTURE


def test_lost_proposal_is_made_again() -> None:
    zone = Clock()
    zone.say(driver(7))
    assert offers(zone.say(m.OrderChanged(order(version=1, updated_ms=NOW)))) == [(7,)]
    assert offers(zone.say(Wake(TICK), 1000)) == []
    assert offers(zone.say(Wake(TICK), PROPOSED_MS)) == [(7,)]


def test_driver_is_not_proposed_twice_while_the_first_proposal_is_on_its_way() -> None:
    zone = Clock()
    zone.say(driver(7))
    one, two = order(version=1), order(version=1)
    two = replace(two, facts=replace(two.facts, id=6))
    assert offers(zone.say(m.OrderChanged(one))) == [(7,)]
    assert offers(zone.say(m.OrderChanged(two))) == []


def test_winner_counts_as_taken_before_it_says_so() -> None:
    zone = Clock()
    zone.say(driver(7))
    waiting = order(version=1)
    waiting = replace(waiting, facts=replace(waiting.facts, id=6))
    zone.say(m.OrderChanged(order("assigned", version=4)))
    assert offers(zone.say(m.OrderChanged(waiting))) == []
    assert offers(zone.say(driver(7))) == [(7,)]


def test_everybody_is_asked_again_after_a_pause() -> None:
    zone = Clock()
    zone.say(driver(7))
    zone.say(m.OrderChanged(order(version=2, tried=(7,), wave=1, updated_ms=zone.now)))
    assert offers(zone.say(Wake(TICK), 1000)) == []
    assert offers(zone.say(Wake(TICK), REPEAT_MS)) == [(7,)]


def test_repeated_or_late_news_of_an_order_changes_nothing() -> None:
    zone = Clock()
    new: Order = order(version=3, updated_ms=NOW)
    zone.say(m.OrderChanged(new))
    zone.say(m.OrderChanged(order(version=2)))
    assert zone.state.orders[5] is new


def test_order_in_another_mode_is_switched() -> None:
    done = Clock().say(m.OrderChanged(order(mode="open")))
    assert [t.message for t in done.tells] == [SetMode("waves")]


def test_settings_that_could_not_be_read_are_asked_for_with_the_next_beat() -> None:
    zone = Clock()
    [query] = zone.say(m.Reconfigured()).queries
    zone.say(QueryFailed(query))
    assert query in zone.say(Wake(TICK), 1000).queries


def test_zone_that_leaves_open_mode_clears_its_board() -> None:
    zone = Clock()
    zone.say(QueryAnswer(Query("load_zones", tag="settings"), [{**ZONE, "mode": "open"}]))
    done = zone.say(QueryAnswer(Query("load_zones", tag="settings"), [ZONE]))
    assert [(e.topic, e.made()["data"]["orders"]) for e in done.emits] == [("board", [])]


def test_oldest_orders_come_first_whatever_the_order_of_their_news() -> None:
    state = Clock().state
    made = order(version=1)
    by_age = [replace(made, facts=replace(made.facts, id=n, created_ms=NOW + n)) for n in range(1, 6)]
    for one in (by_age[3], by_age[0], by_age[4], by_age[1], by_age[2], replace(by_age[0], version=2)):
        state.admit(one)
    assert [o.id for o in state.oldest(3)] == [1, 2, 3]
    assert state.oldest(1)[0].version == 2
    assert state.mixed is False


def offered_to(*drivers: int, number: int = 5, version: int = 2) -> Order:
    made = order(
        version=version,
        wave=1,
        updated_ms=NOW,
        offers=tuple(Offer(f"ofr_{number}_{n}", n, NOW + 600_000) for n in drivers),
    )
    return replace(made, facts=replace(made.facts, id=number))


def read(zone: Clock, *online: int) -> Done:
    rows: list[Any] = [(n, 1.0, 2.0, 1, [], None) for n in online]
    return zone.say(QueryAnswer(Query("zone_drivers", (1,), tag="drivers"), rows))


def withdrawn(done: Done) -> list[Any]:
    return [(t.to.number, t.message) for t in done.tells if isinstance(t.message, Withdraw)]


@pytest.mark.parametrize("gone", [m.DriverChanged(7, False, 1, frozenset(), None), None])
def test_offer_of_a_driver_who_is_gone_is_taken_back_at_once(gone: m.DriverChanged | None) -> None:
    zone = Clock()
    read(zone, 7, 8)
    zone.say(m.OrderChanged(offered_to(7)))
    done = zone.say(gone) if gone is not None else read_anew(zone, 8)
    assert withdrawn(done) == [(5, Withdraw((7,), "offline"))]


def read_anew(zone: Clock, *online: int) -> Done:
    zone.say(Wake(TICK), REBUILD_MS)
    return read(zone, *online)


def test_offer_that_is_made_while_its_driver_leaves_is_taken_back() -> None:
    zone = Clock()
    read(zone, 8)
    assert withdrawn(zone.say(m.OrderChanged(offered_to(7)))) == [(5, Withdraw((7,), "offline"))]


def test_withdrawal_that_got_lost_is_said_again_with_the_next_beat() -> None:
    zone = Clock()
    read(zone, 7)
    zone.say(m.OrderChanged(offered_to(7)))
    zone.say(m.DriverChanged(7, False, 1, frozenset(), None))
    assert withdrawn(zone.say(Wake(TICK), 1000)) == [(5, Withdraw((7,), "offline"))]
    zone.say(m.OrderChanged(order(version=3, tried=(7,), updated_ms=NOW)))
    assert withdrawn(zone.say(Wake(TICK), 1000)) == []


def test_zone_that_has_not_read_its_drivers_takes_no_offer_back() -> None:
    zone = Clock()
    zone.say(m.OrderChanged(offered_to(7)))
    assert withdrawn(zone.say(Wake(TICK), 1000)) == []


def test_driver_whose_slots_are_filled_keeps_no_offer_beyond_them() -> None:
    zone = Clock()
    read(zone, 8)
    zone.say(driver(7, capacity=2))
    zone.say(m.OrderChanged(offered_to(7)))
    assert withdrawn(zone.say(m.OrderChanged(offered_to(7, number=6)))) == []
    full = replace(driver(7, capacity=2), carrying=frozenset({9}))
    zone.say(full)
    assert withdrawn(zone.say(Wake(TICK), 1000)) == [(6, Withdraw((7,), "busy"))]


def test_winner_who_is_heard_of_before_its_order_keeps_its_other_offers() -> None:
    zone = Clock()
    zone.say(driver(7, capacity=2))
    read(zone, 7)
    zone.say(m.OrderChanged(offered_to(7)))
    zone.say(m.OrderChanged(offered_to(7, number=6)))
    assert withdrawn(zone.say(replace(driver(7, capacity=2), carrying=frozenset({5})))) == []


def test_driver_who_comes_online_is_asked_at_once_though_others_declined_and_left() -> None:
    zone = Clock()
    read(zone, 7)
    zone.say(m.OrderChanged(order(version=2, tried=(7, 9), wave=1, updated_ms=zone.now)))
    zone.say(m.DriverChanged(7, False, 1, frozenset(), None))
    assert offers(zone.say(driver(8))) == [(8,)]


def given_up(done: Done) -> list[Any]:
    return [(t.to.number, t.message) for t in done.tells if isinstance(t.message, GiveUp)]


def test_order_that_nobody_takes_is_given_up_when_the_zone_says() -> None:
    zone = Clock(give_up_after_s=1000)
    zone.say(m.OrderChanged(order(version=1, since_ms=NOW)))
    assert given_up(zone.say(Wake(TICK), 749_000)) == []
    told = [(5, GiveUp(1_000_000))]
    assert given_up(zone.say(Wake(TICK), 1000)) == told
    assert given_up(zone.say(Wake(TICK), 1000)) == [], "it is on its way"
    assert given_up(zone.say(Wake(TICK), PROPOSED_MS)) == told, "it was lost"
    zone.say(m.OrderChanged(order(version=2, since_ms=NOW, warned_ms=zone.now)))
    assert given_up(zone.say(Wake(TICK), 200_000)) == []
    assert given_up(zone.say(Wake(TICK), 50_000)) == told


def test_zone_without_such_a_time_gives_nothing_up() -> None:
    zone = Clock()
    zone.say(m.OrderChanged(order(version=1, since_ms=NOW)))
    assert given_up(zone.say(Wake(TICK), 10**10)) == []


def test_orders_that_are_given_up_after_an_outage_go_in_slices() -> None:
    zone = Clock(give_up_after_s=1)
    made = order(version=1)
    for number in range(1, 3 * GIVE_UP_MAX):
        zone.state.admit(replace(made, facts=replace(made.facts, id=number)))
    assert [len(given_up(zone.say(Wake(TICK), 1000))) for _ in range(3)] == [GIVE_UP_MAX, GIVE_UP_MAX, 99]


def test_released_order_is_offered_to_the_same_driver_only_after_the_pause() -> None:
    zone = Clock(release_pause_s=600)
    read(zone, 7)
    zone.say(driver(8))
    back = order(version=4, round=2, released=((7, zone.now),), tried=(8,), updated_ms=zone.now)
    assert offers(zone.say(m.OrderChanged(back))) == []
    assert offers(zone.say(Wake(TICK), REPEAT_MS)) == [(8,)]
    assert offers(zone.say(Wake(TICK), 600_000)) == [(7,)]


def test_distance_of_the_zone_bounds_who_is_asked() -> None:
    zone = Clock(offer_distance_max_m=1000)
    zone.say(replace(driver(7), place=Place(1.01, 2)))
    assert offers(zone.say(m.OrderChanged(order(version=1)))) == []
    assert offers(zone.say(replace(driver(8), place=Place(1.008, 2)))) == [(8,)]


def wanted_later(zone: Clock, in_s: int, **changes: Any) -> Order:
    """An order whose drivers are asked `in_s` from now on."""
    made = order(version=1, ready=(zone.now + 1000 * (in_s + 60),), **changes)
    return replace(made, facts=replace(made.facts, terms=Terms(zone.now + 1000 * (in_s + 600), 60)))


def test_order_for_a_time_waits_until_drivers_are_to_be_asked() -> None:
    zone = Clock()
    zone.say(driver(7))
    assert offers(zone.say(m.OrderChanged(wanted_later(zone, in_s=5)))) == []
    assert offers(zone.say(Wake(TICK), 4_000)) == []
    assert zone.state.orders == {}
    assert offers(zone.say(Wake(TICK), 1_000)) == [(7,)]
    assert zone.state.scheduled == {}


def test_order_for_a_time_that_is_cancelled_is_forgotten() -> None:
    zone = Clock()
    later = wanted_later(zone, in_s=5)
    zone.say(m.OrderChanged(later))
    zone.say(m.OrderChanged(replace(later, status="cancelled", version=2)))
    zone.say(driver(7))
    assert offers(zone.say(Wake(TICK), 10_000)) == []
    assert (zone.state.scheduled, zone.state.traces) == ({}, {})


def test_order_for_a_time_that_the_rows_no_longer_have_is_forgotten() -> None:
    zone = Clock()
    zone.say(m.OrderChanged(wanted_later(zone, in_s=500)))
    zone.say(Wake(TICK), REBUILD_MS)
    zone.say(QueryAnswer(Query("zone_orders", (1,), tag="orders"), []))
    assert zone.state.scheduled == {}


def test_order_for_a_time_is_not_read_again_while_its_row_is_the_same() -> None:
    zone = Clock()
    later = wanted_later(zone, in_s=500)
    zone.say(m.OrderChanged(later))
    zone.say(Wake(TICK), REBUILD_MS)
    answer = QueryAnswer(Query("zone_orders", (1,), tag="orders"), [(later.id, later.version)])
    assert zone.say(answer).queries == ()


def test_goods_that_are_ready_later_put_the_first_offer_off() -> None:
    zone = Clock()
    zone.say(driver(7))
    later = wanted_later(zone, in_s=5)
    zone.say(m.OrderChanged(later))
    zone.say(m.OrderChanged(replace(later, version=2, ready=(later.ready_ms + 60_000,))))
    assert offers(zone.say(Wake(TICK), 6_000)) == []
    assert offers(zone.say(Wake(TICK), 60_000)) == [(7,)]
