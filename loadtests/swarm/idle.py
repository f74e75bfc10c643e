"""Sockets that do nothing: how fast they are opened, what each costs, and how calm the server stays."""

from __future__ import annotations

import asyncio

from loadtests.kit.metrics import lag_facts
from loadtests.kit.process_usage import rss_bytes
from loadtests.kit.report import Limit, LoadReport
from loadtests.swarm.connecting import close_all, open_all
from loadtests.swarm.phone import PhoneGroup
from loadtests.swarm.setup import SwarmSetup

SOCKET_BYTES_MAX = 20 * 1024
LAG_MS_MAX = 50.0
SETTLE_S = 2.0


async def run(setup: SwarmSetup, report: LoadReport) -> None:
    """Connect, wait, and look."""
    options = setup.options
    group = PhoneGroup(report, setup.server.url, setup.tag)
    phones = await setup.phones(group, await setup.open_zones(options.sockets, "waves"), options.sockets)
    await asyncio.sleep(min(SETTLE_S, options.seconds))
    memory = rss_bytes(setup.pid) if setup.pid else 0
    took_s = await open_all(phones)
    report.facts["connects_per_s"] = round(len(phones) / took_s, 1)
    await asyncio.sleep(min(SETTLE_S, options.seconds))
    before = await setup.scrape()
    setup.meter.start()
    await asyncio.sleep(options.seconds)
    after = await setup.scrape()
    _memory(setup, report, memory, len(phones))
    lag = lag_facts(before, after)
    report.limit(Limit("p99 of the server's loop lag, ms", lag["loop_lag_server_p99_ms"], at_most=LAG_MS_MAX))
    report.facts |= setup.meter.facts() | lag
    report.facts["sessions_on_server"] = int(after.get("mall_feed_sessions", 0))
    report.limit(Limit("open sockets", group.up, at_least=len(phones)), timing=False)
    await close_all(group, phones)


def _memory(setup: SwarmSetup, report: LoadReport, before: int, count: int) -> None:
    """What a socket costs: session, transport and the driver's actor."""
    if not setup.pid:
        report.facts["memory"] = "not measured: --pid is missing"
        return
    grown = rss_bytes(setup.pid) - before
    report.facts["server_rss_mb"] = round((before + grown) / 1e6, 1)
    report.facts["server_rss_before_mb"] = round(before / 1e6, 1)
    each = grown / max(1, count)
    report.limit(Limit("server memory for a socket, bytes", round(each), at_most=SOCKET_BYTES_MAX))
