"""What of the notifications counts for a round: pages, and the tickets that are the fault's own."""

from __future__ import annotations

from loadtests.drill.drill import Drill
from loadtests.drill.faults import FAULTS
from loadtests.drill.pager import FIRING, Pager, Told

BEGAN_S, ENDED_S = 100.0, 200.0


def told(at_s: float, alert: str, receiver: str = "pager", status: str = FIRING, key: str = "") -> Told:
    return Told(receiver, alert, key, status, at_s)


def drill_of(fault: str, *notifications: Told) -> Drill:
    return Drill(FAULTS[fault], Pager(told=list(notifications)), print)


async def test_first_of_the_faults_alerts_is_the_time_to_page() -> None:
    drill = drill_of(
        "disk_full", told(150.0, "MallNotReady"), told(160.0, "MallDiskFull"), told(220.0, "MallDiskFull")
    )
    assert await drill.found(BEGAN_S) == 60.0
    done = drill.result(BEGAN_S, 60.0, None)
    assert (done.told, done.foreign) == ({"MallNotReady": 50.0, "MallDiskFull": 60.0}, [])


async def test_page_that_came_before_the_fault_or_is_about_something_else_is_foreign() -> None:
    early = drill_of("kill", told(90.0, "MallDown"), told(150.0, "MallDown"))
    assert early.result(BEGAN_S, 50.0, 0.0).foreign == ["MallDown"]
    other = drill_of("redis_away", told(150.0, "MallRedisAway", "tickets"), told(155.0, "MallShedding"))
    done = other.result(BEGAN_S, 50.0, 0.0)
    assert (done.foreign, done.told) == (["MallShedding"], {"MallRedisAway": 50.0, "MallShedding": 55.0})


async def test_all_is_clear_when_the_last_page_and_the_faults_own_ticket_have_ended() -> None:
    drill = drill_of(
        "redis_away",
        told(150.0, "MallRedisAway", "tickets", key="a"),
        told(151.0, "MallRedisAway", "tickets", key="b"),
        told(160.0, "MallLoopLate", "tickets"),
        told(230.0, "MallRedisAway", "tickets", "resolved", "a"),
        told(260.0, "MallRedisAway", "tickets", "resolved", "b"),
        told(290.0, "MallChoreFails", "tickets", "resolved"),
    )
    assert await drill.cleared(ENDED_S) == 60.0
    assert drill.result(BEGAN_S, 50.0, 60.0).tickets == ["MallChoreFails", "MallLoopLate"]
