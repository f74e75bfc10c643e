"""Customers: they place the planned orders, each under its key, and sometimes change their mind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from loadtests.demo.ledger import CANCELLED, OFFERED, WAITING, OrderLedger
from loadtests.demo.plan import TownPlan, Wish
from loadtests.demo.run_clock import RunClock, wait_or
from loadtests.demo.setup import DemoSetup
from loadtests.demo.world import place_of
from loadtests.kit.client import Mall
from loadtests.kit.waiting import each

# Customers stay away while this many orders are open for each driver: a queue that only grows shows nothing.
OPEN_PER_DRIVER = 4
# An outcome that is not known by then is an error, in seconds.
ANSWER_S = 20.0
CANCELLING = "cancel order"
PLACING = "place order"


class Customers:
    """All of them; `site.customers` are their callers, in the order of the plan."""

    def __init__(self, plan: TownPlan, setup: DemoSetup, ledger: OrderLedger, clock: RunClock) -> None:
        self._plan = plan
        self._setup = setup
        self._ledger = ledger
        self._clock = clock

    async def run(self, wishes: Iterable[Wish]) -> None:
        """Place one order after another until the mall closes; a wish in the queue is never waited for."""
        most = OPEN_PER_DRIVER * max(1, len(self._plan.drivers))
        under_way = asyncio.Semaphore(most)
        async with asyncio.TaskGroup() as tasks:
            for wish in wishes:
                if await wait_or(self._clock.closing, wish.after_s):
                    return
                if self._ledger.open >= most or under_way.locked():
                    self._ledger.counts["customers who stayed away"] += 1
                    continue
                await under_way.acquire()
                task = tasks.create_task(self._place(wish), name=f"order {wish.number}")
                task.add_done_callback(lambda _: under_way.release())

    async def _place(self, wish: Wish) -> None:
        sent_s = self._ledger.now()
        key = f"{self._setup.tag}-order-{wish.number}"
        answer = await self._ask(wish.customer, PLACING, "/api/v2/orders", self._body(wish), key)
        if answer is None:
            return
        order = answer["id"]
        self._ledger.report.done(PLACING, self._ledger.now() - sent_s)
        self._ledger.placed(order, wish.customer, sent_s)
        if wish.cancel_after_s is not None and not await wait_or(self._clock.closing, wish.cancel_after_s):
            await self._cancel(order, "changed my mind")

    def _body(self, wish: Wish) -> dict[str, Any]:
        products = self._setup.products[wish.store]
        items = [{"product_id": products[product], "quantity": count} for product, count in wish.lines]
        home = place_of(self._plan.customers[wish.customer].at)
        address = f"{wish.customer + 1} Demo Street"
        return {"items": items, "dropoff": {**home, "address": address}, "payment": "cash"}

    async def cancel_waiting(self) -> None:
        """The mall closes: orders that no driver has taken are cancelled."""
        notes = self._ledger.orders.items()
        waiting = [
            order for order, note in notes if note.state in (WAITING, OFFERED) and note.customer is not None
        ]
        await each(waiting, lambda order: self._cancel(order, "the mall has closed"))

    async def _cancel(self, order: str, reason: str) -> None:
        """It comes to nothing when the order is on its way already; that is no error."""
        customer = self._ledger.orders[order].customer
        assert customer is not None
        sent_s = self._ledger.now()
        key = f"{self._setup.tag}-cancel-{order}"
        path = f"/api/v2/orders/{order}/cancellation"
        answer = await self._ask(customer, CANCELLING, path, {"reason": reason}, key, "invalid_transition")
        if answer is None:
            self._ledger.counts["too late to cancel"] += 1
            return
        self._ledger.report.done(CANCELLING, self._ledger.now() - sent_s)
        self._ledger.reached(order, CANCELLED, f"by customer {customer + 1}")

    async def _ask(
        self, customer: int, operation: str, path: str, body: dict[str, Any], key: str, expected: str = ""
    ) -> dict[str, Any] | None:
        """An answer, or None; the one refusal that is expected is no error."""
        mall: Mall = self._setup.customers[customer]
        try:
            async with asyncio.timeout(ANSWER_S):
                status, answer = await mall.insist("POST", path, body, key=key)
        except TimeoutError:
            self._ledger.fail(operation, "no known outcome")
            return None
        if status < 400:
            return answer
        if answer.get("code") != expected:
            self._ledger.fail(operation, f"{status} {answer.get('code')}")
        return None
