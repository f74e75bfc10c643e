"""Hundreds of drivers on four instances want one order, over and over.

Every driver has a connection of its own, spread evenly over the instances; for each order all accept at once, in
another sequence each time. Exactly one may win, all others must be told that it is taken, and the database must
name the winner. A driver that has won delivers, so that nobody ever runs full.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import perf_counter

import orjson

from loadtests.fleet.connection import Caller
from loadtests.fleet.stage import Stage
from loadtests.race import LOSING
from loadtests.scene import Person, number_of
from loadtests.swarm.rest import problem_code
from loadtests.verdict import Limit
from loadtests.wire import request_bytes

INSTANCES = 4
RIVALS = 500
ORDERS = 25
ANSWER, DELIVERY = "acceptance", "delivery"


async def run(stage: Stage) -> None:
    """Order after order."""
    count = stage.options.instances or INSTANCES
    await stage.fleet.start(count)
    zone = await stage.open_zone("open")
    drivers = await stage.mint("driver", stage.options.drivers or RIVALS, zone)
    await stage.go_online(drivers)
    urls = stage.fleet.urls
    rivals = [(driver, Caller([urls[index % len(urls)]])) for index, driver in enumerate(drivers)]
    await _connect(stage, rivals)
    winners: Counter[int] = Counter()
    told: Counter[str] = Counter()
    wins: Counter[str] = Counter()
    orders = stage.options.orders or ORDERS
    for _ in range(orders):
        [order] = await stage.place(zone, 1)
        won = await _race(stage, order, rivals, told)
        winners[len(won)] += 1
        for driver, caller in won:
            wins[caller.url] += 1
            await _settle(stage, order, driver, caller)
    for _, caller in rivals:
        caller.close()
    facts = stage.report.facts
    facts["drivers"], facts["orders"], facts["told"] = len(drivers), orders, dict(told)
    facts["won at each instance"] = [wins[url] for url in urls]
    facts["p99 ms of all answers"] = round(stage.report.ms([ANSWER], 0.99), 1)
    stage.limit(Limit("orders with exactly one winner", winners[1], at_least=orders), timing=False)
    wrong = sum(tally.failed for tally in stage.report.tallies.values())
    stage.limit(Limit("answers that are no legal refusal, and wrong rows", wrong, at_most=0), timing=False)


async def _connect(stage: Stage, rivals: Sequence[tuple[Person, Caller]]) -> None:
    """Open every connection, and have every token verified where it will be shown."""
    for driver, caller in rivals:
        answer = await caller.call(request_bytes("GET", "/api/v2/drivers/me", token=driver.token))
        if not answer.good:
            stage.report.failed("connect", answer.error)


async def _race(
    stage: Stage, order: str, rivals: Sequence[tuple[Person, Caller]], told: Counter[str]
) -> list[tuple[Person, Caller]]:
    """All accept; returns those who were told that they won."""
    won: list[tuple[Person, Caller]] = []
    requests = [(rival, stage.acceptance(order, rival[0])) for rival in rivals]
    stage.chance.shuffle(requests)

    async def accept(rival: tuple[Person, Caller], request: bytes) -> None:
        began = perf_counter()
        answer = await rival[1].call(request)
        stage.report.done(ANSWER, perf_counter() - began)
        code = (
            orjson.loads(answer.body)["result"] if answer.good else problem_code(answer.body) or answer.error
        )
        told[code] += 1
        if code == "won":
            won.append(rival)
        elif code not in LOSING:
            stage.report.failed(ANSWER, code)

    async with asyncio.TaskGroup() as tasks:
        for rival, request in requests:
            tasks.create_task(accept(rival, request))
    return won


async def _settle(stage: Stage, order: str, driver: Person, caller: Caller) -> None:
    """The row names the winner; then it delivers."""
    rows = await stage.sql.fetch("SELECT driver_id FROM assignment WHERE order_id = $1", number_of(order))
    if [row["driver_id"] for row in rows] != [driver.number]:
        stage.report.failed("rows", f"{order}: {[row['driver_id'] for row in rows]}")
    for step in ("pickup", "delivery"):
        path = f"/api/v2/orders/{order}/{step}"
        request = request_bytes("POST", path, token=driver.token, body=b"{}", key=stage.key())
        await caller.timed(stage.report, DELIVERY, request)
