"""When each alert must fire, and when it must not. A sample every 15 s, four a minute.

Each alert has a case at its limit, where it is silent, and one a little beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.integration.monitoring.promtool import AlertCase as Case

UP = 'up{job="mall",instance="a"}'
CREATED = 'mall_orders_total{event="created",instance="a"}'


def gauge(series: str, before: float, after: float) -> Mapping[str, str]:
    """A gauge that changes at 5m and comes back at 15m."""
    return {series: f"{before}x20 {after}x39 {before}x40"}


def requests(good: float, bad: float, status: int = 503) -> Mapping[str, str]:
    """Requests in 15 s from 5m on; before that all are good."""
    route = 'route="/api/v2/orders",method="POST",instance="a"'
    total = good + bad
    return {
        f'mall_requests_total{{{route},status="201"}}': f"0+{total}x20 {20 * total}+{good}x60",
        f'mall_requests_total{{{route},status="{status}"}}': f"0x20 0+{bad}x60",
    }


def share(series: str, slow_label: str, fast: float, slow: float) -> Mapping[str, str]:
    """A histogram with one bound: `fast` within it and `slow` above, in 15 s from the start."""
    name, labels = series.split("{")
    labels = labels.rstrip("}")
    comma = "," if labels else ""
    total = fast + slow
    return {
        f'{name}_bucket{{{labels}{comma}le="{slow_label}"}}': f"0+{fast}x60",
        f'{name}_bucket{{{labels}{comma}le="5.0"}}': f"0+{total}x60",
        f'{name}_bucket{{{labels}{comma}le="+Inf"}}': f"0+{total}x60",
        f"{name}_count{{{labels}}}": f"0+{total}x60",
    }


def ended(delivered: float, failed: float) -> Mapping[str, str]:
    """Orders that end, in 15 s."""
    return {
        'mall_orders_total{event="delivered",instance="a"}': f"0+{delivered}x120",
        'mall_orders_total{event="failed",instance="a"}': f"0+{failed}x120",
        'mall_orders_total{event="returned",instance="a"}': "0x120",
    }


def gateway_calls(good: float, bad: float, outcome: str = "later") -> Mapping[str, str]:
    """Calls in 15 s; the bad ones from 5m to 15m, in place of good ones before and after."""
    total = good + bad
    return {
        'mall_gateway_seconds_count{outcome="ok",step="hold"}': (
            f"0+{total}x20 {20 * total}+{good}x39 {20 * total + 39 * good}+{total}x40"
        ),
        f'mall_gateway_seconds_count{{outcome="{outcome}",step="hold"}}': f"0x20 0+{bad}x39 {39 * bad}x40",
    }


def quantile(series: str, fast_le: str, slow_le: str, slow_share: float) -> Mapping[str, str]:
    """A histogram of which this share is between two bounds."""
    name, labels = series.split("{")
    labels = labels.rstrip("}")
    comma = "," if labels else ""
    fast = 100 * (1 - slow_share)
    return {
        f'{name}_bucket{{{labels}{comma}le="{fast_le}"}}': f"0+{fast}x60",
        f'{name}_bucket{{{labels}{comma}le="{slow_le}"}}': "0+100x60",
        f'{name}_bucket{{{labels}{comma}le="+Inf"}}': "0+100x60",
    }


_ORDERS = 'mall_requests_total{route="/api/v2/orders",method="POST",instance="a"'

SYMPTOM_CASES: Sequence[Case] = (
    Case("MallDown", "all are gone", gauge(UP, 1, 0), fires=["6m"], quiet=["4m", "5m", "17m"]),
    Case(
        "MallDown",
        "a slot that was never up is no outage",
        {UP: "1x60", 'up{job="mall",instance="b"}': "0x60"},
        quiet=["10m"],
    ),
    Case("MallDown", "no target is known", {'up{job="other"}': "1x60"}, fires=["5m"]),
    Case(
        "MallNotReady",
        "both run, none is ready",
        {UP: "1x60", 'mall_ready{instance="a"}': "1x20 0x40", 'mall_ready{instance="b"}': "1x20 0x20 1x20"},
        fires=["8m"],
        quiet=["4m", "5m30s", "12m"],
    ),
    Case(
        "MallNotReady",
        "one of two is enough",
        {UP: "1x60", 'mall_ready{instance="a"}': "0x60", 'mall_ready{instance="b"}': "1x60"},
        quiet=["10m"],
    ),
    Case("MallHighErrorRate", "one in twenty is the limit", requests(95, 5), quiet=["12m"]),
    Case("MallHighErrorRate", "seven in a hundred", requests(93, 7), fires=["10m"], quiet=["5m"]),
    Case("MallHighErrorRate", "refusals are answers", requests(50, 50, 429), quiet=["12m"]),
    Case("MallHighErrorRate", "no traffic", {_ORDERS + ',status="503"}': "7x60"}, quiet=["5m", "10m"]),
    Case(
        "MallHighErrorRate",
        "a restart sets counters to zero",
        {_ORDERS + ',status="201"}': "5000+150x20 0+150x40", _ORDERS + ',status="503"}': "900x20 0x40"},
        quiet=["5m", "6m", "10m"],
    ),
    Case(
        "MallShardsWithoutOwner",
        "one is missing",
        gauge('mall_shards_owned{state="served",instance="a"}', 256, 200),
        fires=["7m"],
        quiet=["4m", "5m30s", "17m"],
    ),
    Case(
        "MallShardsWithoutOwner",
        "two instances share them",
        {
            'mall_shards_owned{state="served",instance="a"}': "100x60",
            'mall_shards_owned{state="served",instance="b"}': "156x60",
        },
        quiet=["10m"],
    ),
    Case(
        "MallCommitsStandStill",
        "one waits and nothing is flushed",
        {'mall_gate_pending{instance="a"}': "0x20 1x40", 'mall_flushes_total{instance="a"}': "0+5x20 100x40"},
        fires=["8m"],
        quiet=["4m"],
    ),
    Case(
        "MallCommitsStandStill",
        "nothing waits at night",
        {'mall_gate_pending{instance="a"}': "0x60", 'mall_flushes_total{instance="a"}': "100x60"},
        quiet=["10m"],
    ),
    Case(
        "MallCommitsStandStill",
        "many wait and are flushed",
        {'mall_gate_pending{instance="a"}': "500x60", 'mall_flushes_total{instance="a"}': "0+50x60"},
        quiet=["10m"],
    ),
    Case("MallOrdersFail", "one in ten is the limit", ended(9, 1), quiet=["20m"]),
    Case("MallOrdersFail", "thirteen in a hundred", ended(8.7, 1.3), fires=["20m"]),
    Case(
        "MallOrdersFail",
        "a single failed order at night",
        {
            'mall_orders_total{event="failed",instance="a"}': "0x20 1x60",
            'mall_orders_total{event="delivered",instance="a"}': "5x80",
        },
        quiet=["10m", "15m"],
    ),
    Case(
        "MallOrdersWait",
        "twenty minutes are the limit",
        {'mall_open_orders_oldest_seconds{zone="zon_1",state="confirmed"}': "1200x60"},
        quiet=["10m"],
    ),
    Case(
        "MallOrdersWait",
        "longer",
        gauge('mall_open_orders_oldest_seconds{zone="zon_1",state="confirmed"}', 30, 1300),
        fires=["8m"],
        quiet=["4m", "17m"],
        labels=',zone="zon_1"',
    ),
    Case(
        "MallOrdersWait",
        "a carried order may be old",
        {'mall_open_orders_oldest_seconds{zone="zon_1",state="picked_up"}': "5000x60"},
        quiet=["10m"],
    ),
    Case(
        "MallPaymentsLate",
        "a minute is the limit",
        {'mall_payments_late_seconds{instance="a"}': "60x60"},
        quiet=["10m"],
    ),
    Case(
        "MallPaymentsLate",
        "longer",
        gauge('mall_payments_late_seconds{instance="a"}', 0, 70),
        fires=["8m"],
        quiet=["4m", "6m", "17m"],
    ),
    Case("MallGatewayAway", "half of the calls are the limit", gateway_calls(5, 5), quiet=["12m"]),
    Case(
        "MallGatewayAway",
        "most of the calls come to nothing",
        gateway_calls(4, 6),
        fires=["8m"],
        quiet=["4m", "5m15s", "17m"],
    ),
    Case("MallGatewayAway", "declined cards are answers", gateway_calls(0, 9, "declined"), quiet=["12m"]),
    Case("MallGatewayAway", "one call at night", gateway_calls(0, 0.1), quiet=["12m"]),
    Case(
        "MallShedding",
        "one in ten seconds is the limit",
        {'mall_requests_shed_total{rank="vital",instance="a"}': "0+1.5x60"},
        quiet=["10m"],
    ),
    Case(
        "MallShedding",
        "more",
        {'mall_requests_shed_total{rank="vital",instance="a"}': "0x20 0+2x20 40x40"},
        fires=["9m"],
        quiet=["4m", "15m"],
    ),
    Case(
        "MallShedding",
        "browsing may be refused",
        {'mall_requests_shed_total{rank="browse",instance="a"}': "0+50x60"},
        quiet=["10m"],
    ),
    Case(
        "MallDiskFull",
        "a disk is full",
        gauge('mall_component_up{component="disk",instance="a"}', 1, 0),
        fires=["7m"],
        quiet=["4m", "17m"],
    ),
)
CAUSE_CASES: Sequence[Case] = (
    Case(
        "MallInstanceMissing",
        "one of two",
        {UP: "1x120", 'up{job="mall",instance="b"}': "1x20 0x40 1x60"},
        fires=["10m"],
        quiet=["4m", "6m", "17m"],
    ),
    Case(
        "MallFewRequestsAllFail",
        "five are the limit",
        {_ORDERS + ',status="503"}': "0x20 1 2 3 4 5x40"},
        quiet=["8m"],
    ),
    Case(
        "MallFewRequestsAllFail",
        "seven in a quiet hour",
        {_ORDERS + ',status="503"}': "0x20 2 4 6 7x80"},
        fires=["8m"],
        quiet=["4m", "20m"],
    ),
    Case("MallNoOrders", "a quiet hour where there was none last week", {CREATED: "0x60"}, quiet=["14m"]),
    Case(
        "MallRedisAway",
        "Redis is lost",
        gauge('mall_component_up{component="redis",instance="a"}', 1, 0),
        fires=["7m"],
        quiet=["4m", "5m30s", "17m"],
        labels=',instance="a"',
    ),
    Case(
        "MallPostgresAway",
        "Postgres is lost",
        gauge('mall_component_up{component="postgres",instance="a"}', 1, 0),
        fires=["6m"],
        quiet=["4m", "17m"],
    ),
    Case(
        "MallPoolSlow",
        "most are quick",
        quantile('mall_pool_wait_seconds{instance="a"}', "0.025", "0.05", 0.2),
        quiet=["12m"],
    ),
    Case(
        "MallPoolSlow",
        "one in twenty waits",
        quantile('mall_pool_wait_seconds{instance="a"}', "0.05", "0.1", 0.05),
        fires=["12m"],
    ),
    Case(
        "MallSlowQueries",
        "one in fifty is the limit",
        share('mall_query_seconds{query="order_list"}', "0.1", 98, 2),
        quiet=["12m"],
    ),
    Case(
        "MallSlowQueries",
        "three in a hundred",
        share('mall_query_seconds{query="order_list"}', "0.1", 97, 3),
        fires=["12m"],
        labels=',query="order_list"',
    ),
    Case(
        "MallSlowQueries",
        "a rare query may be slow",
        share('mall_query_seconds{query="verify"}', "0.1", 0, 0.1),
        quiet=["12m"],
    ),
    Case(
        "MallLocksHeld",
        "somebody holds a row",
        gauge('mall_locked_rows{holder="psql",instance="a"}', 0, 1),
        fires=["7m"],
        quiet=["4m", "17m"],
    ),
    Case(
        "MallLeaseAtRisk",
        "one gap, the first ever",
        {'mall_lease_gaps_total{instance="a"}': "0x20 1x80"},
        fires=["6m"],
        quiet=["4m", "15m"],
    ),
    Case(
        "MallLeaseAtRisk",
        "a restart",
        {'mall_lease_gaps_total{instance="a"}': "3x20 0x60"},
        quiet=["6m", "10m"],
    ),
    Case(
        "MallActorCrashed",
        "the first crash ever",
        {'mall_actor_crashes_total{kind="zone",instance="a"}': "0x20 1x80"},
        fires=["6m"],
        quiet=["4m", "20m"],
        labels=',kind="zone"',
    ),
    Case(
        "MallLoopLate",
        "some turns are late",
        quantile('mall_loop_lag_seconds{instance="a"}', "0.05", "0.1", 0.5),
        quiet=["12m"],
    ),
    Case(
        "MallLoopLate",
        "one in fifty wakes later",
        quantile('mall_loop_lag_seconds{instance="a"}', "0.1", "0.25", 0.02),
        fires=["12m"],
    ),
    Case(
        "MallFeedLate",
        "most are quick",
        quantile('mall_feed_late_seconds{instance="a"}', "0.1", "0.25", 0.5),
        quiet=["12m"],
    ),
    Case(
        "MallFeedLate",
        "one in twenty is late",
        quantile('mall_feed_late_seconds{instance="a"}', "0.25", "0.5", 0.05),
        fires=["12m"],
    ),
    Case(
        "MallGatewayUnsure",
        "one in ten is the limit",
        {
            'mall_gateway_seconds_count{outcome="unsure",step="hold"}': "0+1x60",
            'mall_gateway_seconds_count{outcome="ok",step="hold"}': "0+9x60",
        },
        quiet=["12m"],
    ),
    Case(
        "MallGatewayUnsure",
        "thirteen in a hundred",
        {
            'mall_gateway_seconds_count{outcome="unsure",step="hold"}': "0+1.3x60",
            'mall_gateway_seconds_count{outcome="ok",step="hold"}': "0+8.7x60",
        },
        fires=["12m"],
    ),
    Case(
        "MallGatewayUnsure",
        "declined cards are answers",
        {'mall_gateway_seconds_count{outcome="declined",step="hold"}': "0+9x60"},
        quiet=["12m"],
    ),
    Case(
        "MallPaymentsStuck",
        "one",
        gauge('mall_payments_stuck{instance="a"}', 0, 1),
        fires=["7m"],
        quiet=["4m", "17m"],
    ),
    Case(
        "MallChoreFails",
        "two are the limit",
        {'mall_chore_failures_total{chore="sweep_feeds",instance="a"}': "0x20 1 2x60"},
        quiet=["9m", "12m"],
    ),
    Case(
        "MallChoreFails",
        "three in ten minutes",
        {'mall_chore_failures_total{chore="sweep_feeds",instance="a"}': "0x20 1 2 3 3x28 4x60"},
        fires=["11m"],
        quiet=["4m"],
    ),
    Case(
        "MallChoreStalled",
        "a round stands still",
        {
            'mall_chore_seconds_count{chore="sweep_feeds",instance="a"}': "0+2x80 160x60",
            'process_start_time_seconds{job="mall",instance="a"}': "0x140",
        },
        fires=["28m"],
        quiet=["15m"],
    ),
    Case(
        "MallChoreStalled",
        "a new instance has not begun",
        {
            'mall_chore_seconds_count{chore="sweep_feeds",instance="a"}': "0x60",
            'process_start_time_seconds{job="mall",instance="a"}': "500x60",
        },
        quiet=["12m"],
    ),
    Case(
        "MallChoreStalled",
        "two rounds in five minutes are enough",
        {
            'mall_chore_seconds_count{chore="sweep_feeds",instance="a"}': "0+0.1x140",
            'process_start_time_seconds{job="mall",instance="a"}': "0x140",
        },
        quiet=["28m"],
    ),
    Case(
        "MallWorkerMissing",
        "the worker is gone",
        {UP: "1x100", 'mall_outbox_rows{instance="w"}': "0x20 _x40 0x40"},
        fires=["14m"],
        quiet=["4m", "17m"],
    ),
    Case("MallWorkerMissing", "everything is gone", {UP: "0x60"}, quiet=["10m"]),
    Case(
        "MallOutboxLate",
        "half a minute is the limit",
        {'mall_outbox_oldest_seconds{instance="w"}': "30x60"},
        quiet=["10m"],
    ),
    Case(
        "MallOutboxLate",
        "longer",
        gauge('mall_outbox_oldest_seconds{instance="w"}', 0, 40),
        fires=["7m"],
        quiet=["4m", "17m"],
    ),
    Case(
        "MallJobsWait",
        "five minutes are the limit",
        {'mall_jobs_oldest_seconds{task="send_mail",instance="w"}': "300x60"},
        quiet=["10m"],
    ),
    Case(
        "MallJobsWait",
        "longer",
        gauge('mall_jobs_oldest_seconds{task="send_mail",instance="w"}', 0, 400),
        fires=["7m"],
        quiet=["4m", "17m"],
        labels=',task="send_mail"',
    ),
    Case(
        "MallJobDead",
        "one dead letter",
        gauge('mall_jobs{task="send_mail",state="dead",instance="w"}', 0, 1),
        fires=["6m"],
        quiet=["4m", "17m"],
    ),
    Case(
        "MallLogLinesDropped",
        "one line",
        {'mall_log_lines_dropped{instance="a"}': "0x20 1x80"},
        fires=["7m"],
        quiet=["4m", "20m"],
    ),
)
# Here "a week ago" is an hour ago (promtool.py).
WEEK_CASES: Sequence[Case] = (
    Case(
        "MallNoOrders",
        "silence where there was trade a week ago",
        {CREATED: "0+1x120 120x260"},
        fires=["82m"],
        quiet=["50m", "105m"],
    ),
    Case("MallNoOrders", "one order a quarter is enough", {CREATED: "0+1x120 120+0.02x260"}, quiet=["82m"]),
    Case("MallNoOrders", "few a week ago", {CREATED: "0+0.3x120 36x260"}, quiet=["82m"]),
)
META_CASES: Sequence[Case] = (Case("Watchdog", "always", {UP: "1x20"}, fires=["1m", "4m"]),)


def burn(good: float, bad: float, age_h: float = 100) -> Mapping[str, str]:
    """Two hours of requests in 15 s, by a Prometheus that has had data for `age_h` hours when they begin.

    A window that is longer than the data has the ratio of the data.
    """
    return {
        _ORDERS + ',status="201"}': f"0+{good}x480",
        _ORDERS + ',status="503"}': f"0+{bad}x480",
        'prometheus_tsdb_lowest_timestamp_seconds{job="prometheus"}': f"{-3600 * age_h:.0f}x480",
    }


def of(name: str, objective: str = "order_api") -> str:
    """Labels of a burn alert."""
    return f',burn="{name}",slo="{objective}"'


_BURN = "MallErrorBudgetBurn"
BURN_CASES: Sequence[Case] = (
    Case(_BURN, "2 % page fast", burn(98, 2), fires=["20m"], labels=of("fast")),
    Case(_BURN, "1 % does not page fast", burn(99, 1), quiet=["110m"], labels=of("fast")),
    Case(_BURN, "1 % page within hours", burn(99, 1), fires=["20m"], labels=of("medium")),
    Case(_BURN, "0.5 % do not", burn(99.5, 0.5), quiet=["110m"], labels=of("medium")),
    Case(_BURN, "0.4 % are a ticket", burn(99.6, 0.4), fires=["70m"], labels=of("slow")),
    Case(_BURN, "0.2 % are none of a day", burn(99.8, 0.2), quiet=["110m"], labels=of("slow")),
    Case(_BURN, "0.4 % do not page", burn(99.6, 0.4), quiet=["110m"], labels=',severity="page"'),
    Case(_BURN, "0.15 % are one of days", burn(99.85, 0.15), fires=["70m"], labels=of("steady")),
    Case(_BURN, "0.08 % are within the budget", burn(99.92, 0.08), quiet=["110m"], labels=of("steady")),
    Case(_BURN, "a day is over", burn(99.6, 0.4, 23), fires=["70m"], quiet=["55m"], labels=of("slow")),
    Case(
        _BURN, "three days are over", burn(99.85, 0.15, 71), fires=["70m"], quiet=["55m"], labels=of("steady")
    ),
    Case(_BURN, "six hours are over", burn(99, 1, 5), fires=["70m"], quiet=["55m"], labels=of("medium")),
    Case(_BURN, "a new Prometheus pages for what is fast", burn(98, 2, 0), fires=["20m"], labels=of("fast")),
    Case(
        _BURN,
        "a Prometheus that does not know its age tells of it",
        {series: values for series, values in burn(99, 1).items() if not series.startswith("prometheus")},
        fires=["20m"],
        labels=of("medium"),
    ),
    Case(
        _BURN,
        "silence after a bad hour clears",
        {
            _ORDERS + ',status="503"}': "0+10x240 2400x240",
            _ORDERS + ',status="201"}': "0+10x240 2400x240",
        },
        fires=["59m"],
        quiet=["70m"],
        labels=of("fast"),
    ),
    Case(
        _BURN,
        "one command in five is slow",
        share('mall_command_seconds{command="accept",via="feed"}', "0.1", 80, 20),
        fires=["14m"],
        labels=of("fast", "command_latency"),
    ),
    Case(
        _BURN,
        "3 % of frames are late",
        share('mall_feed_late_seconds{instance="a"}', "0.25", 97, 3),
        fires=["14m"],
        labels=of("fast", "feed_freshness"),
    ),
    Case(
        _BURN,
        "one first offer in five comes late",
        share('mall_first_offer_seconds{instance="a"}', "1.0", 80, 20),
        fires=["14m"],
        labels=of("fast", "first_offer"),
    ),
    Case(
        _BURN,
        "one first offer in a hundred may come late",
        share('mall_first_offer_seconds{instance="a"}', "1.0", 99, 1),
        quiet=["14m"],
        labels=of("fast", "first_offer"),
    ),
)
CASES: Sequence[Case] = (*SYMPTOM_CASES, *CAUSE_CASES, *WEEK_CASES, *META_CASES)
