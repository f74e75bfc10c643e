"""A driver of the demo, on a loop that owns time; the test is the office at the other end of its line."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from loadtests.demo.driver import DOINGS, OFFLINE, DemoDriver
from loadtests.demo.flaky_phone import FlakyPhone
from loadtests.demo.ledger import OrderLedger
from loadtests.demo.plan import PlannedUser
from loadtests.demo.run_clock import RunClock, wait_or
from loadtests.demo.world import SPEED_MPS, SPEEDUP, Spot, distance_m, place_of, spot_of
from loadtests.kit.client import Mall
from loadtests.kit.phone_connection import PhoneConnection
from loadtests.kit.report import LoadReport
from tests.simulation.loop import simulated

STORE, HOME = Spot(400.0, 0.0), Spot(400.0, 1600.0)
# Seeds whose drivers accept, and decline, their first offer.
ACCEPTS, DECLINES = 1, 2


class Services(PhoneConnection):
    """Notes what the driver says, and when; answers at once."""

    def __init__(self, phone: FlakyPhone) -> None:
        super().__init__(phone, "test", Counter())
        self.said: list[tuple[float, str]] = []
        self.spots: list[Spot] = []
        self.seq = 0
        self.refusal: dict[str, Any] = {}

    async def hold(self) -> None:
        await asyncio.Event().wait()

    async def say_where(self, place: dict[str, float]) -> None:
        self.spots.append(spot_of(place))

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        self.said.append((asyncio.get_running_loop().time(), frame["t"]))
        if frame["t"] == "offer.accept":
            self.tell("order.assigned")
            return {"t": "reply", "results": [{"result": "won", "version": 3}]}
        if frame["t"] == "offer.decline":
            return {"t": "reply", "results": [{"result": "declined", "version": 3}]}
        if frame["t"] == "order.delivery":
            self.tell("order.delivered")
        return {"t": "reply", "ok": True, **self.refusal}

    def tell(self, kind: str) -> None:
        """An entry of the driver's feed, always about the same order."""
        self.seq += 1
        order = {
            "order_id": "ord_1", "offer_id": "ofr_1_1", "version": 3, "status": "assigned",
            "store": place_of(STORE), "dropoff": place_of(HOME), "ready_at_ms": 0,
        }  # fmt: skip
        self.phone._dispatch({"t": "event", "seq": self.seq, "type": kind, "data": order})

    @property
    def carried(self) -> list[str]:
        return [what for _, what in self.said if what != "availability"]


Script = Callable[[Services, RunClock], Coroutine[Any, Any, None]]


def work(script: Script, seed: int = ACCEPTS) -> tuple[DemoDriver, Services, OrderLedger]:
    """A driver's whole day, while the script plays the mall."""
    clock, phone = RunClock(), FlakyPhone(Mall(None, ""))  # type: ignore[arg-type]
    services = Services(phone)

    async def play() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(driver.run())
            tasks.create_task(script(services, clock))

    with simulated(1) as loop:
        ledger = OrderLedger(LoadReport("test"), loop.time, loop.time)
        driver = DemoDriver("drv_1", PlannedUser(Spot(0.0, 0.0), seed), services, phone, ledger, clock)
        loop.run_until_complete(play())
    return driver, services, ledger


def offered(seconds: float, then: str = "") -> Script:
    """An offer after 2 s, perhaps another entry so much later, and closing time after half a minute."""

    async def script(services: Services, clock: RunClock) -> None:
        await wait_or(clock.over, 2.0)
        services.tell("offer")
        await wait_or(clock.over, seconds)
        if then == "over":
            clock.closing.set()
            clock.over.set()
        elif then:
            services.tell(then)
        await wait_or(clock.over, 30.0)
        clock.closing.set()

    return script


def test_driver_brings_what_it_has_won() -> None:
    driver, services, ledger = work(offered(0.0))
    assert services.carried == ["offer.accept", "order.pickup", "order.delivery"]
    assert ledger.orders["ord_1"].carriers == {"drv_1"}
    assert {won.driver_id for won in ledger.orders["ord_1"].told} == {"drv_1"}
    assert ledger.report.errors == 0
    assert driver.doing == OFFLINE


def test_driver_is_no_faster_than_its_car_and_tells_where_it_is() -> None:
    _, services, _ = work(offered(0.0))
    times = {what: at_s for at_s, what in services.said}
    way_s = (distance_m(Spot(0, 0), STORE) + distance_m(STORE, HOME)) / (SPEED_MPS * SPEEDUP)
    assert times["order.delivery"] - times["offer.accept"] >= way_s
    assert STORE in {Spot(round(x.east_m, 3), round(x.north_m, 3)) for x in services.spots}
    assert all(distance_m(a, b) < 100 for a, b in zip(services.spots, services.spots[1:], strict=False))


def test_driver_declines_some_offers() -> None:
    _, services, _ = work(offered(0.0), DECLINES)
    assert services.carried == ["offer.decline"]


def test_driver_turns_round_when_the_order_is_cancelled_on_the_way() -> None:
    _, services, ledger = work(offered(2.0, "order.cancelled"))
    assert services.carried == ["offer.accept"]
    assert +ledger.states == {"cancelled": 1}
    assert ledger.report.errors == 0


def test_driver_gives_up_what_it_carries_when_everybody_goes_home() -> None:
    _, services, ledger = work(offered(5.0, "over"))
    assert services.carried[-1] == "order.failure"
    assert services.said[-1][1] == "availability"
    assert ledger.report.errors == 0


def test_refusal_that_nobody_expects_is_an_error() -> None:
    async def script(services: Services, clock: RunClock) -> None:
        services.refusal = {"ok": False, "result": "invalid_transition", "status": "confirmed"}
        await offered(0.0)(services, clock)

    _, _, ledger = work(script)
    assert ledger.report.tally("order.pickup").errors == {"invalid_transition while confirmed": 1}


def test_entry_that_was_passed_over_is_a_gap() -> None:
    async def script(services: Services, clock: RunClock) -> None:
        services.seq += 1
        await offered(0.0)(services, clock)

    driver, _, _ = work(script)
    assert driver.phone.position.gaps == 1


def test_every_doing_has_a_name() -> None:
    driver, _, _ = work(offered(0.0))
    assert driver.doing in DOINGS
