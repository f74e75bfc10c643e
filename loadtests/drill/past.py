"""An hour of good service for a new Prometheus to look back at.

Without a past, a window of an hour is one of minutes, and a burn of the budget would be told sooner than in service.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

PAST_S, STEP_S = 4500, 15
RATE_PER_S = 10
_LABELS = 'job="mall",instance="past"'
_SERIES = (
    'mall_requests_total{route="/api/v2/orders",method="GET",status="200",%s}',
    'mall_command_seconds_count{command="accept",via="feed",%s}',
    'mall_command_seconds_bucket{command="accept",via="feed",le="0.1",%s}',
    "mall_feed_late_seconds_count{%s}",
    'mall_feed_late_seconds_bucket{le="0.25",%s}',
)


def past_lines(now_s: float) -> Iterator[str]:
    """Samples until `now_s`, as OpenMetrics."""
    for series in _SERIES:
        for ago_s in range(PAST_S, 0, -STEP_S):
            yield f"{series % _LABELS} {(PAST_S - ago_s) * RATE_PER_S} {now_s - ago_s:.0f}"
    yield "# EOF"


def write_past(promtool: str, storage: Path, now_s: float) -> None:
    """Put it where Prometheus will keep its data; Prometheus must not run yet."""
    text = storage.with_suffix(".txt")
    text.write_text("\n".join(past_lines(now_s)) + "\n")
    subprocess.run(  # noqa: S603 - our words
        [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(storage)],
        check=True,
        capture_output=True,
        timeout=60,
    )
