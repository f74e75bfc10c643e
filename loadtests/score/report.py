"""The report of a score: a table, what contradicts the rules, and whether the planner is ahead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.score.measures import DayScore

PLANNER, SERVER = "planner", "server"
# Minutes that a day through the server may be longer in the mean than in virtual time.
SERVER_SLACK = 0.3
HEADER = (
    f"{'day':<17}{'dispatcher':<12}{'mean':>7}{'floor':>7}{'over':>7}{'p90':>7}{'overage':>9}{'pickup':>8}"
    f"{'undelivered':>13}{'trips':>7}{'refused':>9}{'step ms':>9}{'p99':>7}{'gini':>7}{'kept':>7}"
)


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """All lines, and by day what contradicts the rules in the planner's solution."""

    scores: Sequence[DayScore]
    violations: Sequence[str]
    facts: Sequence[str] = ()

    @property
    def behind(self) -> list[str]:
        """Days on which a yardstick is at least as good: it delivers as many, with a mean no higher."""
        found = []
        for day in dict.fromkeys(score.day for score in self.scores):
            of = {score.dispatcher: score for score in self.scores if score.day == day}
            ours = of.pop(PLANNER)
            for name, other in of.items():
                if name == SERVER:
                    found += self._server_behind(day, ours, other)
                    continue
                if len(other.undelivered) < len(ours.undelivered):
                    found.append(f"{day}: {name} delivers more orders")
                elif len(other.undelivered) == len(ours.undelivered) and other.mean <= ours.mean:
                    found.append(f"{day}: {name} has the lower mean")
        return found

    @staticmethod
    def _server_behind(day: str, ours: DayScore, server: DayScore) -> list[str]:
        """How much worse a day is through the server than in virtual time."""
        found = []
        if set(server.undelivered) - set(ours.undelivered):
            found.append(f"{day}: the server leaves orders that the planner delivers")
        if server.mean > ours.mean + SERVER_SLACK:
            found.append(f"{day}: the server is {server.mean - ours.mean:.2f} minutes behind virtual time")
        return found

    @property
    def passed(self) -> bool:
        """True when no rule is broken and no yardstick is ahead."""
        return not self.violations and not self.behind

    def lines(self) -> list[str]:
        """For people."""
        lines = [
            "minutes; `over` the floor; `pickup` after the order is ready; steps in processor time;",
            "`gini` of the couriers' orders per hour; `kept`: promises of the learned kind",
            "",
            HEADER,
        ]
        lines += map(_line, self.scores)
        lines += [
            f"{s.day}: not delivered: {' '.join(s.undelivered)}"
            for s in self.scores
            if s.dispatcher == PLANNER and s.undelivered
        ]
        lines += ["", *self.facts, *self.violations, *self.behind]
        return [*lines, "passed" if self.passed else "FAILED"]

    def write(self, path: Path) -> None:
        """For machines."""
        path.parent.mkdir(parents=True, exist_ok=True)
        scores = [asdict(score) | {"over_floor": score.over_floor} for score in self.scores]
        found = {
            "passed": self.passed,
            "scores": scores,
            "violations": list(self.violations),
            "behind": self.behind,
        }
        path.write_text(json.dumps(found, indent=2) + "\n")


def _line(s: DayScore) -> str:
    return (
        f"{s.day:<17}{s.dispatcher:<12}{s.mean:>7.2f}{s.floor:>7.2f}{s.over_floor:>7.2f}{s.p90:>7.1f}"
        f"{s.overage:>9.2f}{s.ready_to_pickup:>8.2f}{len(s.undelivered):>13}{s.trips:>7}{s.refused:>9.1%}"
        f"{s.step_ms:>9.1f}{s.step_p99_ms:>7.1f}{s.gini:>7.3f}{s.kept:>7.1%}"
    )
