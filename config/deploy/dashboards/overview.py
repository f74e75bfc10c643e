"""Overview: is it well, and if not, where does one look?"""

from __future__ import annotations

from config.deploy.dashboards.panels import Board, PanelQuery, Section, lines, stat
from config.deploy.dashboards.promql import (
    at_rest,
    largest,
    latest,
    per_second,
    quantile,
    ratio,
)

_ROUTES = '{route!~"/health/.*"}'
_REQUESTS = f"mall_requests_total{_ROUTES}"
_SECONDS = f"mall_request_seconds{_ROUTES}"
_FAILED = 'mall_requests_total{route!~"/health/.*",status=~"5.."}'

_STATE = Section(
    "Now",
    (
        stat(
            1, "Instances that answer", "short",
            "Instances whose metrics Prometheus could read. One less than usual is a ticket, none is a page.",
            PanelQuery(at_rest('count(up{job="mall"} == 1)'), "instances"),
            alerts=("MallDown", "MallInstanceMissing"), limited=True, low=True,
        ),
        stat(
            2, "Instances that are ready", "short",
            "Instances that take requests, and instances that are leaving. Workers are never ready: they take none.",
            PanelQuery(latest("sum", "mall_ready"), "ready"),
            PanelQuery(latest("sum", "mall_draining"), "leaving"),
            alerts=("MallNotReady",),
        ),
        stat(
            3, "Alerts that fire", "short",
            "Pages and tickets that are open now. The Watchdog, which always fires, is not counted.",
            PanelQuery(at_rest('count(ALERTS{alertstate="firing",alertname!="Watchdog"})'), "alerts"),
            alerts=("Watchdog",), limit=1,
        ),
        stat(
            4, "Versions that run", "short",
            "Processes by version of the program. Two versions are usual only during a rolling update.",
            PanelQuery(latest("count", "mall_build_info", "version"), "{{version}}"),
        ),
    ),
)  # fmt: skip
_USERS = Section(
    "What users feel",
    (
        lines(
            5, "Requests by status", "reqps",
            "Requests answered in a second, by status. Probes are left out, here and in all panels of requests.",
            PanelQuery(per_second(_REQUESTS, "status"), "{{status}}"),
        ),
        lines(
            6, "Share of requests that fail", "percentunit",
            "Answers 5xx among all answers. Refusals with 4xx are answers: the caller has to change something.",
            PanelQuery(ratio(_FAILED, _REQUESTS), "5xx"),
            alerts=("MallHighErrorRate", "MallFewRequestsAllFail"), limited=True,
        ),
        lines(
            7, "Time to answer", "s",
            "From the head of a request to its answer: the median, and the slowest 5 % and 1 %. Streams are left out.",
            PanelQuery(quantile(0.5, _SECONDS), "p50"),
            PanelQuery(quantile(0.95, _SECONDS), "p95"),
            PanelQuery(quantile(0.99, _SECONDS), "p99"),
        ),
        lines(
            8, "Slowest routes", "s",
            "The five routes with the highest 99th percentile. One slow route points to a query, all of them to the "
            "event loop or to Postgres.",
            PanelQuery(largest(5, quantile(0.99, _SECONDS, "method, route")), "{{method}} {{route}}"),
        ),
        lines(
            9, "Busiest routes", "reqps",
            "The ten routes with the most requests.",
            PanelQuery(
                largest(10, at_rest("sum by (route, method) (mall:requests:rate2m)", "route")),
                "{{method}} {{route}}",
            ),
        ),
        lines(
            10, "Requests refused", "reqps",
            "Refused because the instance is full (shed, by rank), because a caller is over a limit (by policy), or "
            "because it was no proper request (by reason). Shed writes are a page.",
            PanelQuery(per_second("mall_requests_shed_total", "rank"), "shed: {{rank}}"),
            PanelQuery(per_second("mall_rate_limited_total", "policy"), "limit: {{policy}}"),
            PanelQuery(per_second("mall_malformed_requests_total", "reason"), "malformed: {{reason}}"),
            alerts=("MallShedding",),
        ),
    ),
)  # fmt: skip
_PROCESSES = Section(
    "Processes",
    (
        lines(
            11, "Requests in flight and connections", "short",
            "Requests that are being answered, and open connections by port. Many connections with few requests are "
            "drivers' sockets, or callers that are slow.",
            PanelQuery(latest("sum", "mall_requests_in_flight"), "requests in flight"),
            PanelQuery(latest("sum", "mall_connections", "port"), "connections: {{port}}"),
        ),
        lines(
            12, "Components", "bool_yes_no",
            "Whether each component is well at every instance that has it: Postgres, Redis, the event loop, the pool, "
            "and the disk where data is embedded.",
            PanelQuery(latest("min", "mall_component_up", "component"), "{{component}}"),
            alerts=("MallPostgresAway", "MallRedisAway", "MallDiskFull"),
        ),
        lines(
            13, "Versions of the API", "reqps",
            "Requests by version of the API. A version whose line stays at 0 for weeks may be switched off.",
            PanelQuery(per_second("mall_api_requests_total", "version"), "v{{version}}"),
        ),
        lines(
            14, "Processor and open files", "percentunit",
            "Processor time of each process, where 100 % is one core, and the share of its file descriptors in use. "
            "An instance has one thread for everything, so it is full a little below 100 %.",
            PanelQuery(per_second("process_cpu_seconds_total", "instance"), "processor: {{instance}}"),
            PanelQuery(
                at_rest("max by (instance) (process_open_fds / process_max_fds)", "instance"), "files: {{instance}}"
            ),
        ),
        lines(
            15, "Memory", "bytes",
            "Resident memory of each process. It grows with actors in memory and with drivers' sockets.",
            PanelQuery(latest("max", "process_resident_memory_bytes", "instance"), "{{instance}}"),
        ),
        lines(
            16, "Restarts and lost log lines", "short",
            "Starts of processes, and log lines that found the buffer full, in the last hour. Both should be 0 "
            "outside of updates.",
            PanelQuery(
                at_rest("sum by (instance) (changes(process_start_time_seconds[1h]))", "instance"),
                "starts: {{instance}}",
            ),
            PanelQuery(at_rest("sum(delta(mall_log_lines_dropped[1h]))"), "lost log lines"),
            alerts=("MallLogLinesDropped",),
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "overview",
    "Overview",
    "Is it well? What fires, what users feel, and how the processes are.",
    (_STATE, _USERS, _PROCESSES),
    since="3h",
)
