"""A courier of a replayed day, on a loop that owns time: what it does in which minute."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest

from loadtests.kit.client import Mall, Phone
from loadtests.kit.phone_connection import PhoneConnection
from loadtests.replay.courier import ReplayContext, Rider
from loadtests.replay.day import Atlas, Day, DayClock, read_day
from loadtests.replay.record import START, DayRecord, Move
from tests.simulation.loop import simulated
from tests.unit.loadtests.small_day import write_day


class Services(PhoneConnection):
    """A line whose other end is the test: it notes what it is told, in which minute, and answers at once."""

    def __init__(self) -> None:
        super().__init__(Phone(cast("Mall", None)), "test", Counter())
        self.clock: DayClock | None = None
        self.heard_frames: list[tuple[int, str, str]] = []
        self.ready_when_assigned: int | None = None

    async def hold(self) -> None:
        await asyncio.Event().wait()

    async def say_where(self, place: dict[str, float]) -> None:
        self._note("loc")

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        self._note(frame["t"], frame.get("reason") or frame.get("status") or "")
        match frame["t"]:
            case "offer.accept":
                self.tell("order.assigned", self.ready_when_assigned or 20)
                results = [{"order_id": "ord_1", "result": "won", "version": 4}]
                return {"t": "reply", "ok": True, "results": results}
            case "order.delivery":
                self.tell("order.delivered", 20)
            case _:
                pass
        return {"t": "reply", "ok": True}

    def _note(self, what: str, why: str = "") -> None:
        assert self.clock is not None
        self.heard_frames.append((self.clock.minute(), what, why))

    def tell(self, kind: str, ready: int, number: str = "ord_1") -> None:
        """An entry of the feed about the day's first order."""
        self.phone.on_event({"type": kind, "data": self.order(ready, number)})

    def order(self, ready: int, number: str = "ord_1") -> dict[str, Any]:
        assert self.clock is not None
        ready_ms = self.clock.wall_ms(ready)
        return {
            "order_id": number,
            "offer_id": "ofr_1_1",
            "dropoff": {"address": "o1"},
            "ready_at_ms": ready_ms,
        }

    def commands(self) -> list[tuple[int, str, str]]:
        return [noted for noted in self.heard_frames if noted[1] not in ("loc", "availability")]


Script = Callable[[Services, DayClock], Coroutine[Any, Any, None]]


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return read_day(write_day(tmp_path / "small"))


def work(day: Day, script: Script) -> tuple[Services, DayRecord]:
    """The first courier's whole shift, while the script plays the server."""
    services, record = Services(), DayRecord()

    async def play(now: Callable[[], float]) -> None:
        clock = services.clock = DayClock(0, 60, now, now)

        async def release(number: str) -> None:
            services.heard_frames.append((clock.minute(), "release", ""))
            services.tell("order.released", 20, number)

        context = ReplayContext(day, clock, Atlas(day), record, asyncio.Event(), release)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Rider(day.couriers["c1"], "drv_1", services, context).run())
            tasks.create_task(script(services, clock))

    with simulated(1) as loop:
        loop.run_until_complete(play(loop.time))
    return services, record


def offered(at: float, ready: int = 20) -> Script:
    """The order is offered at this minute."""

    async def script(services: Services, clock: DayClock) -> None:
        await clock.until(at)
        services.tell("offer", ready)

    return script


def test_ride_follows_the_rules_minute_by_minute(day: Day) -> None:
    services, record = work(day, offered(10.2))
    assert services.commands() == [
        (10, "offer.accept", ""),
        (20, "order.pickup", ""),
        (29, "order.delivery", ""),
    ]
    (ride,) = record.rides
    assert (ride.order, ride.courier, ride.assigned, ride.picked_up, ride.delivered) == (
        "o1",
        "c1",
        10,
        20,
        29,
    )
    assert ride.lag == pytest.approx(0.2)
    assert record.moves == [Move("c1", 10, START, "r1"), Move("c1", 22, "r1", "o1")]
    assert record.errors == []


