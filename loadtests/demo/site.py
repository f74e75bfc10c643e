"""Builds what was planned: a zone, stores and products over REST; people with tokens by `run.py mint`."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

import aiohttp

from loadtests.client import Mall
from loadtests.demo.plan import PRODUCTS, Plan, Store
from loadtests.demo.world import place_of
from loadtests.scene import Zone, add_product, mint_people, number_of
from loadtests.server import ServerProcess

# Offers that nobody answers, because their driver has lost the connection, soon go to others.
WAVE_SIZE, OFFER_TTL_S = 3, 4


@dataclass(frozen=True, slots=True)
class Site:
    """What was built, in the order of the plan.

    Attributes:
        run: begins names and keys; another one in every run, because a server remembers them.
        products: of each store, public ids in the order of PRODUCTS.
        drivers: (public id, caller).
    """

    run: str
    admin: Mall
    products: tuple[tuple[str, ...], ...]
    customers: tuple[Mall, ...]
    drivers: tuple[tuple[str, Mall], ...]


async def open_site(server: ServerProcess, http: aiohttp.ClientSession, plan: Plan) -> Site:
    """Build it all."""
    run = f"demo-{secrets.token_hex(4)}"
    nobody = Mall(http, server.url)
    [boss] = await mint_people(server, "admin", 1, f"{run}-admin")
    admin = nobody.as_(boss.token)
    made = await admin.do(
        "POST",
        "/api/v2/zones",
        {"name": run, "mode": "waves", "wave_size": WAVE_SIZE, "offer_ttl_s": OFFER_TTL_S},
    )
    zone = Zone(number_of(made["id"]), (), None)
    async with asyncio.TaskGroup() as tasks:
        stores = [tasks.create_task(_open_store(admin, zone, store)) for store in plan.stores]
        customers = tasks.create_task(mint_people(server, "customer", len(plan.customers), f"{run}-customer"))
        drivers = tasks.create_task(
            mint_people(server, "driver", len(plan.drivers), f"{run}-driver", zone=zone)
        )
    return Site(
        run,
        admin,
        tuple(store.result() for store in stores),
        tuple(nobody.as_(person.token) for person in customers.result()),
        tuple((f"drv_{person.number}", nobody.as_(person.token)) for person in drivers.result()),
    )


async def _open_store(admin: Mall, zone: Zone, store: Store) -> tuple[str, ...]:
    body = {
        "zone_id": zone.id,
        "name": store.name,
        "preparation_s": store.preparation_s,
        **place_of(store.at),
    }
    made = await admin.do("POST", "/api/v2/stores", body)
    return tuple([await add_product(admin, made["id"], f"{store.name}, {name}", None) for name in PRODUCTS])
