"""The end of a run: reads all orders over REST, asks for every driver's position, fills in the report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from loadtests.demo.audit import AuditFindings
from loadtests.demo.driver import DemoDriver
from loadtests.demo.ledger import DELIVERED, Note, OrderLedger
from loadtests.kit.client import ApiProblem, Closed, Mall, Phone
from loadtests.kit.report import Limit
from loadtests.kit.waiting import each, until

# How long one order's page and history may take; a phone that comes back, to be sent what it missed; and
# everything about one driver.
ORDER_S, CATCH_UP_S, DRIVER_S = 10.0, 5.0, 20.0
FINDINGS_SHOWN = 10
BROKEN = (Closed, aiohttp.ClientError, OSError, TimeoutError, ExceptionGroup)


async def read_orders(admin: Mall, ledger: OrderLedger) -> AuditFindings:
    """Look every acknowledged order up, and compare."""
    findings = AuditFindings()

    async def look(item: tuple[str, Note]) -> None:
        number, note = item
        try:
            async with asyncio.timeout(ORDER_S):
                order = await admin.persist("GET", f"/api/v2/orders/{number}")
                history = (await admin.persist("GET", f"/api/v2/orders/{number}/events?limit=1000"))["items"]
        except ApiProblem as refused:
            if refused.status != 404:
                ledger.fail("audit", str(refused))
                return
            order, history = None, []
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            ledger.fail("audit", type(error).__name__)
            return
        findings.examine(number, note, order, history)

    await each([item for item in ledger.orders.items() if item[1].customer is not None], look)
    return findings


async def compare_positions(drivers: Sequence[DemoDriver], ledger: OrderLedger) -> int:
    """How many positions the drivers are behind a fresh snapshot, after they have resumed once more."""
    behind = 0

    async def compare(driver: DemoDriver) -> None:
        nonlocal behind
        try:
            async with asyncio.timeout(DRIVER_S):
                behind += await _behind(driver)
        except BROKEN as error:
            ledger.fail("position", f"{driver.id}: {type(error).__name__}")

    await each(drivers, compare)
    return behind


async def _behind(driver: DemoDriver) -> int:
    """A second phone without a past is given a snapshot; the first must get to its position."""
    second = Phone(driver.phone.mall)
    async with second.connected():
        newest = int(second.welcome["seq"])
    position = driver.phone.position
    async with driver.phone.connected():
        await until(lambda: position.last >= newest, CATCH_UP_S)
    return max(0, newest - position.last)


def conclude(
    ledger: OrderLedger, drivers: Sequence[DemoDriver], findings: AuditFindings, behind: int
) -> None:
    """Facts and limits."""
    report, phones = ledger.report, [driver.phone for driver in drivers]
    ends = {state: count for state, count in sorted(ledger.states.items()) if count}
    report.facts |= {
        "orders": ends,
        "orders compared": f"{findings.compared} of {ledger.acknowledged}",
        "delivered": ledger.states[DELIVERED],
        "not ended": ledger.open,
        "driver feeds": {
            "entries": sum(phone.position.last for phone in phones),
            "resumed, each once for the audit": sum(phone.position.resumed for phone in phones),
            "snapshots": sum(phone.position.snapshots for phone in phones),
        },
        "what happened": dict(sorted(ledger.counts.items())),
    }
    if findings.all:
        report.facts["findings"] = findings.all[:FINDINGS_SHOWN]
    measured = {
        "double assignments": len(findings.doubled),
        "lost orders": len(findings.lost),
        "deliveries by another driver than the winner": len(findings.misdelivered),
        "feed gaps": sum(phone.position.gaps for phone in phones),
        "feed duplicates": sum(phone.position.repeats for phone in phones),
        "faults that phones saw": sum(len(phone.position.faults) for phone in phones),
        "positions behind a fresh snapshot": behind,
        "errors": report.errors,
    }
    report.limits += [Limit(name, value, at_most=0) for name, value in measured.items()]