def test_place_is_told_on_coming_on_and_on_every_arrival(day: Day) -> None:
    services, _ = work(day, offered(10.2))
    assert [minute for minute, what, _ in services.heard_frames if what == "loc"] == [0, 13, 27]


def test_courier_comes_on_and_goes_off_at_its_minutes(day: Day) -> None:
    services, _ = work(day, offered(10))
    online = [(minute, status) for minute, what, status in services.heard_frames if what == "availability"]
    assert online == [(0, "online"), (60, "offline")]


def test_offer_that_could_only_be_picked_up_after_going_off_is_declined(day: Day) -> None:
    services, record = work(day, offered(56))
    assert services.commands() == [(56, "offer.decline", "off before pick-up")]
    assert (record.rides, record.moves) == ([], [])


def test_offer_that_can_be_picked_up_in_the_last_minute_is_accepted_and_delivered_later(day: Day) -> None:
    services, record = work(day, offered(55))
    assert [minute for minute, *_ in services.commands()] == [55, 60, 69]
    assert (record.rides[0].picked_up, record.rides[0].delivered) == (60, 69)
    assert (60, "availability", "offline") in services.heard_frames


def test_order_that_turns_out_to_be_ready_too_late_is_handed_back_before_a_move(day: Day) -> None:
    async def script(services: Services, clock: DayClock) -> None:
        services.ready_when_assigned = 61
        await offered(10.2)(services, clock)

    services, record = work(day, script)
    assert services.commands() == [(10, "offer.accept", ""), (11, "release", "")]
    assert (record.counts["handed_back"], record.moves) == (1, [])


def test_later_ready_time_that_comes_on_the_way_is_waited_for(day: Day) -> None:
    async def script(services: Services, clock: DayClock) -> None:
        await offered(10.2)(services, clock)
        await clock.until(18.5)
        services.tell("order.ready_time", 25)

    services, record = work(day, script)
    assert [minute for minute, *_ in services.commands()] == [10, 25, 34]
    assert record.rides[0].picked_up == 25


def test_offer_to_full_hands_is_answered_after_the_delivery(day: Day) -> None:
    async def script(services: Services, clock: DayClock) -> None:
        await offered(10.2)(services, clock)
        await clock.until(15)
        services.tell("offer", 20, "ord_2")

    services, _ = work(day, script)
    deeds = [(minute, what) for minute, what, _ in services.commands()]
    assert deeds.index((29, "order.delivery")) < deeds.index((29, "offer.accept"))


def test_courier_continues_with_what_a_snapshot_says_it_carries(day: Day) -> None:
    async def script(services: Services, clock: DayClock) -> None:
        await offered(10.2)(services, clock)
        await clock.until(15)
        services.phone.on_snapshot({"orders": [services.order(24)], "offers": []})

    services, record = work(day, script)
    assert [minute for minute, *_ in services.commands()] == [10, 24, 33]
    assert record.errors == []


def test_order_that_an_administrator_has_assigned_is_brought_too(day: Day) -> None:
    async def script(services: Services, clock: DayClock) -> None:
        await clock.until(12.5)
        services.tell("order.assigned", 20)

    services, record = work(day, script)
    assert services.commands() == [(20, "order.pickup", ""), (29, "order.delivery", "")]
    assert record.rides[0].assigned == 12


def test_order_that_is_taken_away_on_the_way_leaves_the_courier_at_the_restaurant(day: Day) -> None:
    async def script(services: Services, clock: DayClock) -> None:
        await offered(10.2)(services, clock)
        await clock.until(12)
        services.tell("order.cancelled", 20)

    services, record = work(day, script)
    assert services.commands() == [(10, "offer.accept", "")]
    assert record.moves == [Move("c1", 10, START, "r1")]


def test_revoked_offer_is_not_answered(day: Day) -> None:
    async def script(services: Services, clock: DayClock) -> None:
        await clock.until(10)
        services.tell("offer", 20)
        services.phone.on_frame({"t": "offer.revoked", "order_id": "ord_1", "offer_id": "ofr_1_1"})

    services, _ = work(day, script)
    assert services.commands() == []
