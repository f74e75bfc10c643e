"""What a table of drills says, what fails it, and what of it comes into the runbooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.deploy.alerts import PAGE, TICKET
from loadtests.drill.report import DrillReport, DrillRound, read_report
from loadtests.drill.runbooks import FOLDER, write_runbooks


def a_round(found_s: float | None = 60.0, cleared_s: float | None = 90.0, *foreign: str) -> DrillRound:
    """A round of the fault `kill`."""
    told = {} if found_s is None else {"MallDown": found_s}
    return DrillRound("kill", PAGE, found_s, cleared_s, told, list(foreign), [])


def test_times_of_a_fault_are_the_mean_and_the_worst_of_its_rounds() -> None:
    report = DrillReport([a_round(60.0, 90.0), a_round(80.0, 110.0)])
    assert report.passed
    assert "| kill | page | 2 | 70 s, 80 s | 100 s, 110 s | MallDown | 0 |" in report.lines()


@pytest.mark.parametrize(
    "done",
    [
        a_round(301.0),
        a_round(121.0),
        a_round(None),
        a_round(60.0, 601.0),
        a_round(60.0, None),
        a_round(60.0, 90.0, "MallShedding"),
    ],
    ids=["late", "late in the mean", "never", "cleared late", "never cleared", "foreign page"],
)
def test_round_that_breaks_a_limit_fails_the_report(done: DrillRound) -> None:
    assert not DrillReport([done]).passed


def test_ticket_may_take_longer_than_pages_in_the_mean() -> None:
    ticket = DrillRound("pool_full", TICKET, 240.0, 300.0, {"MallPoolSlow": 240.0}, [], [])
    assert DrillReport([a_round(), ticket]).passed


def test_round_that_came_to_nothing_fails_the_report() -> None:
    assert not DrillReport([a_round()], failed=["kill, round 2: no server"]).passed


def test_report_that_was_written_is_read_back(tmp_path: Path) -> None:
    report = DrillReport([a_round(), a_round(None, None)])
    report.write(tmp_path / "drill.json")
    assert read_report(tmp_path / "drill.json").lines() == report.lines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copies of three runbooks."""
    for name in ("README.md", "MallDown.md", "MallShedding.md"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    return tmp_path


def test_runbooks_say_what_was_measured_and_keep_the_rest(folder: Path) -> None:
    before = (folder / "MallDown.md").read_text().partition("## Drill")[0]
    for times in (60.0, 70.0):
        write_runbooks(DrillReport([a_round(times)]), folder)
    page = (folder / "MallDown.md").read_text()
    assert page.startswith(before)
    assert page.count("## Drill") == 1
    assert "- the only instance is killed (`kill`): 70 s, 70 s, in 1 of 1 rounds" in page
    assert "60 s" not in page
    assert "| kill | page | 1 |" in (folder / "README.md").read_text()
    assert "No drill leads to this alert" in (folder / "MallShedding.md").read_text()


@pytest.mark.parametrize(
    "report",
    [
        DrillReport([]),
        DrillReport([a_round()], shipped=False),
        DrillReport([a_round()], failed=["kill, round 2: no server"]),
    ],
    ids=["nothing", "faster rules", "a round came to nothing"],
)
def test_runbooks_take_nothing_that_was_not_measured(report: DrillReport, folder: Path) -> None:
    with pytest.raises(ValueError, match="shipped rules"):
        write_runbooks(report, folder)
