"""All metrics, each declared once. Names begin with `mall_`, units are base units, labels are bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from config.version import VERSION

# Times of creation would double all counters, and nothing asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
# Of background work. An instance shows them for its worker, too, so no name is in both registries.
WORK_REGISTRY = CollectorRegistry()
# Memory, processor time, file descriptors and start of the process: process_*.
ProcessCollector(registry=REGISTRY)
BUILD = Gauge("mall_build_info", "1, with the version of the program.", ["version"], registry=REGISTRY)
BUILD.labels(VERSION).set(1)
READY = Gauge("mall_ready", "1 while the readiness probe says yes.", registry=REGISTRY)
DRAINING = Gauge("mall_draining", "1 while the instance leaves.", registry=REGISTRY)
COMPONENT_UP = Gauge(
    "mall_component_up",
    "1 while a component is well: postgres, redis, loop, pool, disk.",
    ["component"],
    registry=REGISTRY,
)


class HistogramByPart(Collector):
    """A histogram that is collected one label set at a time.

    One of thousands of series keeps the loop for 8 to 20 ms when all are collected at once.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self.name, self.label_names = name, tuple(labels)
        self._parts: dict[tuple[str, ...], Histogram] = {}
        self._make = partial(Histogram, name, text, labels, buckets=buckets, registry=None)
        registry.register(self)

    def labels(self, *values: str) -> Histogram:
        """The series of these label values, which stand at zero from now on."""
        if values not in self._parts:
            self._parts[values] = self._make()
        return self._parts[values].labels(*values)

    def collect(self) -> Iterable[Metric]:
        """The family in parts, one by one."""
        for part in list(self._parts.values()):
            yield from part.collect()


_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

