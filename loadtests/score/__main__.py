"""Scores the planner on real delivery days in virtual time, under all rules of the days.

Each day is run once with the planner and once with each yardstick: the nearest idle courier, an assignment a minute.
Solutions are written as the three files that the published evaluator reads, and are checked here as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtests.kit.tool import add_options, finish, make_parser, option
from loadtests.replay.check import violations
from loadtests.replay.day import Day, DayError, read_day
from loadtests.score.dispatchers import (
    AssignmentDispatcher,
    NearestDispatcher,
    PlannerDispatcher,
    day_settings,
)
from loadtests.score.measures import DayScore, measure
from loadtests.score.report import PLANNER, SERVER, ScoreReport
from loadtests.score.solution import write_trips
from loadtests.score.through_server import score_through_server
from loadtests.score.virtual_day import DayDispatcher, OfferAnswers, VirtualDay


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """A run over some days; shares of offers that are declined, and that lapse after `silence_s`."""

    days: tuple[Path, ...]
    out: Path = field(default=Path("score-out"))
    decline: float = 0.0
    silence: float = 0.0
    silence_s: int = 30
    seed: int = option(1, "of the planner and of the couriers' answers [%(default)s]")
    yardsticks: bool = option(True, "the planner alone")
    promised: bool = option(False, "the planner knows a promise for each order")
    late: float | None = option(
        None, "weight of a second after a promise, instead of the planner's own", float
    )
    fair: float = option(0.0, "weight of fairness among couriers [%(default)g]")
    through_server: bool = option(False, "each day also through a whole server, in real time")
    speedup: float = option(60.0, "of the server's days; two cores carry 60 [%(default)g]")


def run_day(
    options: ScoreOptions, day: Day, name: str, dispatcher: DayDispatcher
) -> tuple[DayScore, list[str]]:
    """One dispatcher's day: its score, and what contradicts the rules in its solution."""
    answers = OfferAnswers(options.decline, options.silence, options.silence_s, options.seed)
    outcome = VirtualDay(day, dispatcher, answers).run()
    folder = options.out / day.name / name
    write_trips(folder, day, outcome.trips)
    capacity = day_settings(day).trip_orders_max if name == PLANNER else 1
    found = [f"{day.name} {name}: {line}" for line in violations(day, folder, capacity)]
    return measure(day, name, outcome), found


def score(options: ScoreOptions) -> ScoreReport:
    """All days with all dispatchers.

    Raises:
        DayError: there is no such day.
    """
    scores, found = [], []
    for path in options.days:
        day = read_day(path)
        settings = replace(day_settings(day), fair_weight=options.fair)
        if options.late is not None:
            settings = replace(settings, late_weight=options.late)
        planner = PlannerDispatcher(day, settings, options.seed, promised=options.promised)
        runs: dict[str, DayDispatcher] = {PLANNER: planner}
        if options.yardsticks:
            runs |= {"assignment": AssignmentDispatcher(day), "nearest": NearestDispatcher(day)}
        for name, dispatcher in runs.items():
            made, lines = run_day(options, day, name, dispatcher)
            scores.append(made)
            found += lines
        if options.through_server:
            out = options.out / day.name / SERVER
            made, lines = score_through_server(path, day, out, options.speedup)
            scores.append(made)
            found += lines
    return ScoreReport(scores, found, (f"load of the machine: {os.getloadavg()[0]:.1f}",))


def read_options(arguments: Sequence[str] | None) -> tuple[ScoreOptions, Path | None]:
    """The command line."""
    parser = make_parser("loadtests.score", __doc__)
    parser.add_argument(
        "days", type=Path, nargs="+", metavar="DIR", help="folder with the four files of a day"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("score-out"), help="folder for the solutions [%(default)s]"
    )
    parser.add_argument(
        "--decline", type=float, default=0.0, metavar="SHARE", help="of offers that are declined"
    )
    parser.add_argument(
        "--silence", nargs=2, default=("0", "30"), metavar=("SHARE", "SECONDS"),
        help="share of offers without an answer, and when they lapse",
    )  # fmt: skip
    add_options(parser, ScoreOptions)
    found = vars(parser.parse_args(arguments))
    json_path, (share, seconds) = found.pop("json"), found.pop("silence")
    try:
        silence, silence_s = float(share), int(seconds)
    except ValueError:
        parser.error("--silence needs a share and whole seconds")
    if not 0 <= found["decline"] + silence < 1 or min(found["decline"], silence) < 0 or silence_s <= 0:
        parser.error("shares are from 0 to 1, and below 1 together; seconds are positive")
    found["days"] = tuple(found["days"])
    return ScoreOptions(silence=silence, silence_s=silence_s, **found), json_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Score days; 1 when a rule is broken or a yardstick is ahead."""
    options, json_path = read_options(arguments)
    try:
        report = score(options)
    except DayError as error:
        print(f"cannot score: {error}", file=sys.stderr)
        return 2
    return finish(report, json_path)


if __name__ == "__main__":
    sys.exit(main())
