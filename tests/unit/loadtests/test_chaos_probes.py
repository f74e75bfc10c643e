"""How long a fault was felt, from probes with known ends."""

from __future__ import annotations

from loadtests.chaos.probes import AFTERMATH_S, FaultSpan, ProbeResult, impact_of

DEAD = FaultSpan("kill", ("mall-1",), began_s=10.0, over_s=14.0)


def failed(at_s: float, instance: str = "mall-2", *, well: bool = True) -> ProbeResult:
    """A probe that was not answered."""
    return ProbeResult(at_s, at_s + 1.0, instance, "TimeoutError", well)


def test_a_fault_that_no_probe_noticed_was_not_felt() -> None:
    was = impact_of(DEAD, [ProbeResult(11.0, 11.1, "mall-2", "", True), failed(8.9)])
    assert (was.degraded_s, was.back_s, dict(was.why)) == (0.0, 0.0, {})


def test_service_is_degraded_until_the_last_failed_probe_of_the_others() -> None:
    was = impact_of(
        DEAD, [failed(10.5), ProbeResult(11.0, 11.1, "mall-2", "", True), failed(12.5), failed(11.5)]
    )
    assert was.degraded_s == 2.5
    assert was.why == {"TimeoutError": 3}


def test_probes_of_the_victim_count_from_the_end_of_the_fault() -> None:
    was = impact_of(DEAD, [failed(13.0, "mall-1", well=False), failed(14.75, "mall-1")])
    assert was.degraded_s == 0.0
    assert was.back_s == 0.75


def test_instances_that_another_fault_keeps_away_tell_nothing() -> None:
    assert impact_of(DEAD, [failed(11.0, well=False)]).degraded_s == 0.0


def test_a_probe_on_its_way_fails_for_the_fault_that_meets_it() -> None:
    first, second = (
        FaultSpan("freeze 1 s", (), 10.0, 11.0, until_s=16.0),
        FaultSpan("empty Redis", (), 16.0, 16.0),
    )
    assert impact_of(first, [failed(15.5)]).degraded_s == 0.0
    assert impact_of(second, [failed(15.5)]).why == {"TimeoutError": 1}
    assert impact_of(second, [failed(15.5)]).degraded_s == 0.0


def test_what_fails_after_the_next_fault_or_long_after_is_not_its_doing() -> None:
    hit_again = FaultSpan("kill", ("mall-1",), 10.0, over_s=14.0, until_s=16.0)
    assert impact_of(hit_again, [failed(16.5)]).degraded_s == 0.0
    assert impact_of(DEAD, [failed(14.0 + AFTERMATH_S)]).degraded_s == 0.0


def test_a_fault_without_victims_has_nobody_to_come_back() -> None:
    assert impact_of(FaultSpan("empty Redis", (), 10.0, 10.0), [failed(10.2)]).back_s is None


def test_every_probe_counts_when_nobody_is_left() -> None:
    assert (
        impact_of(FaultSpan("kill all", (), 10.0, 14.0, total=True), [failed(12.0, well=False)]).degraded_s
        == 2.0
    )
