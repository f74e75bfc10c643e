"""One run of the demo: open the mall, run it, close it, audit it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from loadtests.demo.audit_reads import compare_positions, conclude, read_orders
from loadtests.demo.customers import Customers
from loadtests.demo.driver import COMMAND_S, DemoDriver
from loadtests.demo.flaky_phone import FlakyPhone
from loadtests.demo.ledger import ASSIGNED, PICKED_UP, OrderLedger
from loadtests.demo.plan import TownPlan, wishes
from loadtests.demo.run_clock import RunClock, wait_or
from loadtests.demo.setup import DemoSetup
from loadtests.demo.world import SPEEDUP
from loadtests.kit.client import open_http
from loadtests.kit.phone_connection import PhoneConnection
from loadtests.kit.report import LoadReport
from loadtests.kit.server import ServerProcess
from loadtests.kit.waiting import until

# What is carried when the mall closes may be delivered for CLOSING_S; then drivers end, which may take as long
# as one command and a step.
CLOSING_S, HOME_S = 18.0, 2 * COMMAND_S + 5.0
# Connections of customers and auditors.
CALLERS = 60

Watch = Callable[[OrderLedger, list[DemoDriver], RunClock], Coroutine[Any, Any, None]]


async def run_demo(
    server: ServerProcess, plan: TownPlan, minutes: float | None, clock: RunClock, watch: Watch
) -> LoadReport:
    """Against a server that runs; until the minutes are over or the mall closes otherwise."""
    async with open_http(2 * len(plan.drivers) + CALLERS) as http:
        setup = DemoSetup(server, http)
        await setup.build(plan)
        report = LoadReport(f"Demo: seed {plan.seed}, {len(plan.drivers)} drivers, speed-up {SPEEDUP:g}")
        ledger = OrderLedger(report)
        drivers = enlist(plan, setup, ledger, clock)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(ledger, drivers, clock), name="watch")
            try:
                await _live(plan, setup, ledger, drivers, minutes, clock)
                report.took_s = ledger.elapsed_s
                findings = await read_orders(setup.admin, ledger)
                conclude(ledger, drivers, findings, await compare_positions(drivers, ledger))
            finally:
                watching.cancel()
    return report


def enlist(plan: TownPlan, setup: DemoSetup, ledger: OrderLedger, clock: RunClock) -> list[DemoDriver]:
    """The drivers, each with its phone."""
    drivers = []
    for person, (driver_id, mall) in zip(plan.drivers, setup.drivers, strict=True):
        phone = FlakyPhone(mall)
        link = PhoneConnection(phone, f"{setup.tag}-{driver_id}", ledger.counts)
        drivers.append(DemoDriver(driver_id, person, link, phone, ledger, clock))
    return drivers


async def _live(
    plan: TownPlan,
    setup: DemoSetup,
    ledger: OrderLedger,
    drivers: list[DemoDriver],
    minutes: float | None,
    clock: RunClock,
) -> None:
    """Until all users have ended."""
    customers = Customers(plan, setup, ledger, clock)
    async with asyncio.TaskGroup() as tasks:
        clock.opened.set()
        working = [tasks.create_task(driver.run(), name=driver.id) for driver in drivers]
        shopping = tasks.create_task(customers.run(wishes(plan)), name="customers")
        await wait_or(clock.closing, None if minutes is None else minutes * 60)
        clock.closing.set()
        ledger.say("the mall closes")
        await shopping
        try:
            await customers.cancel_waiting()
        except aiohttp.ClientError as error:
            ledger.fail("closing", type(error).__name__)
        await until(lambda: not ledger.states[ASSIGNED] + ledger.states[PICKED_UP], CLOSING_S)
        clock.over.set()
        ledger.say("the run is over; the records are compared")
        await asyncio.wait(working, timeout=HOME_S)
        for task in working:
            if not task.done():
                ledger.fail("going home", f"{task.get_name()} has not")
                task.cancel()