REQUESTS = Counter(
    "mall_requests_total", "HTTP requests answered.", ["route", "method", "status"], registry=REGISTRY
)
REQUEST_SECONDS = HistogramByPart(
    "mall_request_seconds",
    "From the request's head to its answer; without streams.",
    ["route", "method"],
    _FAST,
    REGISTRY,
)
REQUESTS_IN_FLIGHT = Gauge("mall_requests_in_flight", "HTTP requests being answered.", registry=REGISTRY)
MALFORMED_REQUESTS = Counter(
    "mall_malformed_requests_total",
    "What was no request, came too slowly, or was not read; by reason.",
    ["reason"],
    registry=REGISTRY,
)
CONNECTIONS = Gauge("mall_connections", "Open connections, by port.", ["port"], registry=REGISTRY)
COMMANDS = Counter(
    "mall_commands_total",
    "Commands answered, by result code.",
    ["command", "via", "result"],
    registry=REGISTRY,
)
COMMAND_SECONDS = Histogram(
    "mall_command_seconds",
    "From the edge to the answer.",
    ["command", "via"],
    buckets=_FAST,
    registry=REGISTRY,
)
QUERY_SECONDS = Histogram(
    "mall_query_seconds", "Named SQL blocks.", ["query"], buckets=_FAST, registry=REGISTRY
)
PLAN_STEP_SECONDS = Histogram(
    "mall_plan_step_seconds",
    "Steps of zones' planners, from the question to the plan.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
PLAN_STEPS_FAILED = Counter(
    "mall_plan_steps_failed_total",
    "Steps that gave no plan: timeout, died (the planner's process), error.",
    ["reason"],
    registry=REGISTRY,
)
PLAN_STEP_STORED_BYTES = Counter(
    "mall_plan_step_stored_bytes_total",
    "Inputs of planners' steps that were stored, compressed.",
    registry=REGISTRY,
)
PLAN_STEPS_DROPPED = Counter(
    "mall_plan_steps_dropped_total",
    "Inputs of planners' steps that were not stored: full (too many waited), large, failed (no database).",
    ["reason"],
    registry=REGISTRY,
)
SPANS = Counter(
    "mall_spans_total",
    "Spans of traces: exported, failed (the collector did not take them), dropped (too many waited).",
    ["outcome"],
    registry=REGISTRY,
)
SLOW_QUERIES = Counter("mall_slow_queries_total", "Queries over 100 ms.", ["query"], registry=REGISTRY)
RATE_LIMITED = Counter(
    "mall_rate_limited_total", "Requests refused by a limit.", ["policy"], registry=REGISTRY
)
REQUESTS_SHED = Counter(
    "mall_requests_shed_total",
    "Requests refused because too many were in flight.",
    ["rank"],
    registry=REGISTRY,
)
LIMITS_ALONE = Gauge(
    "mall_limits_alone", "1 while rates are counted without Redis, by each instance.", registry=REGISTRY
)
IDEMPOTENCY = Counter(
    "mall_idempotency_total", "Keyed creations, by what the key led to.", ["outcome"], registry=REGISTRY
)
IDEMPOTENCY_KEYS = Gauge(
    "mall_idempotency_keys", "Keys that are kept, as Postgres last estimated.", registry=REGISTRY
)
LOGINS = Counter("mall_logins_total", "Login attempts.", ["outcome"], registry=REGISTRY)
REFRESHES = Counter(
    "mall_refreshes_total", "Refresh tokens shown, by what they led to.", ["verdict"], registry=REGISTRY
)
FEED_SESSIONS = Gauge("mall_feed_sessions", "Open driver sockets.", registry=REGISTRY)
FEED_RESUMES = Counter(
    "mall_feed_resumes_total", "Sessions, by how they began.", ["outcome"], registry=REGISTRY
)
FIXES_APART = Counter(
    "mall_positions_apart_total",
    "Positions of drivers that were not believed: nowhere (0,0), inaccurate, jump.",
    ["why"],
    registry=REGISTRY,
)
FEED_FRAMES = Counter("mall_feed_frames_total", "Frames sent.", ["lane"], registry=REGISTRY)
FEED_CONFLATED = Counter(
    "mall_feed_conflated_total", "Latest-value frames replaced before sending.", registry=REGISTRY
)
FEED_CLOSES = Counter("mall_feed_closes_total", "Sockets closed by us, by code.", ["code"], registry=REGISTRY)
FEED_LATE_SECONDS = Histogram(
    "mall_feed_late_seconds", "From the commit's time to the socket.", buckets=_FAST, registry=REGISTRY
)
FEED_SWEPT = Counter("mall_feed_swept_total", "Feeds found behind their row by the sweep.", registry=REGISTRY)
# Finer near 20 ms, the limit that is promised (make resident WHAT=lag): a quantile is linear within a bucket.
_LAG = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.0175, 0.02, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
)  # fmt: skip
LOOP_LAG_SECONDS = Histogram(
    "mall_loop_lag_seconds", "How late the event loop wakes.", buckets=_LAG, registry=REGISTRY
)
LOG_LINES_DROPPED = Gauge(
    "mall_log_lines_dropped", "Log lines that found the buffer full.", registry=REGISTRY
)
CACHE_REQUESTS = Counter(
    "mall_cache_requests_total",
    "Reads that may be cached: hit (no query), miss, stale (Postgres is away), bypass (Redis is).",
    ["cache", "result"],
    registry=REGISTRY,
)
REDIS_ERRORS = Counter("mall_redis_errors_total", "Redis calls that failed.", ["use"], registry=REGISTRY)
GATEWAY_SECONDS = Histogram(
    "mall_gateway_seconds",
    "Calls to the payment gateway.",
    ["step", "outcome"],
    buckets=_FAST,
    registry=REGISTRY,
)
PAYMENTS_WAITING = Gauge(
    "mall_payments_waiting", "Payments that wait for a step, as this instance last saw.", registry=REGISTRY
)
PAYMENTS_STUCK = Gauge(
    "mall_payments_stuck", "Payments that wait for an operator to settle them.", registry=REGISTRY
)
PAYMENTS_LATE_SECONDS = Gauge(
    "mall_payments_late_seconds", "How long the longest of them is overdue.", registry=REGISTRY
)
CHORE_SECONDS = Histogram(
    "mall_chore_seconds", "Background rounds.", ["chore"], buckets=_FAST, registry=REGISTRY
)
CHORE_FAILURES = Counter(
    "mall_chore_failures_total", "Background rounds that failed.", ["chore"], registry=REGISTRY
)

