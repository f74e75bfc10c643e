"""The score: a day in virtual time, its measures, and a solution that another program finds without fault."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from random import Random
from statistics import fmean

import pytest

from loadtests.replay.check import violations
from loadtests.replay.day import Day, read_day
from loadtests.score.__main__ import main
from loadtests.score.assignment import assign
from loadtests.score.dispatchers import (
    AssignmentDispatcher,
    NearestDispatcher,
    PlannerDispatcher,
    day_settings,
)
from loadtests.score.measures import DayScore, floor, measure
from loadtests.score.report import ScoreReport
from loadtests.score.solution import write_trips
from loadtests.score.through_server import server_score
from loadtests.score.virtual_day import (
    DayDispatcher,
    DayDriver,
    DayOffer,
    DayOutcome,
    OfferAnswers,
    OpenDayOrder,
    RuleBroken,
    VirtualDay,
)
from tests.unit.loadtests.small_day import FILES, write_day

# Folders of public delivery days; the goals are minutes over the floor.
DAYS = os.environ.get("TEST_DELIVERY_DAYS", "")
GOALS = {
    "0o100t100s1p100": 1.0,
    "0r50t75s2p125": 0.4,
    "2o50t100s1p100": 1.0,
    "4o100t100s1p100": 2.0,
    "1o100t100s1p100": 2.8,
}


def lunch(seed: int = 1, orders: int = 60, couriers: int = 9) -> dict[str, Sequence[str]]:
    """Two hours in a small town: stores in the middle, homes around it, some shifts that end early."""
    chance = Random(seed)

    def spot(width: int) -> str:
        return f"{chance.randrange(-width, width)}\t{chance.randrange(-width, width)}"

    lines = []
    for number in range(orders):
        placed = chance.randrange(120)
        lines.append(
            f"o{number}\t{spot(1500)}\t{placed}\tr{chance.randrange(6)}\t{placed + chance.randrange(5, 25)}"
        )
    return {
        "restaurants": (FILES["restaurants"][0], *(f"r{number}\t{spot(600)}" for number in range(6))),
        "orders": (FILES["orders"][0], *lines),
        "couriers": (
            FILES["couriers"][0],
            *(
                f"c{number}\t{spot(800)}\t{chance.randrange(20)}\t{300 - 20 * number}"
                for number in range(couriers)
            ),
        ),
    }


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return read_day(write_day(tmp_path / "lunch", lunch()))


def planner(day: Day) -> PlannerDispatcher:
    return PlannerDispatcher(day, replace(day_settings(day), iterations=20), 1)


# -- assignment ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_assignment_has_the_lowest_sum_of_all(seed: int) -> None:
    chance = Random(seed)
    rows, columns = chance.randint(1, 5), chance.randint(1, 5)
    costs = [[float(chance.randrange(20)) for _ in range(columns)] for _ in range(rows)]
    pairs = assign(costs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == min(rows, columns)
    if rows <= columns:
        every = [
            sum(costs[r][c] for r, c in enumerate(chosen)) for chosen in permutations(range(columns), rows)
        ]
    else:
        every = [
            sum(costs[r][c] for c, r in enumerate(chosen)) for chosen in permutations(range(rows), columns)
        ]
    assert sum(costs[row][column] for row, column in pairs) == min(every)


def test_assignment_of_nothing() -> None:
    assert assign([]) == assign([[], []]) == []


# -- a day -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["planner", "assignment", "nearest"])
@pytest.mark.parametrize("answers", [OfferAnswers(), OfferAnswers(0.2, 0.2, 30), OfferAnswers(0.0, 0.3, 120)])
def test_solution_keeps_all_rules_and_forgets_nobody(
    day: Day, tmp_path: Path, kind: str, answers: OfferAnswers
) -> None:
    made: dict[str, DayDispatcher] = {
        "planner": planner(day),
        "assignment": AssignmentDispatcher(day),
        "nearest": NearestDispatcher(day),
    }
    outcome = VirtualDay(day, made[kind], answers).run()
    write_trips(tmp_path / "out", day, outcome.trips)
    assert violations(day, tmp_path / "out", 4 if kind == "planner" else 1) == []
    delivered = [name for trip in outcome.trips for name in trip.orders]
    assert sorted([*delivered, *outcome.unfinished]) == sorted(day.orders)
    assert bool(outcome.refused) == bool(answers.decline or answers.silence)


def test_planner_delivers_everything_faster_than_the_yardsticks(day: Day) -> None:
    def over_floor(dispatcher: DayDispatcher) -> tuple[int, float]:
        found = measure(day, "any", VirtualDay(day, dispatcher, OfferAnswers()).run())
        return len(found.undelivered), found.over_floor

    ours = over_floor(planner(day))
    assert ours[0] == 0
    assert ours < over_floor(AssignmentDispatcher(day))
    assert ours < over_floor(NearestDispatcher(day))


def test_same_seed_gives_the_same_day(day: Day) -> None:
    answers = OfferAnswers(0.1, 0.1, 30)
    one, two = (VirtualDay(day, planner(day), answers).run() for _ in range(2))
    assert one.trips == two.trips


def test_measures_of_a_day_known_by_heart(tmp_path: Path) -> None:
    """c1 is at r1 in 3 minutes and waits for 20; o1 is at the door 9 minutes later. c2 is at r2 in 1 minute."""
    day = read_day(write_day(tmp_path / "day"))
    found = measure(day, "nearest", VirtualDay(day, NearestDispatcher(day), OfferAnswers()).run())
    assert floor(day, day.orders) == fmean((20 + 2 + 5 + 2 - 10, 15 + 2 + 6 + 2 - 12))
    assert (found.mean, found.over_floor, found.undelivered) == (floor(day, day.orders), 0.0, ())
    assert (found.overage, found.ready_to_pickup, found.trips) == (0.0, 0.0, 2)


# -- who cheats is found ---------------------------------------------------------------------------------


class _Fixed:
    """Makes offers that are prepared."""

    def __init__(self, *offers: DayOffer) -> None:
        self._offers = [*offers]

    def decide(
        self, now_s: int, orders: Sequence[OpenDayOrder], drivers: Sequence[DayDriver]
    ) -> list[DayOffer]:
        return [self._offers.pop(0)] if self._offers else []


def test_order_that_is_not_open_cannot_be_offered(day: Day) -> None:
    first = min(range(len(day.orders)), key=lambda n: [*day.orders.values()][n].placed)
    with pytest.raises(RuleBroken, match="not open"):
        VirtualDay(day, _Fixed(DayOffer(0, (first,)), DayOffer(1, (first,))), OfferAnswers()).run()


def test_order_cannot_be_offered_again_to_a_courier_who_declined(day: Day) -> None:
    first = min(range(len(day.orders)), key=lambda n: [*day.orders.values()][n].placed)
    twice = _Fixed(DayOffer(0, (first,)), DayOffer(0, (first,)))
    with pytest.raises(RuleBroken, match="again"):
        VirtualDay(day, twice, OfferAnswers(decline=0.999)).run()


def _shifted(outcome: DayOutcome, **change: int) -> DayOutcome:
    trip = outcome.trips[3]
    changed = {name: getattr(trip, name) + by for name, by in change.items()}
    outcome.trips[3] = replace(trip, **changed)
    return outcome


@pytest.mark.parametrize(
    "change", [{"picked_up_s": -60}, {"picked_up_s": 60}, {"assigned_s": -7200}], ids=str
)
def test_checker_finds_times_that_cannot_be(day: Day, tmp_path: Path, change: dict[str, int]) -> None:
    outcome = _shifted(VirtualDay(day, planner(day), OfferAnswers()).run(), **change)
    write_trips(tmp_path / "out", day, outcome.trips)
    assert violations(day, tmp_path / "out", 4)


def test_checker_finds_a_door_that_is_reached_too_early(day: Day, tmp_path: Path) -> None:
    outcome = VirtualDay(day, planner(day), OfferAnswers()).run()
    trip = outcome.trips[0]
    outcome.trips[0] = replace(trip, doors_s=tuple(door_s - 60 for door_s in trip.doors_s))
    write_trips(tmp_path / "out", day, outcome.trips)
    assert violations(day, tmp_path / "out", 4)


def test_checker_finds_trips_with_too_many_orders_and_over_two_stores(day: Day, tmp_path: Path) -> None:
    outcome = VirtualDay(day, planner(day), OfferAnswers()).run()
    longest = max(len(trip.orders) for trip in outcome.trips)
    assert longest > 1, "the day has trips of several orders"
    write_trips(tmp_path / "out", day, outcome.trips)
    assert any("orders at once" in line for line in violations(day, tmp_path / "out", longest - 1))
    one, two = (
        next(t for t in outcome.trips if day.orders[t.orders[0]].restaurant == store)
        for store in ("r1", "r2")
    )
    outcome.trips.remove(two)
    outcome.trips[outcome.trips.index(one)] = replace(
        one, orders=one.orders + two.orders, doors_s=one.doors_s + two.doors_s
    )
    write_trips(tmp_path / "out", day, outcome.trips)
    assert any("several restaurants" in line for line in violations(day, tmp_path / "out", 9))


# -- the tool --------------------------------------------------------------------------------------------


def test_tool_writes_solutions_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_day(tmp_path / "lunch", lunch(2)), tmp_path / "out"
    code = main([str(folder), "--out", str(out), "--json", str(tmp_path / "score.json")])
    text = capsys.readouterr().out
    assert code == 0, text
    found = json.loads((tmp_path / "score.json").read_text())
    assert found["passed"]
    assert [each["dispatcher"] for each in found["scores"]] == ["planner", "assignment", "nearest"]
    assert len([*(out / "lunch" / "planner").iterdir()]) == 3


def test_tool_without_a_day_has_nothing_to_report(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2


@pytest.mark.parametrize(
    "arguments", [["--silence", "x", "30"], ["--decline", "1"], ["--silence", "0.5", "0"]], ids=" ".join
)
def test_tool_refuses_shares_that_make_no_sense(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), *arguments])


@pytest.mark.parametrize(("mean", "left", "said"), [
    (30.31, ("o2",), ["lunch: the server is 0.31 minutes behind virtual time"]),
    (30.30, ("o2",), []),
    (29.0, ("o3",), ["lunch: the server leaves orders that the planner delivers"]),
])  # fmt: skip
def test_report_fails_when_the_server_is_far_behind_virtual_time(
    mean: float, left: tuple[str, ...], said: list[str]
) -> None:
    ours = DayScore("lunch", "planner", 9, 30.0, 28.0, 40.0, 1.0, 2.0, ("o2",), 5, 0.0, 1.0, 2.0)
    server = replace(ours, dispatcher="server", mean=mean, undelivered=left)
    report = ScoreReport([ours, server], [])
    assert (report.behind, report.passed) == (said, not said)


def test_score_through_the_server_is_that_of_its_replay(day: Day) -> None:
    report = {
        "click_to_door_mean": 30.5, "click_to_door_p90": 44.0, "overage_mean": 1.0, "ready_to_pickup_mean": 2.0,
        "counts": {"assigned": 3, "declined: off before pick-up": 1}, "lost": ["o9: gone"], "double_assigned": [],
        "feed_faults": [], "violations": [], "errors": [],
    }  # fmt: skip
    delivered = sorted(day.orders)[1:]
    made, found = server_score(day, report, delivered)
    assert (made.mean, made.undelivered, made.refused) == (30.5, (min(day.orders),), 0.25)
    assert found == [f"{day.name} server: lost: o9: gone"]


def test_report_fails_when_a_yardstick_is_ahead() -> None:
    ours = DayScore("d", "planner", 9, 30.0, 28.0, 40.0, 0.0, 1.0, (), 9, 0.0, 1.0, 2.0)
    assert ScoreReport([ours, replace(ours, dispatcher="nearest", mean=31.0)], []).passed
    assert not ScoreReport([ours, replace(ours, dispatcher="nearest")], []).passed
    fewer = replace(ours, undelivered=("o1",))
    assert not ScoreReport([fewer, replace(ours, dispatcher="nearest", mean=31.0)], []).passed
    assert not ScoreReport([ours], ["o1: assigned twice"]).passed


# -- public days -----------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", GOALS)
def test_planner_reaches_the_goal_on_a_public_day(name: str, tmp_path: Path) -> None:
    folder = Path(DAYS) / name
    if not DAYS or not folder.is_dir():
        pytest.skip(f"no public day {name}: set TEST_DELIVERY_DAYS to the folder of the days")
    day = read_day(folder)
    outcome = VirtualDay(day, PlannerDispatcher(day, day_settings(day), 1), OfferAnswers()).run()
    write_trips(tmp_path, day, outcome.trips)
    assert violations(day, tmp_path, 4) == []
    found = measure(day, "planner", outcome)
    assert len(found.undelivered) == (1 if name.startswith("2o50") else 0)
    assert found.over_floor <= GOALS[name]
