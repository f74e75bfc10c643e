"""Sockets that do nothing: how fast they are opened, what each costs, how calm the server stays, what a scrape costs.

With `--orders` as many orders live beside them, in a zone without drivers.
"""

from __future__ import annotations

import asyncio
import gzip
from time import perf_counter

import orjson

from loadtests.kit.closed_loop import RestLoop
from loadtests.kit.fixtures import order_body
from loadtests.kit.metrics import lag_facts
from loadtests.kit.process_usage import rss_bytes
from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.wire import open_wires, request_bytes
from loadtests.swarm.connecting import close_all, open_all
from loadtests.swarm.phone import PhoneGroup
from loadtests.swarm.setup import SwarmSetup

SOCKET_BYTES_MAX = 20 * 1024
LAG_MS_MAX = 50.0
SETTLE_S = 2.0
SCRAPES, SCRAPE_PAUSE_S = 20, 0.5
PLACED_AT_ONCE, CUSTOMERS = 32, 100
# What a loop of requests answers in its time.
BATCH = 5000


async def run(setup: SwarmSetup, report: LoadReport) -> None:
    """Connect, wait, and look."""
    options = setup.options
    if options.orders:
        await _place(setup, options.orders)
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
    await _scrapes(setup, report)
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


async def _place(setup: SwarmSetup, count: int) -> None:
    zone = await setup.open_zone("open")
    customers = await setup.mint("customer", CUSTOMERS)
    body = orjson.dumps(order_body(zone.products))
    jobs = [
        request_bytes(
            "POST", "/api/v2/orders", token=customers[n % CUSTOMERS].token, body=body, key=setup.key()
        )
        for n in range(count)
    ]
    for at in range(0, count, BATCH):
        async with open_wires([setup.server.url], PLACED_AT_ONCE) as wires:
            answers = await RestLoop(wires, jobs[at : at + BATCH]).run()
        if answers.good != len(jobs[at : at + BATCH]):
            raise RuntimeError("an order was not created")


async def _scrapes(setup: SwarmSetup, report: LoadReport) -> None:
    """Scrapes as Prometheus makes them: their time and size, and how late the loop was meanwhile."""
    before, text = await setup.scrape(), b""
    headers = {"Accept-Encoding": "gzip", "Accept": "application/openmetrics-text; version=1.0.0"}
    for _ in range(SCRAPES):
        began_s = perf_counter()
        async with setup.http.get(setup.server.ops_url + "/metrics", headers=headers) as response:
            text = await response.read()
        report.done("scrape", perf_counter() - began_s)
        await asyncio.sleep(SCRAPE_PAUSE_S)
    after = await setup.scrape()
    report.facts["scrape_bytes"] = len(text)
    report.facts["scrape_gzip_bytes"] = len(gzip.compress(text, 6))
    report.facts["actors"] = int(sum(v for k, v in after.items() if k.startswith("mall_actors_active")))
    report.facts |= {f"scraped_{name}": value for name, value in lag_facts(before, after).items()}
