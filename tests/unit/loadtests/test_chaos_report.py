"""The verdict: what fails a run, and what its report says."""

from __future__ import annotations

import aiohttp
import pytest

from loadtests.chaos.probes import AvailabilityProber, FaultSpan, ProbeResult
from loadtests.chaos.report import bound, long_freezes, make_report, timeline
from loadtests.chaos.run import ChaosOutcome, ChaosPlan
from loadtests.chaos.watch import OwnershipWatch
from loadtests.faults import crash
from loadtests.faults.history import History, Violation


@pytest.fixture
async def outcome() -> ChaosOutcome:
    """A run with one freeze beyond the lease, which one probe noticed."""
    async with aiohttp.ClientSession() as http:
        watch, prober = OwnershipWatch([], http, ""), AvailabilityProber([], http, ["token"])
    prober.probes.append(ProbeResult(11.5, 12.5, "mall-1", "TimeoutError", True))
    return ChaosOutcome(
        ChaosPlan(seed=9),
        crash.CrashFindings(crash.CrashPlan(), History()),
        [FaultSpan("freeze 6 s", ("mall-2",), 10.0, 16.0, stale=3, text="freeze 6 s of 2", frozen_s=6.0)],
        prober,
        watch,
        stale=3,
        audit={"holds": True, "invariants": [{"name": "slots", "holds": True}]},
    )


def test_a_run_without_violations_passes_and_says_how_much_that_proves(outcome: ChaosOutcome) -> None:
    report = make_report(outcome)
    assert report.passed
    assert report.ms(["freeze 6 s"], 1.0) == 1500.0
    assert "below 1e+02 % of 1 (95 %) faults" in report.facts["so violations are"]


def test_one_violation_fails_it(outcome: ChaosOutcome) -> None:
    outcome.violations.append(Violation("two_owners", "shard 3"))
    report = make_report(outcome)
    assert not report.passed
    assert report.facts["violation 1"] == "two_owners: shard 3"
    assert "so violations are" not in report.facts


def test_shards_without_one_owner_fail_it(outcome: ChaosOutcome) -> None:
    outcome.disputed = [17]
    assert not make_report(outcome).passed


def test_a_fence_that_was_never_hit_by_a_long_freeze_fails_it(outcome: ChaosOutcome) -> None:
    outcome.spans[0].stale = 0
    assert not make_report(outcome).passed


def test_a_run_in_which_no_long_freeze_could_meet_the_fence_proves_nothing(outcome: ChaosOutcome) -> None:
    outcome.spans.append(FaultSpan("Redis frozen", (), 12.0, 15.0))
    assert not make_report(outcome).passed


def test_a_long_freeze_that_nobody_could_notice_need_not_hit_the_fence(outcome: ChaosOutcome) -> None:
    outcome.spans.append(FaultSpan("freeze 6 s", ("mall-3",), 30.0, 36.0, frozen_s=6.0))
    outcome.spans.append(FaultSpan("Redis frozen", (), 32.0, 35.0))
    assert make_report(outcome).passed


@pytest.mark.parametrize(
    ("victim", "over_s", "passes"),
    [("mall-3", 29.9, True), ("mall-3", 30.1, True), ("mall-3", 25.0, False), ("mall-1", 29.9, False)],
    ids=["it woke a moment before", "it was not yet itself", "it woke long before", "another woke"],
)
def test_an_instance_that_was_just_recovering_need_not_have_had_a_write_on_its_way(
    outcome: ChaosOutcome, victim: str, over_s: float, *, passes: bool
) -> None:
    outcome.spans.append(FaultSpan("freeze 3 s", (victim,), 20.0, over_s, frozen_s=3.0))
    outcome.spans.append(FaultSpan("freeze 6 s", ("mall-3",), 30.0, 36.0, frozen_s=6.0))
    assert make_report(outcome).passed is passes


def test_redis_that_was_away_before_a_long_freeze_is_no_excuse(outcome: ChaosOutcome) -> None:
    outcome.spans[0].stale = 0
    outcome.spans.append(FaultSpan("Redis frozen", (), 2.0, 9.0))
    assert not make_report(outcome).passed


def test_freezes_within_the_lease_need_not_hit_the_fence() -> None:
    spans = [
        FaultSpan("freeze 3 s", (), 0.0, 8.0, frozen_s=3.0),
        FaultSpan("freeze 12 s", (), 0.0, 13.0, frozen_s=12.0),
    ]
    assert long_freezes([*spans, FaultSpan("kill", (), 0.0, 9.0)]) == [spans[1]]


@pytest.mark.parametrize(("trials", "said"), [(300, "below 1 % of 300 (95 %)"), (0, "nothing was tried")])
def test_bound_follows_the_rule_of_three(trials: int, said: str) -> None:
    assert bound(trials) == said


def test_timeline_shows_each_fault_with_the_probes_that_failed_after_it(outcome: ChaosOutcome) -> None:
    fault, probe = timeline(outcome)
    assert "freeze 6 s of 2; over after 6.00 s, stale 3" in fault
    assert "+  1.50 s  mall-1  TimeoutError" in probe
