"""Rounds of drills, the table that they make, and the limits that they must keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from config.deploy.alerts import PAGE
from loadtests.kit.report import Limit

FOUND_MAX_S, FOUND_MEAN_S, CLEARED_MAX_S = 300.0, 120.0, 600.0
# In place of a time that did not come.
NEVER_S = float("inf")


@dataclass(frozen=True, slots=True)
class DrillRound:
    """What came of one round.

    Attributes:
        found_s: from the fault to the first of its alerts; None if it did not come.
        cleared_s: from the end of the fault to the end of the last of its alerts and of all pages.
        told: alerts of the fault, and all pages, by when each was first told after the fault.
        foreign: pages that are not about the fault, or came before it.
        tickets: other tickets, which wake nobody.
    """

    fault: str
    severity: str
    found_s: float | None
    cleared_s: float | None
    told: Mapping[str, float]
    foreign: Sequence[str]
    tickets: Sequence[str]


@dataclass(frozen=True, slots=True)
class FaultTimes:
    """Mean and worst times of a fault over its rounds."""

    fault: str
    severity: str
    rounds: int
    found_mean_s: float
    found_worst_s: float
    cleared_mean_s: float
    cleared_worst_s: float
    told: Sequence[str]
    foreign: Sequence[str]
    tickets: Sequence[str]


def times_of(rounds: Iterable[DrillRound]) -> list[FaultTimes]:
    """The rounds by fault, in the order of their first ones."""
    by_fault: dict[str, list[DrillRound]] = {}
    for done in rounds:
        by_fault.setdefault(done.fault, []).append(done)
    return [_times(fault, found) for fault, found in by_fault.items()]


def _times(fault: str, rounds: Sequence[DrillRound]) -> FaultTimes:
    found = [NEVER_S if x.found_s is None else x.found_s for x in rounds]
    cleared = [NEVER_S if x.cleared_s is None else x.cleared_s for x in rounds]
    return FaultTimes(
        fault,
        rounds[0].severity,
        len(rounds),
        fmean(found),
        max(found),
        fmean(cleared),
        max(cleared),
        sorted({alert for x in rounds for alert in x.told}),
        sorted({alert for x in rounds for alert in x.foreign}),
        sorted({alert for x in rounds for alert in x.tickets}),
    )


@dataclass(slots=True)
class DrillReport:
    """All rounds.

    Attributes:
        failed: rounds that came to nothing, by fault and reason.
        shipped: alerting ran at the times that are shipped.
    """

    rounds: list[DrillRound] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    shipped: bool = True
    took_s: float = 0.0

    @property
    def limits(self) -> list[Limit]:
        """What the rounds are held to."""
        times = times_of(self.rounds)
        pages = [x for x in self.rounds if x.severity == PAGE]
        found = [NEVER_S if x.found_s is None else x.found_s for x in self.rounds]
        means = [x.found_mean_s for x in times if x.severity == PAGE]
        cleared = [NEVER_S if x.cleared_s is None else x.cleared_s for x in self.rounds]
        return [
            Limit("worst time to page or ticket, s", max(found, default=NEVER_S), FOUND_MAX_S),
            *([Limit("mean time to page, s", fmean(means), FOUND_MEAN_S)] if pages else []),
            Limit("worst time to clear, s", max(cleared, default=NEVER_S), CLEARED_MAX_S),
            Limit("foreign pages", sum(len(x.foreign) for x in self.rounds), 0),
            Limit("rounds that came to nothing", len(self.failed), 0),
        ]

    @property
    def passed(self) -> bool:
        return all(limit.kept for limit in self.limits)

    def as_json(self) -> dict[str, Any]:
        """For machines, and for the runbooks."""
        return {
            "shipped": self.shipped,
            "passed": self.passed,
            "took_s": round(self.took_s, 1),
            "rounds": [asdict(x) for x in self.rounds],
            "failed": self.failed,
        }

    def lines(self) -> list[str]:
        """For people: the table in Markdown, and the limits."""
        return [
            *table(times_of(self.rounds)),
            "",
            *(f"failed: {why}" for why in self.failed),
            *(str(limit) for limit in self.limits),
            "",
            "passed" if self.passed else "FAILED",
        ]

    def write(self, path: Path) -> None:
        """The JSON form, as a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2) + b"\n")


def read_report(path: Path) -> DrillReport:
    """A report that was written."""
    found = orjson.loads(path.read_bytes())
    rounds = [DrillRound(**one) for one in found["rounds"]]
    return DrillReport(rounds, found["failed"], found["shipped"], found["took_s"])


def table(times: Iterable[FaultTimes]) -> list[str]:
    """A row for each fault."""
    return [
        "| Fault | Told as | Rounds | Told after: mean, worst | Cleared after: mean, worst | Alerts | Foreign pages |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {x.fault} | {x.severity} | {x.rounds} | {seconds(x.found_mean_s, x.found_worst_s)} "
            f"| {seconds(x.cleared_mean_s, x.cleared_worst_s)} | {', '.join(x.told) or 'none'} "
            f"| {', '.join(x.foreign) or '0'} |"
            for x in times
        ),
    ]


def seconds(mean_s: float, worst_s: float) -> str:
    """Both, in whole seconds."""
    return ", ".join("never" if x == NEVER_S else f"{x:.0f} s" for x in (mean_s, worst_s))
