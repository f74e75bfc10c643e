"""The server's /metrics, read as numbers: what grew between two scrapes, and quantiles of a histogram's growth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import aiohttp

# A series' whole name, labels and all, to its value.
Samples = Mapping[str, float]
_LABEL = re.compile(r'(\w+)="([^"]*)"')


async def scrape(http: aiohttp.ClientSession, ops_url: str) -> dict[str, float]:
    """All samples of this moment.

    Raises:
        aiohttp.ClientError: the operators' port does not answer.
    """
    async with http.get(ops_url + "/metrics") as response:
        response.raise_for_status()
        return parse(await response.text())


def parse(text: str) -> dict[str, float]:
    """Samples of Prometheus's text format; comments and what is no number are left out."""
    found = {}
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        if series and not line.startswith("#"):
            try:
                found[series] = float(value)
            except ValueError:
                continue
    return found


def _has(series: str, name: str, labels: Mapping[str, str]) -> bool:
    bare, _, rest = series.partition("{")
    return bare == name and labels.items() <= dict(_LABEL.findall(rest)).items()


def grown(before: Samples, after: Samples, name: str, **labels: str) -> float:
    """By how much the series of this name with these labels have grown, together."""
    wanted = [series for series in after if _has(series, name, labels)]
    return sum(after[series] - before.get(series, 0.0) for series in wanted)


def buckets_grown(before: Samples, after: Samples, name: str) -> list[tuple[float, float]]:
    """(upper bound, observations up to it) between two scrapes, ascending; series of all labels together."""
    totals: dict[float, float] = {}
    for series, value in after.items():
        if series.startswith(f"{name}_bucket{{"):
            bound = float(dict(_LABEL.findall(series))["le"])
            totals[bound] = totals.get(bound, 0.0) + value - before.get(series, 0.0)
    return sorted(totals.items())


def bucket_quantile(buckets: Sequence[tuple[float, float]], share: float) -> float:
    """A quantile estimated as Prometheus does, linear within its bucket; 0.0 of nothing.

    Beyond the last finite bound nothing is known but that: the bound itself is returned.
    """
    if not buckets or buckets[-1][1] <= 0:
        return 0.0
    rank = share * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (rank - below) / (count - below)
        if bound != float("inf"):
            low = bound
        below = count
    return low


def bucket_max(buckets: Sequence[tuple[float, float]]) -> float:
    """The bound that no observation has passed: infinity beyond the last finite one, 0.0 of nothing."""
    total = buckets[-1][1] if buckets else 0.0
    return next((bound for bound, count in buckets if count >= total), 0.0) if total else 0.0


def cached_share(before: Samples, after: Samples) -> float | None:
    """The share of reads of the catalogue between two scrapes that needed no query; None of no reads."""
    name = "mall_cache_requests_total"
    reads = grown(before, after, name) - grown(before, after, name, cache="session")
    hits = grown(before, after, name, result="hit") - grown(
        before, after, name, cache="session", result="hit"
    )
    return hits / reads if reads else None


def lag_facts(before: Samples, after: Samples) -> dict[str, float]:
    """How late the server's loop woke between two scrapes; a stall of a second is one observation of ten,
    so the p99 alone does not show it.
    """
    buckets = buckets_grown(before, after, "mall_loop_lag_seconds")
    return {
        "loop_lag_server_p99_ms": round(bucket_quantile(buckets, 0.99) * 1000, 1),
        "loop_lag_server_max_at_most_ms": bucket_max(buckets) * 1000,
    }
