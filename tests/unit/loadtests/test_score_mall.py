"""The mall in virtual time: pooling saves distance and keeps what it promises, and the report says when it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.score.mall import POOLING, MallOptions, MallReport, main, score_mall
from loadtests.score.mall_hours import MallCase, hindsight, play, pooled, today


@pytest.fixture(scope="module")
def report() -> MallReport:
    return score_mall(MallOptions((3.0,), seeds=1, minutes=20.0))


def test_pooling_saves_distance_within_the_bound(report: MallReport) -> None:
    assert report.passed, report.broken
    [line] = [each for each in report.lines_of if each.dispatcher == POOLING]
    assert line.saved > 0.2
    assert line.kept == 1.0
    [after] = report.hindsight
    assert line.saved < after.bound
    assert after.found <= after.bound


def test_report_says_what_is_broken(report: MallReport) -> None:
    def with_pooling(**changes: Any) -> list[str]:
        lines = [replace(x, **changes) if x.dispatcher == POOLING else x for x in report.lines_of]
        return MallReport(tuple(lines), report.hindsight).broken

    assert with_pooling(kept=0.9) == ["3 a minute: pooling breaks promises that the planner keeps"]
    assert "longer under way" in with_pooling(worst_detour_s=901.0)[0]
    assert "saves no more" in with_pooling(saved=-0.1)[0]
    assert "saves no more" in with_pooling(saved=0.9)[0]


def test_same_seed_gives_the_same_hours() -> None:
    case = MallCase(2.0, 5, minutes=10.0)
    assert play(case, pooled, one_site=True) == play(case, pooled, one_site=True)
    assert case.orders() != replace(case, seed=6).orders()


def test_orders_alone_drive_what_is_reckoned_for_them() -> None:
    outcome = play(MallCase(1.0, 1, minutes=10.0), today, one_site=False)
    assert outcome.trips == len(outcome.orders)
    assert outcome.driven_m == pytest.approx(outcome.alone_m)
    assert hindsight(outcome.orders).found_m > 0


def test_command_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mall.json"
    arguments = ["--rates", "2", "--seeds", "1", "--minutes", "15", "--json", str(path)]
    assert main(arguments) == 0
    assert "pooling" in capsys.readouterr().out
    assert '"passed": true' in path.read_text()
