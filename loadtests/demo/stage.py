"""One run of the demo: open the mall, let it live, close it, look into the books."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from loadtests.client import open_http
from loadtests.demo.books import compare_positions, conclude, read_orders
from loadtests.demo.customers import Customers
from loadtests.demo.driver import COMMAND_S, Driver
from loadtests.demo.handset import Handset
from loadtests.demo.hours import Hours, settled, wait_or
from loadtests.demo.ledger import ASSIGNED, PICKED_UP, Ledger
from loadtests.demo.plan import Plan, wishes
from loadtests.demo.site import Site, open_site
from loadtests.demo.world import SPEEDUP
from loadtests.replay_line import Line
from loadtests.server import ServerProcess
from loadtests.verdict import Report

# What is carried when the mall closes may be brought for so long; then everybody goes home, and may take
# as long as one command and a step.
CLOSING_S, HOME_S = 18.0, 2 * COMMAND_S + 5.0
# Connections of customers and auditors.
CALLERS = 60

Watch = Callable[[Ledger, list[Driver], Hours], Coroutine[Any, Any, None]]


async def run_demo(
    server: ServerProcess, plan: Plan, minutes: float | None, hours: Hours, watch: Watch
) -> Report:
    """Against a server that runs; until the minutes are over or the mall closes otherwise."""
    async with open_http(2 * len(plan.drivers) + CALLERS) as http:
        site = await open_site(server, http, plan)
        report = Report(f"Demo: seed {plan.seed}, {len(plan.drivers)} drivers, speed-up {SPEEDUP:g}")
        ledger = Ledger(report)
        drivers = enlist(plan, site, ledger, hours)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(ledger, drivers, hours), name="watch")
            try:
                await _live(plan, site, ledger, drivers, minutes, hours)
                report.took_s = ledger.elapsed_s
                findings = await read_orders(site.admin, ledger)
                conclude(ledger, drivers, findings, await compare_positions(drivers, ledger))
            finally:
                watching.cancel()
    return report


def enlist(plan: Plan, site: Site, ledger: Ledger, hours: Hours) -> list[Driver]:
    """The drivers, each with its phone."""
    drivers = []
    for person, (driver_id, mall) in zip(plan.drivers, site.drivers, strict=True):
        handset = Handset(mall)
        line = Line(handset, f"{site.run}-{driver_id}", ledger.counts)
        drivers.append(Driver(driver_id, person, line, handset, ledger, hours))
    return drivers


async def _live(
    plan: Plan, site: Site, ledger: Ledger, drivers: list[Driver], minutes: float | None, hours: Hours
) -> None:
    """Until all people have gone home."""
    customers = Customers(plan, site, ledger, hours)
    async with asyncio.TaskGroup() as tasks:
        hours.opened.set()
        working = [tasks.create_task(driver.run(), name=driver.id) for driver in drivers]
        shopping = tasks.create_task(customers.run(wishes(plan)), name="customers")
        await wait_or(hours.closing, None if minutes is None else minutes * 60)
        hours.closing.set()
        ledger.say("the mall closes")
        await shopping
        try:
            await customers.cancel_waiting()
        except aiohttp.ClientError as error:
            ledger.fail("closing", type(error).__name__)
        await settled(lambda: not ledger.states[ASSIGNED] + ledger.states[PICKED_UP], CLOSING_S)
        hours.over.set()
        ledger.say("everybody goes home; the books are compared")
        await asyncio.wait(working, timeout=HOME_S)
        for task in working:
            if not task.done():
                ledger.fail("going home", f"{task.get_name()} has not")
                task.cancel()
