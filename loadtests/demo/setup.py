"""Builds what was planned: a zone, stores and products over REST; users with tokens by `run.py mint`."""

from __future__ import annotations

import asyncio

import aiohttp

from loadtests.demo.people import ZONE, name_of, outline
from loadtests.demo.plan import PRODUCTS, PlannedStore, TownPlan
from loadtests.demo.world import place_of
from loadtests.kit.client import Mall
from loadtests.kit.fixtures import MintedUser, Zone, add_product, number_of
from loadtests.kit.server import ServerProcess
from loadtests.kit.setup import Setup, mint_on, unique_tag

# Offers without an answer, because their driver has lost the connection, soon go to others.
WAVE_SIZE, OFFER_TTL_S = 3, 4


class DemoSetup(Setup):
    """What was built, in the order of the plan.

    Attributes:
        products: of each store, public ids in the order of PRODUCTS.
        customers: the server as each of them.
        drivers: (public id, the server as this driver).
    """

    def __init__(self, server: ServerProcess, http: aiohttp.ClientSession) -> None:
        super().__init__(Mall(http, server.url), mint_on(server), unique_tag("demo"))
        self.products: list[list[str]] = []
        self.customers: list[Mall] = []
        self.drivers: list[tuple[str, Mall]] = []

    async def build(self, plan: TownPlan) -> None:
        """All of it."""
        await self.enroll_admin()
        body = {
            "name": ZONE, "area": outline(), "mode": "waves", "wave_size": WAVE_SIZE, "offer_ttl_s": OFFER_TTL_S,
        }  # fmt: skip
        zone = Zone(number_of((await self.admin.do("POST", "/api/v2/zones", body))["id"]), (), None)
        async with asyncio.TaskGroup() as tasks:
            stores = [tasks.create_task(self._open_store(zone, store)) for store in plan.stores]
            customers = tasks.create_task(self.mint("customer", len(plan.customers)))
            drivers = tasks.create_task(self.mint("driver", len(plan.drivers), zone))
        self.products = [store.result() for store in stores]
        self.customers = [self.mall.as_(user.token) for user in customers.result()]
        await self._name(customers.result())
        await self._name(drivers.result())
        self.drivers = [(f"drv_{user.number}", self.mall.as_(user.token)) for user in drivers.result()]

    async def _name(self, users: list[MintedUser]) -> None:
        """Give them names that people have."""
        async with asyncio.TaskGroup() as tasks:
            for place, user in enumerate(users):
                body = {"name": name_of(place)}
                tasks.create_task(self.admin.persist("PATCH", f"/api/v2/users/usr_{user.number}", body))

    async def _open_store(self, zone: Zone, store: PlannedStore) -> list[str]:
        body = {"zone_id": zone.id, "name": store.name, "preparation_s": store.preparation_s}
        made = await self.admin.do("POST", "/api/v2/stores", {**body, **place_of(store.at)})
        names = [f"{store.name}, {name}" for name in PRODUCTS]
        return [await add_product(self.admin, made["id"], name, None) for name in names]
