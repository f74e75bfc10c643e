"""Every query of every dashboard, asked of a real Prometheus: while the mall is at rest, and when all has happened."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.deploy.dashboards.boards import BOARDS, FOLDER
from config.deploy.dashboards.panels import Choice
from tests.integration.monitoring.dashboard_queries import (
    AskedQuery,
    never_seen,
    queries_of,
    without_value,
)
from tests.integration.monitoring.eventful_mall import everything_happens, open_mall
from tests.integration.monitoring.prometheus_process import (
    PrometheusProcess,
    open_prometheus,
    require_prometheus,
)
from tests.support.waiting import seconds_until

pytestmark = pytest.mark.timeout(400)
QUERIES = [
    query for path in sorted(FOLDER.glob("*.json")) for query in queries_of(json.loads(path.read_text()))
]


@dataclass
class WatchedMall:
    """A Prometheus that has seen everything happen.

    Attributes:
        at_rest: what was wrong before anything happened.
    """

    prometheus: PrometheusProcess
    at_rest: Sequence[str]
    series_at_rest: int


@pytest.fixture(scope="module")
async def watched(short_tmp_path: Path) -> AsyncIterator[WatchedMall]:
    require_prometheus()
    folder = short_tmp_path / "watched"
    async with open_mall(folder / "mall") as mall:
        scraped = mall.process.ops_url.removeprefix("http://")
        async with open_prometheus(folder / "prometheus", scraped) as prometheus:
            await prometheus.until("mall_jobs_oldest_seconds")
            await prometheus.until_scraped(3)
            at_rest, series = await without_value(prometheus, QUERIES)
            await everything_happens(mall, prometheus)
            await prometheus.until_scraped(4)
            yield WatchedMall(prometheus, at_rest, series)


@pytest.mark.parametrize(
    "selector",
    [
        *(
            f'mall_orders_total{{event="{event}"}}'
            for event in ("created", "offered", "paid", "assigned", "picked_up", "delivered", "declined", "cancelled")
        ),
        'mall_orders_total{event="failed"}',
        'mall_gateway_seconds_count{step="hold",outcome="declined"}',
        'mall_gateway_seconds_count{step="refund",outcome="ok"}',
        'mall_feed_late_seconds_count',
        'mall_shards_handed_over_total',
        'mall_requests_total{status=~"4.."}',
        'mall_requests_total{status=~"5.."}',
        'mall_slow_queries_total',
        'mall_job_attempts_total{task=~"notify_.*",outcome="done"}',
        'mall_jobs{state="dead"}',
        'mall_webhook_attempts_total{outcome="2xx"}',
        'mall_webhook_attempts_total{outcome="5xx"}',
        'mall_blocked_commits',
        'mall_locked_rows',
        'mall_settled_total',
    ],
)  # fmt: skip
async def test_it_has_happened(watched: WatchedMall, selector: str) -> None:
    assert await watched.prometheus.holds(f"sum(max_over_time({selector}[1h])) > 0")


async def test_every_query_has_a_finite_value_at_rest(watched: WatchedMall) -> None:
    print(f"at rest: {len(QUERIES)} queries asked, {watched.series_at_rest} series found")
    assert watched.at_rest == []


async def test_every_query_has_finite_values_when_all_has_happened(watched: WatchedMall) -> None:
    wrong, series = await without_value(watched.prometheus, QUERIES)
    print(
        f"after all has happened: {len(QUERIES)} queries of {len(BOARDS)} dashboards asked, {series} series found"
    )
    assert wrong == []


async def test_everything_that_is_asked_for_was_seen(watched: WatchedMall) -> None:
    """A fallback to 0 must not hide a metric or a label that does not exist."""
    missing: list[str] = []

    async def all_seen() -> bool:
        """Recorded rules come with the next evaluation after what they are made of."""
        missing[:], count = await never_seen(watched.prometheus, QUERIES)
        print(f"{count} selectors asked, {len(missing)} never seen")
        return not missing

    with suppress(TimeoutError):
        await seconds_until(all_seen, 60)
    assert missing == []


@pytest.mark.parametrize(
    ("planted", "complaint"),
    [
        ("sum(rate(mall_orders_totl[$__rate_interval]))", "no series"),
        ('sum(mall_jobs{state="asleep"})', "no series"),
        ("sum(rate(mall_orders_total[$__rate_interval])", "parse error"),
        ("0 * mall_feed_sessions / 0", "nan"),
        ("1 / sum(mall_feed_sessions * 0)", "inf"),
    ],
)
async def test_query_that_has_no_finite_value_is_found(
    watched: WatchedMall, planted: str, complaint: str
) -> None:
    [found], _ = await without_value(watched.prometheus, [AskedQuery("planted", planted)])
    assert complaint in found


@pytest.mark.parametrize(
    ("planted", "missing"),
    [
        ("sum(rate(mall_orders_totl[$__rate_interval])) or vector(0)", "mall_orders_totl"),
        ('sum(mall_jobs{state="asleep"}) or vector(0)', 'mall_jobs{state="asleep"}'),
    ],
)
async def test_misspelling_that_a_fallback_hides_is_found(
    watched: WatchedMall, planted: str, missing: str
) -> None:
    query = AskedQuery("planted", planted)
    assert (await without_value(watched.prometheus, [query]))[0] == []
    assert (await never_seen(watched.prometheus, [query]))[0] == [missing]


@pytest.mark.parametrize(
    "choice", sorted({choice for board in BOARDS for choice in board.choices}, key=str), ids=lambda c: c.label
)
async def test_every_variable_has_values(watched: WatchedMall, choice: Choice) -> None:
    error, series = await watched.prometheus.ask("series", **{"match[]": choice.metric})
    assert not error
    assert {labels.get(choice.label) for labels in series} - {None} != set()
