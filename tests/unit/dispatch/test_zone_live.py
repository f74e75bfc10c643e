"""What operators who look at a zone are told each second, and that nobody pays for it while nobody looks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actors.behaviour import Done
from actors.messages import Query, QueryAnswer, QueryFailed, Wake
from dispatch import messages as m
from dispatch.domain.geo import Place
from dispatch.domain.order import ASSIGNED, DELIVERED, PICKED_UP, Offer, Order
from dispatch.zone_actor import REBUILD_MS, TICK
from dispatch.zone_live import DELIVERING, DRIVER_FIELDS, FETCHING, FREE, LEASE_MS, ORDER_FIELDS
from tests.unit.dispatch.test_order_decisions import NOW, order
from tests.unit.dispatch.test_zone_actor import Clock

HERE, THERE = "live_1@here", "live_2@there"


def driver(
    number: int, lat: float = 1.0, carrying: tuple[int, ...] = (), *, online: bool = True
) -> m.DriverChanged:
    return m.DriverChanged(number, online, 2, frozenset(carrying), Place(lat, 2.0))


def numbered(number: int, status: str = "confirmed", **changes: Any) -> Order:
    made = order(status, **changes)
    return replace(made, facts=replace(made.facts, id=number))


def watched(zone: Clock, address: str = HERE) -> None:
    """Somebody begins to look, and the reads that this takes are answered."""
    done = zone.say(m.WatchZone(address, whole=True))
    if done.queries:
        zone.say(QueryAnswer(done.queries[0], []))


def tick(zone: Clock, after_ms: int = 1000) -> dict[str, dict[str, Any]]:
    """The frames of the next second by address."""
    return {emit.to: emit.frame for emit in zone.say(Wake(TICK), after_ms).emits if "live" in emit.to}


def rows_of(frame: dict[str, Any]) -> dict[int, dict[str, Any]]:
    rows = [dict(zip(ORDER_FIELDS, row, strict=True)) for row in frame["orders"]]
    return {row["id"]: row for row in rows}


def drivers_of(frame: dict[str, Any]) -> dict[int, dict[str, Any]]:
    numbers, width = frame["drivers"], len(DRIVER_FIELDS)
    rows = [
        dict(zip(DRIVER_FIELDS, numbers[at : at + width], strict=True))
        for at in range(0, len(numbers), width)
    ]
    return {row["id"]: row for row in rows}


def test_nothing_is_told_and_nothing_kept_while_nobody_looks() -> None:
    zone = Clock()
    zone.say(driver(7))
    zone.say(m.OrderChanged(numbered(5, ASSIGNED)))
    assert tick(zone) == {}
    assert zone.state.live is None


def test_who_begins_to_look_gets_the_whole_and_then_what_changes() -> None:
    zone = Clock()
    zone.say(driver(7))
    zone.say(m.OrderChanged(numbered(5)))
    watched(zone)
    whole = tick(zone)[HERE]
    assert whole["whole"] is True
    assert (set(rows_of(whole)), set(drivers_of(whole))) == ({5}, {7})
    zone.say(driver(7, lat=1.001))
    part = tick(zone)[HERE]
    assert "whole" not in part
    assert part["n"] == whole["n"] + 1
    assert (rows_of(part), drivers_of(part)[7]["lat"]) == ({}, 1000)
    quiet = tick(zone)[HERE]
    assert (quiet["n"], quiet["drivers"], quiet["orders"]) == (part["n"] + 1, [], [])


def test_orders_under_way_are_read_when_somebody_begins_to_look() -> None:
    zone = Clock()
    done = zone.say(m.WatchZone(HERE, whole=True))
    assert [query.name for query in done.queries] == ["zone_carried"]
    assert tick(zone) == {}, "the picture is not known yet"
    [query] = zone.say(QueryAnswer(done.queries[0], [(5, 3)])).queries
    assert (query.name, query.params) == ("load_orders", ([5],))


def test_order_is_followed_from_waiting_to_its_end() -> None:
    zone = Clock()
    watched(zone)
    tick(zone)
    zone.say(driver(7))
    zone.say(m.OrderChanged(numbered(5, version=1)))
    assert rows_of(tick(zone)[HERE])[5]["status"] == 0
    zone.say(driver(7, carrying=(5,)))
    zone.say(m.OrderChanged(numbered(5, ASSIGNED, version=2)))
    frame = tick(zone)[HERE]
    assert (rows_of(frame)[5]["status"], rows_of(frame)[5]["driver"]) == (1, 7)
    assert drivers_of(frame)[7]["doing"] == FETCHING
    zone.say(m.OrderChanged(numbered(5, PICKED_UP, version=3)))
    frame = tick(zone)[HERE]
    assert (rows_of(frame)[5]["status"], drivers_of(frame)[7]["doing"]) == (2, DELIVERING)
    assert frame["counts"] == {"waiting": 0, "assigned": 0, "picked_up": 1, "late": 0, "free": 0, "online": 1}
    zone.say(driver(7))
    zone.say(m.OrderChanged(numbered(5, DELIVERED, version=4)))
    frame = tick(zone)[HERE]
    assert (frame["orders"], frame["ended"]) == ([], [5])
    assert (drivers_of(frame)[7]["doing"], drivers_of(frame)[7]["load"]) == (FREE, 0)


def test_late_message_about_an_order_does_not_bring_back_what_was() -> None:
    zone = Clock()
    watched(zone)
    zone.say(m.OrderChanged(numbered(5, PICKED_UP, version=3)))
    zone.say(m.OrderChanged(numbered(5, ASSIGNED, version=2)))
    assert rows_of(tick(zone)[HERE])[5]["status"] == 2


def test_corner_comes_with_the_first_place() -> None:
    zone = Clock()
    watched(zone)
    assert tick(zone)[HERE]["corner"] is None
    zone.say(driver(7))
    frame = tick(zone)[HERE]
    assert (frame["corner"], drivers_of(frame)[7]["lat"]) == ((1_000_000, 2_000_000), 0)


def test_driver_who_leaves_is_told_of_once() -> None:
    zone = Clock()
    zone.say(driver(7))
    watched(zone)
    tick(zone)
    zone.say(driver(7, online=False))
    assert tick(zone)[HERE]["left"] == [7]
    assert tick(zone)[HERE]["left"] == []


def test_row_tells_what_a_list_needs() -> None:
    zone = Clock()
    watched(zone)
    asked = numbered(5, wave=2, offers=(Offer("ofr_5_1", 7, NOW + 60_000),))
    asked = replace(asked, facts=replace(asked.facts, promised_ms=NOW - 1, expected_ms=NOW + 90_000))
    zone.say(m.OrderChanged(asked))
    frame = tick(zone)[HERE]
    row = rows_of(frame)[5]
    assert (row["store"], row["wave"], row["asked"], row["address"]) == (1, 2, 1, "door")
    assert (row["promised_s"], row["expected_s"]) == ((NOW - 1) // 1000, (NOW + 90_000) // 1000)
    assert frame["counts"]["late"] == 1


def test_second_instance_gets_the_whole_while_the_first_goes_on() -> None:
    zone = Clock()
    watched(zone)
    first = tick(zone)[HERE]
    [emit] = zone.say(m.WatchZone(THERE, whole=True)).emits
    assert (emit.to, emit.frame["whole"], emit.frame["n"]) == (THERE, True, first["n"])
    frames = tick(zone)
    assert frames[HERE] is frames[THERE], "made once"
    assert frames[HERE]["n"] == first["n"] + 1


def test_lease_that_is_not_renewed_ends_the_picture() -> None:
    zone = Clock()
    watched(zone)
    tick(zone)
    zone.say(m.WatchZone(HERE), LEASE_MS - 2000)
    assert HERE in tick(zone)
    assert tick(zone, LEASE_MS) == {}
    assert zone.state.live is None


def test_who_looks_no_longer_is_not_told() -> None:
    zone = Clock()
    watched(zone)
    zone.say(m.UnwatchZone(HERE))
    assert tick(zone) == {}
    zone.say(m.UnwatchZone(HERE))


def test_picture_is_compared_with_the_rows_and_what_has_ended_unheard_goes() -> None:
    zone = Clock()
    zone.say(m.WatchZone(HERE, whole=True))
    zone.say(QueryAnswer(Query("zone_carried", (1,), tag="live"), []))
    zone.say(m.OrderChanged(numbered(5, ASSIGNED)))
    tick(zone)
    zone.say(m.WatchZone(HERE))
    asked = zone.say(Wake(TICK), REBUILD_MS).queries
    [query] = [query for query in asked if query.tag == "live"]
    zone.say(QueryAnswer(query, []))
    assert tick(zone)[HERE]["ended"] == [5]


def test_read_that_fails_ends_the_picture_and_the_next_word_begins_it_again() -> None:
    zone = Clock()
    [query] = zone.say(m.WatchZone(HERE, whole=True)).queries
    zone.say(QueryFailed(query))
    assert zone.state.live is None
    done = zone.say(m.WatchZone(HERE))
    assert isinstance(done, Done)
    assert [query.name for query in done.queries] == ["zone_carried"]
