"""Service level objectives, their error ratios and burn-rate alerts.

A burn rate of 1 spends the budget of 30 days in 30 days. An alert looks at a long window, so that it is sure, and at a
short one, so that it ends soon. (The scheme: Beyer et al., "The Site Reliability Workbook", chapter 5.) A ratio has no
value without traffic, so silence neither fires nor clears, and is no part of a mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
BUDGET_DAYS = 30
# How long a Prometheus must have had data for a window, or a new one would take minutes for hours, and what is over
# would be told for as long as the short window is. The fast burn has no such guard: rather too soon than too late.
DATA_AGE_S = {"6h": 6 * 3600, "1d": 86_400, "3d": 3 * 86_400}


@dataclass(frozen=True)
class Objective:
    """An objective: at least `good` of `total` are not `bad`. `{w}` in the queries is a window."""

    name: str
    text: str
    good: float
    bad: str
    total: str

    @property
    def budget(self) -> float:
        """Share that may be bad."""
        return round(1 - self.good, 6)

    def ratio(self, window: str) -> str:
        """Query of the error ratio over a window."""
        bad, total = (query.replace("{w}", window) for query in (self.bad, self.total))
        return f"(({bad}) or vector(0)) / (({total}) > 0)"


@dataclass(frozen=True)
class Burn:
    """A burn rate that is told: for both windows at least `rate`."""

    name: str
    rate: float
    long: str
    short: str
    severity: str
    text: str


_ORDER_ROUTES = 'route=~"/api/v[12]/(orders|payments).*"'
OBJECTIVES: Sequence[Objective] = (
    Objective(
        "order_api",
        "requests for orders and payments are answered",
        0.999,
        "sum(rate(mall_requests_total{" + _ORDER_ROUTES + ',status=~"5.."}[{w}]))',
        "sum(rate(mall_requests_total{" + _ORDER_ROUTES + "}[{w}]))",
    ),
    Objective(
        "command_latency",
        "commands are answered within 100 ms",
        0.99,
        'sum(rate(mall_command_seconds_count[{w}])) - sum(rate(mall_command_seconds_bucket{le="0.1"}[{w}]))',
        "sum(rate(mall_command_seconds_count[{w}]))",
    ),
    Objective(
        "feed_freshness",
        "frames of the feed leave within 250 ms of their commit",
        0.999,
        'sum(rate(mall_feed_late_seconds_count[{w}])) - sum(rate(mall_feed_late_seconds_bucket{le="0.25"}[{w}]))',
        "sum(rate(mall_feed_late_seconds_count[{w}]))",
    ),
    Objective(
        "first_offer",
        "orders are offered, or have a place in a plan, within 1 s of when a driver can be asked",
        0.99,
        'sum(rate(mall_first_offer_seconds_count[{w}])) - sum(rate(mall_first_offer_seconds_bucket{le="1.0"}[{w}]))',
        "sum(rate(mall_first_offer_seconds_count[{w}]))",
    ),
)
BURNS: Sequence[Burn] = (
    Burn("fast", 14.4, "1h", "5m", "page", "burns its month in two days"),
    Burn("medium", 6.0, "6h", "30m", "page", "burns its month in five days"),
    Burn("slow", 3.0, "1d", "2h", "ticket", "burns its month in ten days"),
    Burn("steady", 1.0, "3d", "6h", "ticket", "spends its whole budget"),
)


def recording_rules() -> list[dict[str, Any]]:
    """Groups of recording rules: the error ratio of each objective over each window."""
    groups = []
    for objective in OBJECTIVES:
        rules = [
            {
                "record": f"mall:slo_errors:ratio{window}",
                "labels": {"slo": objective.name},
                "expr": objective.ratio(window),
            }
            for window in WINDOWS
        ]
        groups.append({"name": f"mall-slo-{objective.name}", "interval": "15s", "rules": rules})
    return groups


def burn_expression(objective: Objective, burn: Burn, rate: float | None = None) -> str:
    """Query of a burn-rate alert; `rate` in place of the burn's own."""
    limit = round((burn.rate if rate is None else rate) * objective.budget, 6)
    selector = f'{{slo="{objective.name}"}}'
    query = (
        f"mall:slo_errors:ratio{burn.long}{selector} > {limit} "
        f"and mall:slo_errors:ratio{burn.short}{selector} > {limit}"
    )
    if (age_s := DATA_AGE_S.get(burn.long)) is not None:
        # `unless`: where Prometheus is not scraped itself, its age is not known, and the burn is told.
        query = f"({query}) unless on () (time() - min(prometheus_tsdb_lowest_timestamp_seconds) <= {age_s})"
    return query


def burn_alerts() -> Iterator[dict[str, Any]]:
    """The burn-rate alerts."""
    for objective in OBJECTIVES:
        for burn in BURNS:
            yield {
                "alert": "MallErrorBudgetBurn",
                "expr": burn_expression(objective, burn),
                "labels": {"severity": burn.severity, "burn": burn.name, "slo": objective.name},
                "annotations": {
                    "summary": f"{objective.name} {burn.text}: {{{{ $value | humanizePercentage }}}} are bad "
                    f"({objective.text})",
                    "runbook": "runbooks/MallErrorBudgetBurn.md",
                },
            }
