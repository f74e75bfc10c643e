"""Sets a mall up for a play: zones with a store and products, customers and drivers with tokens."""

from __future__ import annotations

import os
import secrets

from loadtests.client import Mall, open_http
from loadtests.rush.play import Part, Play
from loadtests.rush.profiles import Profile
from loadtests.scene import Zone, mint_people, open_zone
from loadtests.server import ServerProcess


async def set_stage(server: ServerProcess, profile: Profile) -> Play:
    """A new part of the mall, used by this run alone."""
    tag = f"rush-{os.getpid()}-{secrets.token_hex(3)}"
    async with open_http() as http:
        owner = await mint_people(server, "admin", 1, f"{tag}-admin")
        admin = Mall(http, server.url, owner[0].token)
        zones = [
            await open_zone(admin, f"{tag} {number}", mode, stock=profile.stock)
            for number, mode in enumerate(profile.modes, 1)
        ]
    customers = await mint_people(server, "customer", profile.customers, f"{tag}-customer")
    drivers = [
        await _drivers(server, profile, zone, index, f"{tag}-driver") for index, zone in enumerate(zones)
    ]
    return Play(
        server.url,
        owner[0].token,
        profile,
        tuple(Part(person.token, zones[number % len(zones)].id) for number, person in enumerate(customers)),
        tuple(part for group in drivers for part in group),
        tuple(product for zone in zones for product in zone.products),
    )


async def _drivers(
    server: ServerProcess, profile: Profile, zone: Zone, index: int, prefix: str
) -> list[Part]:
    """This zone's share of the drivers."""
    count = len(range(index, profile.drivers, len(profile.modes)))
    if count == 0:
        return []
    people = await mint_people(
        server, "driver", count, f"{prefix}-{index}", zone=zone, capacity=profile.capacity
    )
    return [Part(person.token, zone.id) for person in people]
