"""From raw measures to a verdict: what breaks a limit, and what does not."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests.rush.outcome import outcome
from loadtests.rush.profiles import PROFILES, Profile
from loadtests.rush.results import RunResults, read_results

SMOKE, FLASH, RECONNECT = PROFILES["smoke"], PROFILES["flash"], PROFILES["reconnect"]


def good_take(profile: Profile) -> RunResults:
    """A run that keeps every limit."""
    results = RunResults()
    results.report.took_s = 10.0
    for name in ("GET /stores", "POST /orders", "WS hello", "WS offer", "WS offer.accept"):
        for _ in range(200):
            results.report.done(name, 0.004)
    results.counts.update(
        {
            "orders placed": profile.customers * 2,
            "orders delivered": profile.drivers * 2,
            "connected": profile.drivers,
            "resumed": profile.drivers * len(profile.storms_s),
            "logs read again": profile.drivers,
            "out of stock": 5,
        }
    )
    if profile.stock is not None:
        results.had = {"prd_1": profile.stock, "prd_2": profile.stock}
        results.left = {"prd_1": 0, "prd_2": 10}
        results.sold.update({"prd_1": profile.stock, "prd_2": profile.stock - 10})
    results.lags.extend([0.001] * 50)
    return results


def broken(profile: Profile, results: RunResults) -> list[str]:
    report = outcome(profile, results)
    assert report.passed is all(limit.kept for limit in report.limits)
    return [limit.name for limit in report.limits if not limit.kept]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_good_run_passes(profile: Profile) -> None:
    report = outcome(profile, good_take(profile))
    assert report.passed
    assert report.facts["operations per s"] == 100.0
    assert report.lines()[-1] == "passed"


@pytest.mark.parametrize(
    ("operation", "limit"),
    [
        ("POST /orders", "REST p99 ms"),
        ("WS offer.accept", "feed commands p99 ms"),
        ("WS hello", "connects p99 ms"),
        ("WS offer", "offers p99 ms"),
    ],
)
def test_slow_operation_breaks_its_own_limit_alone(operation: str, limit: str) -> None:
    results = good_take(SMOKE)
    for _ in range(20):
        results.report.done(operation, 2.0)
    assert broken(SMOKE, results) == [limit]


def _error(results: RunResults) -> None:
    results.report.failed("POST /orders", "500 internal")


def _fault(results: RunResults) -> None:
    results.faults.append("gap: 4 then 6")


def _lag(results: RunResults) -> None:
    results.lags.extend([3.0] * 50)


def _idle(results: RunResults) -> None:
    results.counts["orders placed"] = 0


@pytest.mark.parametrize(
    ("harm", "limit"),
    [
        (_error, "share of errors"),
        (_fault, "feed faults"),
        (_lag, "generator lag p99 ms"),
        (_idle, "orders placed"),
    ],
)
def test_one_harm_breaks_one_limit(harm: Callable[[RunResults], None], limit: str) -> None:
    results = good_take(SMOKE)
    harm(results)
    assert broken(SMOKE, results) == [limit]


def test_selling_what_is_not_there_fails_and_is_unaccounted_for() -> None:
    results = good_take(FLASH)
    results.sold["prd_1"] += 1
    assert broken(FLASH, results) == ["units sold that were not there", "units unaccounted for"]


def test_stock_that_vanishes_is_unaccounted_for() -> None:
    results = good_take(FLASH)
    results.left["prd_2"] -= 3
    assert broken(FLASH, results) == ["units unaccounted for"]


def test_stock_that_could_not_be_counted_fails() -> None:
    results = good_take(FLASH)
    results.left.clear()
    assert broken(FLASH, results) == ["products counted"]


def test_stock_of_orders_with_unknown_outcome_may_be_gone_or_not() -> None:
    results = good_take(FLASH)
    results.asked["prd_2"] = 3
    assert broken(FLASH, results) == []
    results.left["prd_2"] -= 3
    assert broken(FLASH, results) == []


def test_driver_that_did_not_resume_or_read_again_breaks_the_storm() -> None:
    results = good_take(RECONNECT)
    results.counts["resumed"] -= 1
    results.counts["logs read again"] -= 1
    assert broken(RECONNECT, results) == ["resumed", "logs read again"]


def test_take_is_read_as_it_was_written(tmp_path: Path) -> None:
    results = good_take(FLASH)
    _error(results)
    _fault(results)
    results.asked.update({"prd_1": 2, "prd_2": 0})
    results.write(tmp_path / "take.json")
    again = read_results(tmp_path / "take.json")
    assert outcome(FLASH, again).as_json() == outcome(FLASH, results).as_json()
    assert again.report.tallies["POST /orders"].seconds == array("d", [0.004] * 200)
    assert again.asked == {"prd_1": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["take.json"]
