"""The report of a run and its limits, from the profile and what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from loadtests.kit.report import Limit, LoadReport, quantile
from loadtests.rush.profiles import Profile
from loadtests.rush.results import RunResults

FAULTS_SHOWN = 10
# Operations on a socket that are no commands.
CONNECTS, OFFER = ("WS hello", "WS resume"), "WS offer"


def oversold(results: RunResults) -> int:
    """Units that customers were promised and that were never there."""
    return sum(max(0, results.sold[product] - had) for product, had in results.had.items())


def unaccounted(results: RunResults) -> int:
    """Units that are gone, or still there, against what customers bought or may have bought."""
    wrong = 0
    for product in results.had.keys() & results.left.keys():
        gone = results.had[product] - results.left[product]
        least, most = results.sold[product], results.sold[product] + results.asked[product]
        wrong += max(0, least - gone, gone - most)
    return wrong


def outcome(profile: Profile, results: RunResults) -> LoadReport:
    """The report that ends the run."""
    raw = results.report
    report = LoadReport(f"rush {profile.name}", took_s=raw.took_s, tallies=raw.tallies)
    done = sum(len(tally.seconds) for tally in raw.tallies.values())
    report.facts = {
        "profile": profile.about,
        "users": f"{profile.customers} customers, {profile.drivers} drivers",
        "operations per s": round(done / raw.took_s, 1) if raw.took_s else 0.0,
        **{name: results.counts[name] for name in sorted(results.counts)},
    }
    if profile.stock is not None:
        report.facts["units sold"] = results.sold.total()
        report.facts["units of unknown outcome"] = results.asked.total()
        report.facts["units left"] = sum(results.left.values())
    if results.faults:
        report.facts["feed faults"] = results.faults[:FAULTS_SHOWN]
    report.limits = [*_speed(profile, results, done), *_truth(profile, results), *_work(profile, results)]
    return report


def _speed(profile: Profile, results: RunResults, done: int) -> Iterable[Limit]:
    bounds, report = profile.bounds, results.report
    rest = [name for name in report.tallies if not name.startswith("WS ")]
    commands = [name for name in report.tallies if name.startswith("WS ") and name not in (*CONNECTS, OFFER)]
    yield Limit("REST p99 ms", report.ms(rest, 0.99), at_most=bounds.rest_p99_ms)
    yield Limit("feed commands p99 ms", report.ms(commands, 0.99), at_most=bounds.command_p99_ms)
    yield Limit("connects p99 ms", report.ms(CONNECTS, 0.99), at_most=bounds.connect_p99_ms)
    yield Limit("offers p99 ms", report.ms([OFFER], 0.99), at_most=bounds.offer_p99_ms)
    share = report.errors / max(1, done + report.errors)
    yield Limit("share of errors", share, at_most=bounds.error_share)
    lag_ms = quantile(sorted(results.lags), 0.99) * 1000
    yield Limit("generator lag p99 ms", lag_ms, at_most=bounds.lag_p99_ms)


def _truth(profile: Profile, results: RunResults) -> Iterable[Limit]:
    """What no load excuses."""
    yield Limit("feed faults", len(results.faults), at_most=0)
    if profile.stock is not None:
        yield Limit("units sold that were not there", oversold(results), at_most=0)
        yield Limit("units unaccounted for", unaccounted(results), at_most=0)
        yield Limit(
            "products counted", len(results.had.keys() & results.left.keys()), at_least=profile.products
        )


def _work(profile: Profile, results: RunResults) -> Iterable[Limit]:
    """That there was a rush at all."""
    orders = int(profile.bounds.orders_per_customer * profile.customers)
    deliveries = int(profile.bounds.deliveries_per_driver * profile.drivers)
    yield Limit("orders placed", results.counts["orders placed"], at_least=orders)
    yield Limit("orders delivered", results.counts["orders delivered"], at_least=deliveries)
    yield Limit("drivers connected", results.counts["connected"], at_least=profile.drivers)
    if profile.stock is not None:
        yield Limit("answers out_of_stock", results.counts["out of stock"], at_least=1)
    if profile.storms_s:
        resumes = profile.drivers * len(profile.storms_s)
        yield Limit("resumed", results.counts["resumed"], at_least=resumes)
        yield Limit("logs read again", results.counts["logs read again"], at_least=profile.drivers)
