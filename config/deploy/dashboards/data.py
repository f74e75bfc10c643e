"""Data: queries, the pool of connections, Redis, the cache."""

from __future__ import annotations

from config.deploy.dashboards.panels import INSTANCES, Board, PanelQuery, Section, lines, ranking
from config.deploy.dashboards.promql import (
    events,
    here,
    largest,
    latest,
    per_second,
    quantile,
    ratio,
    slow_share,
)

_QUERIES = here("mall_query_seconds")

_POSTGRES = Section(
    "Queries",
    (
        ranking(
            1, "Slow queries of the last hour", "short",
            "The ten named queries that most often took over 100 ms. The log has each of them, with its trace id.",
            PanelQuery(largest(10, events(here("mall_slow_queries_total"), "1h", "query")), "{{query}}"),
            alerts=("MallSlowQueries",),
        ),
        lines(
            2, "Share of slow queries", "percentunit",
            "Which share of a query took over 100 ms, the ten worst.",
            PanelQuery(largest(10, slow_share(_QUERIES, "0.1", "query")), "{{query}}"),
            alerts=("MallSlowQueries",), limited=True,
        ),
        lines(
            3, "Slowest queries", "s",
            "The ten queries with the highest 99th percentile.",
            PanelQuery(largest(10, quantile(0.99, _QUERIES, "query")), "{{query}}"),
            alerts=("MallSlowQueries",),
        ),
        lines(
            4, "Queries", "ops",
            "The ten most frequent queries. `flush` is the group commit.",
            PanelQuery(largest(10, per_second(here("mall_query_seconds_count"), "query")), "{{query}}"),
        ),
        lines(
            5, "Where the time of Postgres goes", "percentunit",
            "Time spent in each query, as a share of one connection that is always busy; the ten largest.",
            PanelQuery(largest(10, per_second(here("mall_query_seconds_sum"), "query")), "{{query}}"),
        ),
        lines(
            6, "Stores that are reached", "bool_yes_no",
            "Whether each process reaches Postgres and Redis, and whether few callers wait for its pool.",
            PanelQuery(
                latest("min", here('mall_component_up{component=~"postgres|redis|pool"}'), "component, instance"),
                "{{component}} {{instance}}",
            ),
            alerts=("MallPostgresAway", "MallRedisAway"),
        ),
    ),
)  # fmt: skip
_POOL = Section(
    "Pool",
    (
        lines(
            7, "Connections", "short",
            "Connections of the pool: open, idle, and the most that it may have.",
            PanelQuery(latest("sum", here("mall_pool_connections"), "state"), "{{state}}"),
        ),
        lines(
            8, "Wait for a connection", "s",
            "How long a query waits for a connection, median and slowest 1 %.",
            PanelQuery(quantile(0.5, here("mall_pool_wait_seconds")), "p50"),
            PanelQuery(quantile(0.99, here("mall_pool_wait_seconds")), "p99"),
            alerts=("MallPoolSlow",), limited=True,
        ),
        lines(
            9, "Callers that wait, or gave up", "short",
            "Callers that wait for a connection now, and those that got none in time in the last ten minutes.",
            PanelQuery(latest("sum", here("mall_pool_waiting")), "wait"),
            PanelQuery(events(here("mall_pool_timeouts_total"), "10m"), "gave up"),
            alerts=("MallPoolSlow",),
        ),
    ),
)  # fmt: skip
_REDIS = Section(
    "Redis and cache",
    (
        lines(
            10, "Reads through the cache", "rps",
            "Reads that may be cached, by result. `stale` is an old answer while Postgres is away, `bypass` a read "
            "that went past Redis.",
            PanelQuery(per_second(here("mall_cache_requests_total"), "result"), "{{result}}"),
            width=6,
        ),
        lines(
            11, "Hits of the cache", "percentunit",
            "Share of reads that were answered without a query, by kind of entry.",
            PanelQuery(
                ratio(here('mall_cache_requests_total{result="hit"}'), here("mall_cache_requests_total"), "cache"),
                "{{cache}}",
            ),
            width=6,
        ),
        lines(
            12, "Errors of Redis, instances without it", "short",
            "Calls of Redis that failed in ten minutes, by use, and instances that count rates alone because they "
            "do not reach it.",
            PanelQuery(events(here("mall_redis_errors_total"), "10m", "use"), "failed: {{use}}"),
            PanelQuery(latest("sum", here("mall_limits_alone")), "instances that count alone"),
            alerts=("MallRedisAway",), width=6,
        ),
        lines(
            13, "Idempotency keys", "short",
            "Keys that are kept, as Postgres last estimated. Workers delete the expired ones.",
            PanelQuery(latest("max", here("mall_idempotency_keys")), "keys"),
            width=6,
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "data",
    "Data",
    "What the program asks of Postgres and Redis, and how long it waits for them.",
    (_POSTGRES, _POOL, _REDIS),
    (INSTANCES,),
    since="3h",
)
