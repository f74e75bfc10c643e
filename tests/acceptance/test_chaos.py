"""Three instances under load and faults: a short run of loadtests/chaos."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.chaos.plan import FLUSH, FREEZE, KILL, ROLLING, PlannedFault
from loadtests.chaos.report import make_report
from loadtests.chaos.run import ChaosPlan, chaos
from loadtests.faults.history import NOT_PROCESSED, OK, UNKNOWN

FAULTS = (
    PlannedFault(KILL, (1,), length_s=1.5, gap_s=2.0),
    # Beyond the lease of 4 s, so that its shards are somebody else's when it wakes.
    PlannedFault(FREEZE, (2,), length_s=6.0, gap_s=1.0),
    PlannedFault(FLUSH, gap_s=2.0),
    PlannedFault(ROLLING, (0, 1, 2), gap_s=0.5),
)


@pytest.mark.timeout(240)
async def test_no_promise_is_broken_when_instances_are_killed_frozen_and_restarted_and_redis_forgets(
    short_tmp_path: Path,
) -> None:
    plan = ChaosPlan(instances=3, drivers=6, customers=2, faults=FAULTS)
    outcome = await chaos(plan, short_tmp_path / "chaos")
    report = make_report(outcome)
    assert report.passed, "\n".join(report.lines())
    assert outcome.audit["holds"]
    assert [span.kind for span in outcome.spans] == ["kill", "freeze 6 s", "empty Redis", "rolling restart"]
    # Or nothing would have been at stake.
    answers = [answer for intent in outcome.findings.history.intents for answer in intent.answers]
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count(OK) > 1000
    assert UNKNOWN in outcomes
    assert NOT_PROCESSED in outcomes
    assert sum(driver.resumed for driver in outcome.findings.drivers) > 12
    assert outcome.spans[1].stale > 0
