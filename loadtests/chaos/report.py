"""The report of a run: faults and how they were felt, commands, and the verdict."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import zip_longest

from loadtests.chaos.plan import STORE_FAULTS
from loadtests.chaos.probes import FaultSpan, impact_of
from loadtests.chaos.run import SETTLED_S, ChaosOutcome
from loadtests.faults.crash import VIOLATIONS_SHOWN, counts
from loadtests.kit.report import Limit, LoadReport

# Leases end within 4 s; a freeze that is longer must end with a flush that the fence refuses.
LEASE_S = 4.0
# So long after its own fault an instance may still be finding out what became of its writes, and sends none.
RECOVERED_S = 2.0


def long_freezes(spans: list[FaultSpan]) -> list[FaultSpan]:
    """Freezes of instances that outlasted their leases."""
    return [span for span in spans if span.frozen_s > LEASE_S + 1]


def _hindered(freeze: FaultSpan, spans: list[FaultSpan]) -> bool:
    """True when Redis or Postgres was away in the course of it: then nobody may have taken its shards. And when the
    instance was coming, or had just come, from another fault: then it may have had no write on its way.
    """
    away = any(
        span.kind in STORE_FAULTS and span.began_s < freeze.over_s and span.over_s > freeze.began_s
        for span in spans
    )
    recovering = any(
        set(span.victims) & set(freeze.victims)
        and span is not freeze
        and span.began_s <= freeze.began_s < span.over_s + RECOVERED_S
        for span in spans
    )
    return away or recovering


def bound(trials: int) -> str:
    """The rule of three: without a failure in n trials its rate is below 3/n with 95 % confidence."""
    return f"below {min(100.0, 300 / trials):.2g} % of {trials} (95 %)" if trials else "nothing was tried"


def make_report(outcome: ChaosOutcome) -> LoadReport:
    """One report of everything."""
    report = LoadReport(f"chaos, seed {outcome.plan.seed}", took_s=outcome.findings.loaded_s)
    _tell_faults(report, outcome)
    report.facts |= outcome.findings.facts()
    frozen = long_freezes(outcome.spans)
    report.facts["stale writes refused"] = outcome.stale
    report.facts["by long freeze"] = ", ".join(f"{span.kind}: {span.stale}" for span in frozen) or "none"
    report.facts["audit"] = (
        f"{sum(x['holds'] for x in outcome.audit['invariants'])} of {len(outcome.audit['invariants'])} hold"
    )
    report.facts["logged errors"] = counts(outcome.logged)
    report.facts["every shard has one owner after"] = f"{outcome.settled_s:.2f} s"
    for number, violation in enumerate(outcome.violations[:VIOLATIONS_SHOWN], 1):
        report.facts[f"violation {number}"] = str(violation)[:600]
    report.limits = [
        Limit("violations", len(outcome.violations), at_most=0),
        Limit(
            f"shards without one owner {SETTLED_S:g} s after the last fault", len(outcome.disputed), at_most=0
        ),
    ]
    judged = [span for span in frozen if not _hindered(span, outcome.spans)]
    if frozen:
        report.limits.append(
            Limit(
                "long freezes out of good health, while Redis and Postgres were there",
                len(judged),
                at_least=1,
            )
        )
    unmet = [span for span in judged if not span.stale]
    report.limits.append(Limit("of those without a stale write refused", len(unmet), at_most=0))
    if not outcome.violations:
        commands = len(outcome.findings.history.intents)
        report.facts["so violations are"] = (
            f"{bound(len(outcome.spans))} faults, {bound(commands)} commands, by the rule of three"
        )
    return report


def _tell_faults(report: LoadReport, outcome: ChaosOutcome) -> None:
    probes = outcome.prober.probes if outcome.prober else []
    for span in outcome.spans:
        was = impact_of(span, probes)
        report.done(span.kind, was.degraded_s)
        report.tally(span.kind).errors += was.why
        if was.back_s is not None:
            report.done(f"{span.kind}, back", was.back_s)
    report.facts["the table"] = (
        "by fault: from its beginning to the last failed probe of instances that it did not hit, and those"
        " probes; back: from its end to the last failed probe of those that it did"
    )
    report.facts["faults"] = f"{len(outcome.spans)} ({counts(Counter(s.kind for s in outcome.spans))})"
    why = Counter(probe.why for probe in probes if probe.why and probe.well)
    report.facts["probes"] = f"{len(probes)}, of those to instances that were well failed: {counts(why)}"
    lag_s = outcome.prober.lag_s_max if outcome.prober else 0.0
    report.facts["lag of this tool"] = f"at most {1000 * lag_s:.0f} ms"


def timeline(outcome: ChaosOutcome) -> list[str]:
    """Every fault by the clock of the logs, and every probe that failed after it, seconds from its beginning."""
    probes = outcome.prober.probes if outcome.prober else []
    spans, lines = sorted(outcome.spans, key=lambda span: span.began_s), []
    for span, after in zip_longest(spans, spans[1:]):
        end_s = after.began_s if after else float("inf")
        began = datetime.fromtimestamp(span.wall_s, UTC).isoformat(timespec="milliseconds")
        lines.append(
            f"{began}  {span.text}; over after {span.over_s - span.began_s:.2f} s, stale {span.stale}"
        )
        lines += [
            f"    +{probe.at_s - span.began_s:6.2f} s  {probe.instance}  {probe.why}{'' if probe.well else ' (down)'}"
            for probe in probes
            if probe.why and span.began_s <= probe.at_s < end_s
        ]
    return lines
