"""Hundreds of drivers on four instances want one order, over and over.

Every driver has a connection of its own, spread evenly over the instances; for each order all accept at once, in
another sequence each time. Exactly one may win, all others must be told that it is taken, and the database must
name the winner. A driver that has won delivers, so that no driver ever runs full.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import perf_counter

import orjson

from loadtests.fleet.setup import FleetSetup
from loadtests.kit.fixtures import MintedUser, number_of
from loadtests.kit.keep_alive import KeepAliveClient
from loadtests.kit.protocol import LOSING
from loadtests.kit.report import Limit
from loadtests.kit.wire import request_bytes

INSTANCES = 4
RIVALS = 500
ORDERS = 25
ANSWER, DELIVERY = "acceptance", "delivery"


async def run(setup: FleetSetup) -> None:
    """Order after order."""
    count = setup.options.instances or INSTANCES
    await setup.cluster.start(count)
    zone = await setup.open_zone("open")
    drivers = await setup.mint("driver", setup.options.drivers or RIVALS, zone)
    await setup.go_online(drivers)
    urls = setup.cluster.urls
    rivals = [(driver, KeepAliveClient([urls[index % len(urls)]])) for index, driver in enumerate(drivers)]
    await _connect(setup, rivals)
    winners: Counter[int] = Counter()
    told: Counter[str] = Counter()
    wins: Counter[str] = Counter()
    orders = setup.options.orders or ORDERS
    for _ in range(orders):
        [order] = await setup.place(zone, 1)
        won = await _race(setup, order, rivals, told)
        winners[len(won)] += 1
        for driver, caller in won:
            wins[caller.url] += 1
            await _settle(setup, order, driver, caller)
    for _, caller in rivals:
        caller.close()
    facts = setup.report.facts
    facts["drivers"], facts["orders"], facts["told"] = len(drivers), orders, dict(told)
    facts["won at each instance"] = [wins[url] for url in urls]
    facts["p99 ms of all answers"] = round(setup.report.ms([ANSWER], 0.99), 1)
    setup.report.limit(Limit("orders with exactly one winner", winners[1], at_least=orders), timing=False)
    setup.report.limit(
        Limit("answers that are no legal refusal, and wrong rows", setup.report.errors, at_most=0),
        timing=False,
    )


async def _connect(setup: FleetSetup, rivals: Sequence[tuple[MintedUser, KeepAliveClient]]) -> None:
    """Open every connection, and have every token verified where it will be shown."""
    for driver, caller in rivals:
        answer = await caller.call(request_bytes("GET", "/api/v2/drivers/me", token=driver.token))
        if not answer.good:
            setup.report.failed("connect", answer.error)


async def _race(
    setup: FleetSetup, order: str, rivals: Sequence[tuple[MintedUser, KeepAliveClient]], told: Counter[str]
) -> list[tuple[MintedUser, KeepAliveClient]]:
    """All accept; returns those who were told that they won."""
    won: list[tuple[MintedUser, KeepAliveClient]] = []
    requests = [(rival, setup.acceptance(order, rival[0])) for rival in rivals]
    setup.chance.shuffle(requests)

    async def accept(rival: tuple[MintedUser, KeepAliveClient], request: bytes) -> None:
        began = perf_counter()
        answer = await rival[1].call(request)
        setup.report.done(ANSWER, perf_counter() - began)
        code = orjson.loads(answer.body)["result"] if answer.good else answer.code or answer.error
        told[code] += 1
        if code == "won":
            won.append(rival)
        elif code not in LOSING:
            setup.report.failed(ANSWER, code)

    async with asyncio.TaskGroup() as tasks:
        for rival, request in requests:
            tasks.create_task(accept(rival, request))
    return won


async def _settle(setup: FleetSetup, order: str, driver: MintedUser, caller: KeepAliveClient) -> None:
    """The row names the winner; then it delivers."""
    rows = await setup.sql.fetch("SELECT driver_id FROM assignment WHERE order_id = $1", number_of(order))
    if [row["driver_id"] for row in rows] != [driver.number]:
        setup.report.failed("rows", f"{order}: {[row['driver_id'] for row in rows]}")
    for step in ("pickup", "delivery"):
        path = f"/api/v2/orders/{order}/{step}"
        request = request_bytes("POST", path, token=driver.token, body=b"{}", key=setup.key())
        await caller.timed(setup.report, DELIVERY, request)
