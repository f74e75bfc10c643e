"""Customers as their app has them: they look around, order now and then, and watch the order come.

Times are from apps, not from benchmarks: a person reads a page for some seconds. `--factor` divides them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import orjson

from loadtests.kit.fixtures import Zone, order_body
from loadtests.kit.report import LoadReport
from loadtests.swarm.rest import RestClient


@dataclass(frozen=True, slots=True)
class CustomerAction:
    """Something a customer does: how often out of a thousand, and the request."""

    name: str
    share: int
    path: str


# Between two acts, in seconds: from and to; a page is read for ten seconds on average.
THINK_S = (5.0, 15.0)
# While an order is on its way: the time between two looks at it, and the number of looks at most.
TRACK_S = (8.0, 12.0)
TRACKED_MAX = 20
# So a customer orders about every 400 s, beside the time that it watches an order.
ACTS = (
    CustomerAction("stores", 250, "/api/v2/stores?zone_id={zone}"),
    CustomerAction("products", 400, "/api/v2/products?store_id={store}"),
    CustomerAction("product", 225, "/api/v2/products/{product}"),
    CustomerAction("own orders", 100, "/api/v2/orders?limit=10"),
    CustomerAction("order", 25, "/api/v2/orders"),
)
TRACK = "track"
OPERATIONS = (*(act.name for act in ACTS), TRACK)


@dataclass(frozen=True, slots=True)
class CustomerContext:
    """What all customers share."""

    report: LoadReport
    chance: Random
    factor: float

    def think_s(self, span: tuple[float, float]) -> float:
        """A time out of the span, shortened by the factor."""
        return self.chance.uniform(*span) / self.factor


class SwarmCustomer:
    """One of them, with a zone of its own."""

    __slots__ = ("caller", "context", "store", "zone")

    def __init__(self, context: CustomerContext, caller: RestClient, zone: Zone, store: str) -> None:
        self.context = context
        self.caller = caller
        self.zone = zone
        self.store = store

    async def live(self, after_s: float) -> None:
        """Open the app after a while and use it, until cancelled."""
        await asyncio.sleep(after_s)
        shares = [act.share for act in ACTS]
        try:
            while True:
                [act] = self.context.chance.choices(ACTS, shares)
                if act.name == "order":
                    await self._order()
                else:
                    await self._look(act)
                await asyncio.sleep(self.context.think_s(THINK_S))
        finally:
            self.caller.close()

    async def _look(self, act: CustomerAction) -> None:
        product = self.context.chance.choice(self.zone.products)
        path = act.path.format(zone=self.zone.id, store=self.store, product=product)
        await self.caller.send(self.context.report, act.name, "GET", path)

    async def _order(self) -> None:
        """Place an order and watch it until it is there."""
        chance = self.context.chance
        body = orjson.dumps(order_body(self.zone.products, chance.randint(1, 3)))
        key = f"swarm-{chance.getrandbits(96):024x}"
        made = await self.caller.send(self.context.report, "order", "POST", "/api/v2/orders", body, key)
        if not made:
            return
        path = f"/api/v2/orders/{orjson.loads(made)['id']}"
        for _ in range(TRACKED_MAX):
            await asyncio.sleep(self.context.think_s(TRACK_S))
            seen = await self.caller.send(self.context.report, TRACK, "GET", path)
            if not seen or orjson.loads(seen)["status"] == "delivered":
                return


def customers(
    context: CustomerContext, callers: Sequence[RestClient], zones: Sequence[Zone], stores: Sequence[str]
) -> list[SwarmCustomer]:
    """One customer for each caller, evenly over the zones."""
    return [
        SwarmCustomer(context, caller, zones[index % len(zones)], stores[index % len(zones)])
        for index, caller in enumerate(callers)
    ]
