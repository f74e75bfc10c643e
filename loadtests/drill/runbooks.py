"""Writes measured times into the section Drill of each runbook, between marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from config.deploy import rules
from loadtests.drill.faults import FAULTS
from loadtests.drill.report import DrillReport, DrillRound, seconds, table, times_of

FOLDER = Path(rules.__file__).parent / "runbooks"
BEGIN, END = "<!-- drill -->", "<!-- end of drill -->"
_MARKED = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
_NONE = "No drill leads to this alert. Its rule is tested on both sides of its limit (`tests/integration/monitoring`)."


def write_runbooks(report: DrillReport, folder: Path = FOLDER) -> None:
    """Write mean and worst time into the page of each alert that was told, and the table into the page of all.

    Raises:
        ValueError: the times were not measured at the times that are shipped, or a round came to nothing.
    """
    if not report.shipped or not report.rounds or report.failed:
        raise ValueError(
            "only what was measured with the shipped rules is written, and only if all rounds came to an end"
        )
    for page in sorted(folder.glob("*.md")):
        lines = (
            table(times_of(report.rounds))
            if page.name == "README.md"
            else alert_lines(page.stem, report.rounds)
        )
        page.write_text(_put(page.read_text(), "\n".join(lines)))


def alert_lines(alert: str, rounds: Sequence[DrillRound]) -> list[str]:
    """What an alert's page says."""
    told: dict[str, list[DrillRound]] = {}
    for done in rounds:
        if alert in done.told:
            told.setdefault(done.fault, []).append(done)
    if not told:
        return [_NONE]
    return [
        "`make drill` makes the fault, with the shipped rules and routes. It was told after (mean, worst):",
        "",
        *(_line(alert, fault, found, rounds) for fault, found in told.items()),
    ]


def _line(alert: str, fault: str, told: Sequence[DrillRound], rounds: Sequence[DrillRound]) -> str:
    after = [done.told[alert] for done in told]
    made = sum(done.fault == fault for done in rounds)
    often = f"in {len(told)} of {made} rounds"
    return f"- {FAULTS[fault].text} (`{fault}`): {seconds(fmean(after), max(after))}, {often}"


def _put(text: str, said: str) -> str:
    """The page with this between its marks; the section is made where there are none."""
    marked = f"{BEGIN}\n{said}\n{END}"
    if _MARKED.search(text):
        return _MARKED.sub(lambda _: marked, text)
    head = text.partition("\n## Drill\n")[0].rstrip("\n")
    return f"{head}\n\n## Drill\n\n{marked}\n"
