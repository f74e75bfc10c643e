"""Replaying a day: what is pure in it. tests/acceptance/test_replay.py has the rest."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from dispatch.domain.geo import Place, distance_m
from loadtests.kit.client import Closed, Phone
from loadtests.kit.feed_position import FeedPosition
from loadtests.kit.phone_connection import PhoneConnection
from loadtests.replay.__main__ import main, read_options
from loadtests.replay.check import violations
from loadtests.replay.day import Atlas, Day, DayClock, DayError, Point, Rules, read_day
from loadtests.replay.mall import rfc3339, twice
from loadtests.replay.people import UsersMissing, customers_needed, read_minted
from loadtests.replay.progress import status_line
from loadtests.replay.record import START, DayRecord, Move, Ride, Won
from loadtests.replay.report import ReplayReport, measures, write_solution
from tests.unit.loadtests.small_day import FILES, busy_day, write_day

# c1 is at r1 after 3 minutes and waits there; c2 needs a minute to r2.
RIDES = (
    Ride("o1", "c1", assigned=10, picked_up=20, delivered=29, lag=0.25),
    Ride("o2", "c2", assigned=12, picked_up=15, delivered=25, lag=1.5),
)
MOVES = (
    Move("c1", 10, START, "r1"),
    Move("c2", 12, START, "r2"),
    Move("c1", 22, "r1", "o1"),
    Move("c2", 17, "r2", "o2"),
)


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return read_day(write_day(tmp_path / "small"))


# -- the day --------------------------------------------------------------------------------------


def test_day_is_read_from_its_four_files(day: Day) -> None:
    assert (day.name, len(day.orders), len(day.couriers), len(day.restaurants)) == ("small", 2, 2, 2)
    assert day.orders["o2"].dropoff == Point(1000, 550)
    assert (day.orders["o2"].placed, day.orders["o2"].restaurant, day.orders["o2"].ready) == (12, "r2", 15)
    assert (day.couriers["c2"].on, day.couriers["c2"].off) == (5, 120)
    assert (day.rules.pickup_minutes, day.rules.dropoff_minutes, day.rules.target) == (4, 4, 40)
    assert (day.first_placed, day.last_off) == (10, 120)


@pytest.mark.parametrize(
    ("name", "lines", "says"),
    [
        ("orders", (FILES["orders"][0], "o1\t0\t0\tsoon\tr1\t20"), r"orders\.txt line 2: .*soon"),
        ("orders", (FILES["orders"][0], "o1\t0\t0\t10\tr9\t20"), "unknown restaurant r9"),
        ("orders", ("order\tx\ty", "o1\t0\t0"), r"orders\.txt line 2: .*placement_time"),
        ("orders", (FILES["orders"][0],), "needs orders and couriers"),
        ("couriers", (FILES["couriers"][0], "c1\t0\t0\t9\t8"), "c1 goes off before it comes on"),
        ("couriers", (FILES["couriers"][0], "o1\t0\t0\t0\t8"), "an id occurs twice"),
        ("instance_parameters", (FILES["instance_parameters"][0],), "one line of values"),
    ],
)
def test_wrong_day_is_refused_with_the_place_of_the_error(
    tmp_path: Path, name: str, lines: Sequence[str], says: str
) -> None:
    write_day(tmp_path, {name: lines})
    with pytest.raises(DayError, match=says):
        read_day(tmp_path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    write_day(tmp_path)
    (tmp_path / "restaurants.txt").unlink()
    with pytest.raises(DayError, match=r"restaurants\.txt: No such file"):
        read_day(tmp_path)


@pytest.mark.parametrize(
    ("to", "minutes"), [(Point(0, 0), 0), (Point(1, 0), 1), (Point(60, 80), 1), (Point(60, 80.1), 2)]
)
def test_travel_takes_whole_minutes_rounded_up(to: Point, minutes: int) -> None:
    assert Rules(100, 4, 4, 40).travel(Point(0, 0), to) == minutes


def test_odd_service_counts_its_middle_minute_on_both_sides() -> None:
    rules = Rules(100, 4, 3, 40)
    assert (rules.pickup_half, rules.dropoff_half) == (2, 2)


def test_places_on_the_sphere_are_as_far_apart_as_on_the_plane(tmp_path: Path) -> None:
    day = read_day(write_day(tmp_path, busy_day(10)))
    atlas = Atlas(day)
    points = [Point(x * 3701.0, y * 2903.0) for x, y in product(range(-2, 3), repeat=2)]
    for a, b in product(points, points):
        plane = ((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5
        assert distance_m(Place(**atlas.place(a)), Place(**atlas.place(b))) == pytest.approx(plane, rel=1e-5)


# -- the clock ------------------------------------------------------------------------------------


def test_clock_runs_as_many_times_faster_as_it_is_told() -> None:
    now = [100.0]
    clock = DayClock(-8.0, 240, lambda: now[0], lambda: 1_000_000.0)
    assert (clock.now(), clock.minute()) == (-8.0, -8)
    now[0] += 2.125
    assert (clock.now(), clock.minute()) == (0.5, 0)


def test_minute_survives_the_way_through_real_time() -> None:
    clock = DayClock(3.3, 480, lambda: 5.0, lambda: 1_790_000_000.123)
    assert [clock.minute_at(clock.wall_ms(minute)) for minute in range(0, 1000, 7)] == list(range(0, 1000, 7))
    assert clock.wall_ms(11.3) - clock.wall_ms(3.3) == 1000


async def test_past_minute_is_not_waited_for() -> None:
    clock = DayClock(50, 1, lambda: 5.0)
    await clock.until(50)
    await clock.until_or(49.5, asyncio.Event())


async def test_event_ends_the_wait_for_a_minute() -> None:
    event = asyncio.Event()
    clock = DayClock(0, 1, lambda: 5.0)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(clock.until_or(1000, event))
        event.set()
    assert waiting.done()


# -- the report -----------------------------------------------------------------------------------


def test_measures_are_those_of_the_published_evaluator(day: Day) -> None:
    found = measures(day, RIDES, MOVES)
    assert (found["delivered"], found["click_to_door_mean"], found["click_to_door_p90"]) == (2, 16.0, 18.4)
    assert (found["overage_mean"], found["over_target"]) == (0.0, 0)
    assert (found["ready_to_pickup_mean"], found["ready_to_door_mean"]) == (0.0, 9.5)
    # 3 + 5 and 1 + 6 minutes on the road, 8 of service each, of 60 and 115 minutes.
    assert found["courier_use"] == pytest.approx(31 / 175, abs=1e-3)
    assert (found["decision_lag_max"], found["slipped"]) == (1.5, ["o2 c2: 1.50"])


def test_overage_counts_only_what_is_over_the_target(tmp_path: Path) -> None:
    lines = (FILES["instance_parameters"][0], "100\t4\t4\t15\t90\t10\t15")
    day = read_day(write_day(tmp_path, {"instance_parameters": lines}))
    found = measures(day, RIDES, MOVES)
    assert (found["overage_mean"], found["over_target"]) == (2.0, 1)


def test_measures_of_a_day_without_deliveries_are_zero(day: Day) -> None:
    found = measures(day, (), ())
    assert (found["delivered"], found["click_to_door_mean"], found["decision_lag_p99"]) == (0, 0.0, 0.0)


def test_solution_has_the_format_of_the_published_evaluator(day: Day, tmp_path: Path) -> None:
    write_solution(tmp_path, day, RIDES, MOVES)
    assert _lines(tmp_path, "assignments") == [
        "assignment_time pickup_time courier orders",
        "12 15 c2 o2",
        "10 20 c1 o1",
    ]
    assert _lines(tmp_path, "orders") == [
        "order placement_time ready_time pickup_time dropoff_time courier",
        "o1 10 20 20 29 c1",
        "o2 12 15 15 25 c2",
    ]
    assert _lines(tmp_path, "couriers") == [
        "courier departure_time origin destination",
        "c1 10 0 r1",
        "c1 22 r1 o1",
        "c2 12 0 r2",
        "c2 17 r2 o2",
    ]


def _lines(folder: Path, name: str) -> list[str]:
    return (folder / f"solution_info_{name}.txt").read_text().splitlines()


@pytest.mark.parametrize("name", ["lost", "double_assigned", "feed_faults", "violations"])
def test_replay_fails_for_what_must_not_be(name: str) -> None:
    good: dict[str, Any] = dict.fromkeys(("lost", "double_assigned", "feed_faults", "violations"), ())
    good |= {"orders": 2, "acknowledged": 2}
    assert ReplayReport(good).passed
    assert not ReplayReport(good | {name: ["o1"]}).passed
    assert not ReplayReport(good | {"acknowledged": 1}).passed


def test_text_of_the_report_counts_lists_and_shows_their_beginning() -> None:
    shown = ReplayReport(
        {"orders": 3, "lost": [f"o{n}" for n in range(9)], "counts": {"b": 1, "a": 2}}
    ).lines()
    assert [line.split() for line in shown] == [
        ["orders", "3"], ["lost", "9"], ["o0"], ["o1"], ["o2"], ["o3"], ["o4"],
        ["counts", "a", "2,", "b", "1"],
    ]  # fmt: skip


def test_progress_says_the_time_and_how_far_the_orders_are(day: Day) -> None:
    record = DayRecord(
        {"o1": "ord_1"}, rides=[RIDES[0]], counts=Counter(assigned=2, handed_back=1, picked_up=1)
    )
    line = status_line(day, DayClock(605, 60, lambda: 0.0), record)
    assert line == "10:05  placed 1/2  assigned 1  picked up 1  delivered 1"


# -- the check ------------------------------------------------------------------------------------


def test_solution_that_obeys_the_rules_has_no_violations(day: Day, tmp_path: Path) -> None:
    write_solution(tmp_path, day, RIDES, MOVES)
    assert violations(day, tmp_path) == []


def test_courier_may_wait_for_an_assignment_and_for_a_meal(day: Day, tmp_path: Path) -> None:
    late = Ride("o1", "c1", assigned=13, picked_up=25, delivered=34, lag=0)
    moves = (Move("c1", 15, START, "r1"), Move("c1", 27, "r1", "o1"))
    write_solution(tmp_path, day, [late], moves)
    assert violations(day, tmp_path) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("assignments", "10 20 c1 o1", "9 20 c1 o1", "o1: assigned at 9, placed at 10"),
        ("assignments", "10 20 c1 o1", "11 20 c1 o1", "c1: leaves 0 for r1 at 10, free at 11"),
        ("assignments", "10 20 c1 o1", "10 19 c1 o1", "o1: picked up at 19, ready at 20"),
        ("assignments", "10 20 c1 o1", "10 61 c1 o1", "o1: picked up at 61 by c1, off at 60"),
        ("assignments", "10 20 c1 o1", "10 20 c1 o1\n10 20 c1 o1", "o1: assigned 2 times"),
        ("assignments", "10 20 c1 o1", "10 20 c1 o1 o2", "o1 o2: 2 orders at once"),
        ("assignments", "10 20 c1 o1", "10 20 c1 o1 o2", "o1 o2: of several restaurants"),
        ("assignments", "10 20 c1 o1", "10 20 c1 o7", "o7: no such order"),
        ("assignments", "10 20 c1 o1", "10 20 c7 o1", "c7: no such courier"),
        ("assignments", "courier orders", "courier order", "cannot be read: header of assignments"),
        ("assignments", "10 20 c1", "10 late c1", "cannot be read: invalid literal"),
        ("orders", "o1 10 20 20 29 c1", "o1 10 19 20 29 c1", "o1: placed 10 and ready 19 are not the day's"),
        ("orders", "o1 10 20 20 29 c1", "o1 10 20 21 29 c1", "o1: picked up at 21 by c1, but assigned"),
        ("orders", "o1 10 20 20 29 c1", "o1 10 20 20 29 c2", "o1: picked up at 20 by c2, but assigned"),
        ("orders", "o1 10 20 20 29 c1", "o1 10 20 20 28 c1", "c1: is done at o1 at 28, not at 29"),
        ("orders", "o1 10 20 20 29 c1", "o1 10 20 20 30 c1", "c1: is done at o1 at 30, not at 29"),
        ("orders", "o1 10 20 20 29 c1\n", "", "o1: only in one of assignments and orders"),
        ("couriers", "c1 10 0 r1", "c1 16 0 r1", "c1: is done at r1 at 20, not at 21"),
        ("couriers", "c1 22 r1 o1", "c1 21 r1 o1", "c1: leaves r1 for o1 at 21, free at 22"),
        ("couriers", "c1 22 r1 o1", "c1 23 r1 o1", "c1: leaves r1 for o1 at 23, free at 22"),
        ("couriers", "c1 22 r1 o1", "c1 22 r2 o1", "instead of a drive from r1 to o1"),
        ("couriers", "c1 22 r1 o1\n", "", "c1: None instead of a drive from r1 to o1"),
        ("couriers", "c2 17 r2 o2", "c2 17 r2 o2\nc2 40 o2 r1", "c2: drives to r1 at 40 for nothing"),
        ("couriers", "c2 17 r2 o2", "c2 17 r2 o2\nc1 40 o1 r1", "the moves of c1 are not together"),
    ],
)
def test_planted_violation_is_found(
    day: Day, tmp_path: Path, name: str, old: str, new: str, says: str
) -> None:
    write_solution(tmp_path, day, RIDES, MOVES)
    path = tmp_path / f"solution_info_{name}.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert [found for found in violations(day, tmp_path) if says in found] != []


def test_courier_in_two_places_at_once_is_found(day: Day, tmp_path: Path) -> None:
    """c1 takes o2 as well, while it is still on its way with o1."""
    both = [RIDES[0], Ride("o2", "c1", assigned=12, picked_up=33, delivered=43, lag=0)]
    moves = [MOVES[0], MOVES[2], Move("c1", 20, "o1", "r2"), Move("c1", 35, "r2", "o2")]
    write_solution(tmp_path, day, both, moves)
    assert "c1: leaves o1 for r2 at 20, free at 31" in violations(day, tmp_path)


def test_missing_solution_is_a_violation(day: Day, tmp_path: Path) -> None:
    assert violations(day, tmp_path)[0].startswith("cannot be read")


# -- the server's books ---------------------------------------------------------------------------


def _assigned(driver: str, version: int) -> dict[str, Any]:
    return {"type": "assigned", "version": version, "data": {"driver_id": driver}}


RELEASED = {"type": "released", "version": 5, "data": {"driver_id": "drv_1"}}


def test_one_assignment_told_to_its_driver_is_no_fault() -> None:
    assert twice([{"type": "created", "version": 1}, _assigned("drv_1", 4)], [Won("drv_1", 4)]) == []


def test_second_assignment_after_a_release_is_no_fault() -> None:
    history = [_assigned("drv_1", 4), RELEASED, _assigned("drv_2", 7)]
    assert twice(history, [Won("drv_1", 4), Won("drv_2", 7)]) == []


def test_second_assignment_without_a_release_is_found() -> None:
    history = [_assigned("drv_1", 4), _assigned("drv_2", 5)]
    assert twice(history, []) == ["assigned to drv_2 while drv_1 had it"]


def test_driver_who_was_told_what_the_history_does_not_know_is_found() -> None:
    assert twice([_assigned("drv_1", 4)], [Won("drv_2", 4)]) == ["drv_2 was told so at version 4"]


# -- people and times -----------------------------------------------------------------------------


def test_customers_are_as_many_as_the_busiest_real_minute_needs(tmp_path: Path) -> None:
    day = read_day(write_day(tmp_path, busy_day(40)))
    assert [customers_needed(day, speedup) for speedup in (1, 20, 60)] == [1, 2, 3]


def test_minted_people_must_be_enough(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text("".join(json.dumps({"role": role}) + "\n" for role in ("driver", "customer")))
    assert len(read_minted(path, 1)) == 2
    with pytest.raises(UsersMissing, match="2 drivers and a customer are needed"):
        read_minted(path, 2)


def test_real_times_are_said_with_milliseconds_in_utc() -> None:
    assert rfc3339(1_790_000_000.25) == "2026-09-21T14:13:20.250Z"


def test_options_have_a_server_of_its_own_by_default(tmp_path: Path) -> None:
    options = read_options([str(tmp_path), "--out", "there"])
    assert (options.url, options.wave_size, options.out) == (None, 1, Path("there"))


def test_speedup_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options([str(tmp_path), "--out", "there", "--speedup", "0"])
    assert "must be positive" in capsys.readouterr().err


def test_folder_without_a_day_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("cannot replay: DayError")


# -- a line that breaks ---------------------------------------------------------------------------


class BreakingPhone(Phone):
    """Its first connection is lost with a command on the way; the second one answers."""

    def __init__(self) -> None:
        self.connections = 0
        self.asked: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.position = FeedPosition()
        self.position.seq = 7
        self._lost = False

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Phone]:
        self.connections += 1
        self._lost = False
        yield self

    @property
    def closed(self) -> bool:
        return self._lost

    async def send(self, frame: dict[str, Any]) -> None:
        self.sent.append(frame)

    async def ask(self, frame: dict[str, Any], wait_s: float = 5.0) -> dict[str, Any]:
        self.asked.append(frame)
        if self.connections == 1:
            self._lost = True
            raise Closed(1006)
        return {"t": "reply", "ok": True}


async def _over_a_break(phone: BreakingPhone) -> Counter[str]:
    counts: Counter[str] = Counter()
    line = PhoneConnection(phone, "run-c1", counts)
    async with asyncio.TaskGroup() as tasks:
        holding = tasks.create_task(line.hold())
        await line.say_where({"lat": 1.0, "lon": 2.0})
        assert (await line.ask({"t": "order.pickup", "order_id": "ord_1"}))["ok"]
        await line.ask({"t": "order.delivery", "order_id": "ord_1"})
        holding.cancel()
    return counts


async def test_unanswered_command_is_repeated_under_its_key_on_the_next_connection() -> None:
    phone = BreakingPhone()
    counts = await _over_a_break(phone)
    first, *again, other = phone.asked
    assert phone.connections == 2
    assert again
    assert {frame["key"] for frame in again} == {first["key"]} != {other["key"]}
    assert (counts["reconnects"], counts["repeats"]) == (1, len(again))


async def test_place_is_told_again_after_a_lost_connection_under_a_higher_counter() -> None:
    phone = BreakingPhone()
    await _over_a_break(phone)
    told = [frame for frame in phone.sent if frame["t"] == "loc"]
    assert len(told) >= 2
    assert {(frame["lat"], frame["lon"]) for frame in told} == {(1.0, 2.0)}
    assert all(a["cseq"] < b["cseq"] for a, b in pairwise(told))
