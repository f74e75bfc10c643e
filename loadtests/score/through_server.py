"""A day through the whole server: the replay's result as a line of the score."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from loadtests.replay.__main__ import ReplayOptions, replay
from loadtests.replay.day import Day
from loadtests.replay.report import ORDERS
from loadtests.score.measures import DayScore, floor
from loadtests.score.report import SERVER

# What must be empty in a replay's report.
FAULTS = ("lost", "double_assigned", "feed_faults", "violations", "errors")


def score_through_server(path: Path, day: Day, out: Path, speedup: float) -> tuple[DayScore, list[str]]:
    """Replay a day in real time, `speedup` times as fast: its score, and what went wrong.

    Raises:
        RuntimeError: the server does not start.
    """
    report = asyncio.run(replay(ReplayOptions(path, out, speedup, quiet=True)))
    lines = (out / ORDERS).read_text().splitlines()[1:]
    return server_score(day, report, [line.split()[0] for line in lines])


def server_score(day: Day, report: dict[str, Any], delivered: list[str]) -> tuple[DayScore, list[str]]:
    """The score of a replay's report, and what went wrong. Trips and steps are not counted there."""
    counts = report["counts"]
    refused = sum(many for name, many in counts.items() if name.startswith("declined"))
    made = DayScore(
        day.name,
        SERVER,
        len(day.orders),
        report["click_to_door_mean"],
        floor(day, delivered),
        report["click_to_door_p90"],
        report["overage_mean"],
        report["ready_to_pickup_mean"],
        tuple(sorted(day.orders.keys() - set(delivered))),
        0,
        refused / (refused + counts.get("assigned", 0)) if refused else 0.0,
        0.0,
        0.0,
    )
    return made, [f"{day.name} server: {name}: {line}" for name in FAULTS for line in report[name]]
