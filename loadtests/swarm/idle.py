"""Sockets that do nothing: how fast they are opened, what each costs, and how calm the server stays."""

from __future__ import annotations

import asyncio

from loadtests.swarm.line import Crew
from loadtests.swarm.opening import close_all, open_all
from loadtests.swarm.scrape import lag_facts
from loadtests.swarm.stage import Stage
from loadtests.usage import rss_bytes
from loadtests.verdict import Limit, Report

SOCKET_BYTES_MAX = 20 * 1024
LAG_MS_MAX = 50.0
SETTLE_S = 2.0


async def run(stage: Stage, report: Report) -> None:
    """Connect, wait, and look."""
    options = stage.options
    crew = Crew(report, stage.server.url, stage.tag)
    lines = await stage.lines(crew, await stage.open_zones(options.sockets, "waves"), options.sockets)
    await asyncio.sleep(min(SETTLE_S, options.seconds))
    memory = rss_bytes(stage.pid) if stage.pid else 0
    took_s = await open_all(lines)
    report.facts["connects_per_s"] = round(len(lines) / took_s, 1)
    await asyncio.sleep(min(SETTLE_S, options.seconds))
    before = await stage.scrape()
    stage.meter.start()
    await asyncio.sleep(options.seconds)
    after = await stage.scrape()
    _memory(stage, report, memory, len(lines))
    lag = lag_facts(before, after)
    stage.limit(
        report, Limit("p99 of the server's loop lag, ms", lag["loop_lag_server_p99_ms"], at_most=LAG_MS_MAX)
    )
    report.facts |= stage.meter.facts() | lag
    report.facts["sessions_on_server"] = int(after.get("mall_feed_sessions", 0))
    stage.limit(report, Limit("open sockets", crew.up, at_least=len(lines)), timing=False)
    await close_all(crew, lines)


def _memory(stage: Stage, report: Report, before: int, count: int) -> None:
    """What a socket costs: session, transport and the driver's actor."""
    if not stage.pid:
        report.facts["memory"] = "not measured: --pid is missing"
        return
    grown = rss_bytes(stage.pid) - before
    report.facts["server_rss_mb"] = round((before + grown) / 1e6, 1)
    report.facts["server_rss_before_mb"] = round(before / 1e6, 1)
    each = grown / max(1, count)
    stage.limit(report, Limit("server memory for a socket, bytes", round(each), at_most=SOCKET_BYTES_MAX))