# Steps of background work take from a millisecond to a deadline.
_JOB = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
JOB_SECONDS = Histogram(
    "mall_job_seconds", "Run time of attempts.", ["task"], buckets=_JOB, registry=WORK_REGISTRY
)
JOB_ATTEMPTS = Counter(
    "mall_job_attempts_total",
    "Attempts of jobs, by how they ended.",
    ["task", "outcome"],
    registry=WORK_REGISTRY,
)
JOB_START_SECONDS = Histogram(
    "mall_job_start_seconds",
    "From the job's making to its first attempt.",
    ["task"],
    buckets=_JOB,
    registry=WORK_REGISTRY,
)
JOBS = Gauge(
    "mall_jobs",
    "Jobs by state: waiting, running, scheduled, dead.",
    ["task", "state"],
    registry=WORK_REGISTRY,
)
JOBS_OLDEST_SECONDS = Gauge(
    "mall_jobs_oldest_seconds", "How long the longest job has waited.", ["task"], registry=WORK_REGISTRY
)
OUTBOX_ROWS = Gauge(
    "mall_outbox_rows", "Rows that wait for the relay, counted to 10,000.", registry=WORK_REGISTRY
)
OUTBOX_OLDEST_SECONDS = Gauge(
    "mall_outbox_oldest_seconds", "How long the longest of them has waited.", registry=WORK_REGISTRY
)
# Facts of the database, which each worker sees: aggregate them with max, never with sum.
OPEN_ORDERS = Gauge(
    "mall_open_orders", "Orders that have not ended.", ["zone", "state"], registry=WORK_REGISTRY
)
OPEN_ORDERS_OLDEST_SECONDS = Gauge(
    "mall_open_orders_oldest_seconds", "Age of the oldest of them.", ["zone", "state"], registry=WORK_REGISTRY
)
ONLINE_DRIVERS = Gauge(
    "mall_online_drivers",
    "Drivers that are online: reachable, unreachable.",
    ["zone", "state"],
    registry=WORK_REGISTRY,
)
RELAYED = Counter("mall_relayed_total", "Rows of the outbox that were relayed.", registry=WORK_REGISTRY)
WORK_FAILURES = Counter(
    "mall_work_failures_total",
    "Calls of the database by background work that failed.",
    registry=WORK_REGISTRY,
)
WORK_SPANS = Counter(
    "mall_work_spans_total",
    "Spans of background work, as mall_spans_total.",
    ["outcome"],
    registry=WORK_REGISTRY,
)
WEBHOOK_ATTEMPTS = Counter(
    "mall_webhook_attempts_total",
    "Requests to receivers of webhooks, by class of the answer or by what prevented one.",
    ["outcome"],
    registry=WORK_REGISTRY,
)
WEBHOOK_SECONDS = Histogram(
    "mall_webhook_seconds",
    "Requests to receivers of webhooks.",
    buckets=(*_FAST, 10, 15),
    registry=WORK_REGISTRY,
)
WEBHOOK_IN_FLIGHT = Gauge(
    "mall_webhook_in_flight", "Requests to receivers of webhooks under way.", registry=WORK_REGISTRY
)
WEBHOOK_ENDPOINTS = Gauge(
    "mall_webhook_endpoints",
    "Endpoints of webhooks: good, failing, disabled.",
    ["state"],
    registry=WORK_REGISTRY,
)
WEBHOOK_LAG_EVENTS = Gauge(
    "mall_webhook_lag_events", "How far the endpoint that is farthest behind is.", registry=WORK_REGISTRY
)
WEBHOOK_LAG_SECONDS = Gauge(
    "mall_webhook_lag_seconds",
    "Age of the oldest event that an endpoint has still to come to.",
    registry=WORK_REGISTRY,
)
WEBHOOK_DEAD_LETTERS = Gauge(
    "mall_webhook_dead_letters", "Events that endpoints have refused for good.", registry=WORK_REGISTRY
)


class ApiUse(Collector):
    """Collector of requests per version of the API, summed at each scrape from the counters of requests."""

    def describe(self) -> Iterable[CounterMetricFamily]:
        """Describe the metric."""
        return [
            CounterMetricFamily("mall_api_requests", "Requests by version of the API.", labels=["version"])
        ]

    def collect(self) -> Iterable[CounterMetricFamily]:
        """The present sums."""
        used = dict.fromkeys("12", 0.0)
        for metric in REQUESTS.collect():
            for sample in metric.samples:
                root, _, rest = sample.labels["route"].partition("/api/v")
                if (
                    sample.name == "mall_requests_total"
                    and not root
                    and rest[:1] in used
                    and rest[1:2] == "/"
                ):
                    used[rest[:1]] += sample.value
        (family,) = self.describe()
        for version, count in used.items():
            family.add_metric([version], count)
        return [family]


REGISTRY.register(ApiUse())


def count_apart(why: str) -> None:
    """Count a rejected position."""
    FIXES_APART.labels(why).inc()


SPAN_OUTCOMES = ("exported", "failed", "dropped")
for _outcome in SPAN_OUTCOMES:
    SPANS.labels(_outcome)
    WORK_SPANS.labels(_outcome)


@cache
def request_count(route: str, method: str, status: int) -> Counter:
    """The child of REQUESTS. Children are cached, because a lookup costs more than the count."""
    return REQUESTS.labels(route, method, status)


@cache
def command_count(command: str, via: str, result: str) -> Counter:
    """The child of COMMANDS."""
    return COMMANDS.labels(command, via, result)


@cache
def command_seconds(command: str, via: str) -> Histogram:
    """The child of COMMAND_SECONDS."""
    return COMMAND_SECONDS.labels(command, via)


@cache
def cache_count(kind: str, result: str) -> Counter:
    """The child of CACHE_REQUESTS."""
    return CACHE_REQUESTS.labels(kind, result)


@cache
def query_seconds(query: str) -> Histogram:
    """The child of QUERY_SECONDS."""
    return QUERY_SECONDS.labels(query)
