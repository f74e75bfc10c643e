"""Alerts, with their limits in one place. A symptom that users feel pages; a cause is a ticket.

`{limit}` in a query is the alert's limit, so that tests can move it. Each alert has a page in runbooks/ under its name,
and cases in tests/integration/monitoring/alert_cases.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PAGE, TICKET, NONE = "page", "ticket", "none"


@dataclass(frozen=True)
class Alert:
    """An alert.

    Attributes:
        query: true where it fires, with `{limit}`.
        for_s: it must hold for so long.
        summary: one line for whoever is woken; Prometheus's templates may stand in it.
    """

    name: str
    query: str
    limit: float
    for_s: int
    severity: str
    summary: str

    def expression(self, limit: float | None = None) -> str:
        """The query with its limit, or with another one."""
        number = self.limit if limit is None else limit
        return self.query.replace("{limit}", f"{number:g}")

    def rule(self) -> dict[str, Any]:
        """The rule for Prometheus."""
        made: dict[str, Any] = {"alert": self.name, "expr": self.expression()}
        if self.for_s:
            made["for"] = f"{self.for_s}s"
        made["labels"] = {"severity": self.severity}
        made["annotations"] = {"summary": self.summary, "runbook": f"runbooks/{self.name}.md"}
        return made


_ROUNDS = "wake_zones|save_positions|sweep_feeds|settle_payments"
_API = 'route!~"/health/.*"'
SYMPTOMS: Sequence[Alert] = (
    Alert(
        "MallDown",
        '(count(up{job="mall"} == 1) or vector(0)) < {limit}',
        1,
        30,
        PAGE,
        "no instance answers its metrics port",
    ),
    Alert(
        "MallNotReady",
        '(sum(mall_ready) < {limit}) and on () (count(up{job="mall"} == 1) > 0)',
        1,
        60,
        PAGE,
        "instances run, and none of them is ready",
    ),
    Alert(
        "MallHighErrorRate",
        "sum(mall:requests_failed:rate2m) / (sum(mall:requests:rate2m) > 1) > {limit}",
        0.05,
        # Short: the rate is that of two minutes already.
        15,
        PAGE,
        "{{ $value | humanizePercentage }} of all requests fail",
    ),
    Alert(
        "MallShardsWithoutOwner",
        'sum(mall_shards_owned{state="served"}) < {limit}',
        256,
        60,
        PAGE,
        "only {{ $value }} of 256 shards are served: their orders stand still",
    ),
    Alert(
        "MallCommitsStandStill",
        "sum(mall_gate_pending) > {limit} and sum(rate(mall_flushes_total[1m])) == 0",
        0,
        30,
        PAGE,
        "{{ $value }} decisions wait, and nothing was committed for a minute",
    ),
    Alert(
        "MallOrdersFail",
        'sum(rate(mall_orders_total{event=~"failed|returned"}[15m]))'
        ' / (sum(rate(mall_orders_total{event=~"failed|returned|delivered"}[15m])) > 0.01) > {limit}',
        0.1,
        120,
        PAGE,
        "{{ $value | humanizePercentage }} of the orders that ended could not be delivered",
    ),
    Alert(
        "MallOrdersWait",
        'max by (zone) (mall_open_orders_oldest_seconds{state="confirmed"}) > {limit}',
        1200,
        60,
        PAGE,
        "an order of {{ $labels.zone }} has had no driver for {{ $value | humanizeDuration }}",
    ),
    Alert(
        "MallPaymentsLate",
        "max(mall_payments_late_seconds) > {limit}",
        60,
        120,
        PAGE,
        "a payment is {{ $value | humanizeDuration }} overdue",
    ),
    Alert(
        "MallGatewayAway",
        'sum(rate(mall_gateway_seconds_count{outcome=~"later|unsure"}[2m]))'
        " / (sum(rate(mall_gateway_seconds_count[2m])) > 0.02) > {limit}",
        0.5,
        30,
        PAGE,
        "{{ $value | humanizePercentage }} of the calls to the payment gateway come to nothing: nobody can pay by card",
    ),
    Alert(
        "MallShedding",
        'sum(rate(mall_requests_shed_total{rank=~"write|vital"}[2m])) > {limit}',
        0.1,
        60,
        PAGE,
        "{{ $value | humanize }} writes a second are refused: the instances are full",
    ),
    Alert(
        "MallDiskFull",
        'min(mall_component_up{component="disk"}) < {limit}',
        1,
        60,
        PAGE,
        "a data folder is full: Postgres is about to stop writing",
    ),
)
CAUSES: Sequence[Alert] = (
    Alert(
        "MallInstanceMissing",
        'max_over_time(count(up{job="mall"} == 1)[1h:1m]) - count(up{job="mall"} == 1) >= {limit}',
        1,
        180,
        TICKET,
        "{{ $value }} of the instances of the last hour do not answer",
    ),
    Alert(
        "MallFewRequestsAllFail",
        f'sum(increase(mall_requests_total{{status=~"5..",{_API}}}[10m])) > {{limit}}'
        " and sum(mall:requests:rate2m) <= 1",
        5,
        60,
        TICKET,
        "{{ $value | humanize }} requests of a quiet time failed",
    ),
    Alert(
        "MallNoOrders",
        'sum(increase(mall_orders_total{event="created"}[15m])) < {limit}'
        ' and sum(increase(mall_orders_total{event="created"}[15m] offset 1w)) > 20',
        1,
        300,
        TICKET,
        "no order for 15 minutes; a week ago there were more than 20",
    ),
    Alert(
        "MallRedisAway",
        'min by (instance) (mall_component_up{component="redis"}) < {limit}',
        1,
        60,
        TICKET,
        "{{ $labels.instance }} does not reach Redis: limits are counted alone, no shard can move",
    ),
    Alert(
        "MallPostgresAway",
        'min by (instance) (mall_component_up{component="postgres"}) < {limit}',
        1,
        30,
        TICKET,
        "{{ $labels.instance }} does not reach Postgres",
    ),
    Alert(
        "MallPoolSlow",
        "histogram_quantile(0.99, sum by (instance, le) (rate(mall_pool_wait_seconds_bucket[5m]))) > {limit}",
        0.05,
        180,
        TICKET,
        "reads of {{ $labels.instance }} wait {{ $value | humanizeDuration }} for a connection (p99)",
    ),
    Alert(
        "MallSlowQueries",
        '1 - sum by (query) (rate(mall_query_seconds_bucket{le="0.1"}[5m]))'
        " / (sum by (query) (rate(mall_query_seconds_count[5m])) > 0.2) > {limit}",
        0.02,
        180,
        TICKET,
        "{{ $value | humanizePercentage }} of {{ $labels.query }} take over 100 ms",
    ),
    Alert(
        "MallLocksHeld",
        "sum by (holder) (mall_locked_rows) > {limit}",
        0,
        60,
        TICKET,
        "{{ $labels.holder }} holds {{ $value }} rows that commits need",
    ),
    Alert(
        "MallLeaseAtRisk",
        "sum by (instance) (increase(mall_lease_gaps_total[5m])) > {limit}",
        0,
        0,
        TICKET,
        "{{ $labels.instance }} renewed its lease too late {{ $value | humanize }} times",
    ),
    Alert(
        "MallActorCrashed",
        "sum by (kind) (increase(mall_actor_crashes_total[10m])) > {limit}",
        0,
        0,
        TICKET,
        "{{ $value | humanize }} turns of {{ $labels.kind }} actors crashed",
    ),
    Alert(
        "MallLoopLate",
        "histogram_quantile(0.99, sum by (instance, le) (rate(mall_loop_lag_seconds_bucket[5m]))) > {limit}",
        0.1,
        180,
        TICKET,
        "the event loop of {{ $labels.instance }} wakes {{ $value | humanizeDuration }} late (p99)",
    ),
    Alert(
        "MallFeedLate",
        "histogram_quantile(0.99, sum by (le) (rate(mall_feed_late_seconds_bucket[5m]))) > {limit}",
        0.25,
        180,
        TICKET,
        "frames reach drivers {{ $value | humanizeDuration }} after their commit (p99)",
    ),
    Alert(
        "MallGatewayUnsure",
        'sum(rate(mall_gateway_seconds_count{outcome="unsure"}[5m]))'
        " / (sum(rate(mall_gateway_seconds_count[5m])) > 0.02) > {limit}",
        0.1,
        180,
        TICKET,
        "{{ $value | humanizePercentage }} of the gateway's answers do not come",
    ),
    Alert(
        "MallPaymentsStuck",
        "max(mall_payments_stuck) > {limit}",
        0,
        60,
        TICKET,
        "{{ $value }} payments wait for somebody to settle them",
    ),
    Alert(
        "MallChoreFails",
        "sum by (chore) (increase(mall_chore_failures_total[10m])) > {limit}",
        2,
        300,
        TICKET,
        "{{ $labels.chore }} failed {{ $value | humanize }} times in ten minutes",
    ),
    Alert(
        "MallChoreStalled",
        f'sum by (chore) (increase(mall_chore_seconds_count{{chore=~"{_ROUNDS}"}}[5m]))'
        ' < {limit} and on () (min(time() - process_start_time_seconds{job="mall"}) > 600)',
        1,
        60,
        TICKET,
        "{{ $labels.chore }} has not run for five minutes",
    ),
    Alert(
        "MallWorkerMissing",
        'absent(mall_outbox_rows) * on () (count(up{job="mall"} == 1) > 0) >= {limit}',
        1,
        120,
        TICKET,
        "no worker shows metrics: nothing is relayed, no job is done",
    ),
    Alert(
        "MallOutboxLate",
        "max(mall_outbox_oldest_seconds) > {limit}",
        30,
        60,
        TICKET,
        "an event has waited {{ $value | humanizeDuration }} for the relay",
    ),
    Alert(
        "MallJobsWait",
        "max by (task) (mall_jobs_oldest_seconds) > {limit}",
        300,
        60,
        TICKET,
        "a job {{ $labels.task }} has waited {{ $value | humanizeDuration }}",
    ),
    Alert(
        "MallJobDead",
        'max by (task) (mall_jobs{state="dead"}) > {limit}',
        0,
        0,
        TICKET,
        "{{ $value }} jobs {{ $labels.task }} are dead letters",
    ),
    Alert(
        "MallLogLinesDropped",
        "max by (instance) (delta(mall_log_lines_dropped[10m])) > {limit}",
        0,
        0,
        TICKET,
        "{{ $labels.instance }} lost {{ $value | humanize }} log lines",
    ),
)
META: Sequence[Alert] = (
    Alert(
        "Watchdog", "vector({limit})", 1, 0, NONE, "always fires: who does not hear it has lost the alerting"
    ),
)
ALERTS: Sequence[Alert] = (*SYMPTOMS, *CAUSES, *META)
