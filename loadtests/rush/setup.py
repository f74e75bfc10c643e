"""Sets a mall up for a run: zones with a store and products, customers and drivers with tokens."""

from __future__ import annotations

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ServerProcess
from loadtests.kit.setup import Setup, mint_on, unique_tag
from loadtests.rush.plan import Participant, RunPlan
from loadtests.rush.profiles import Profile


async def build_plan(server: ServerProcess, profile: Profile) -> RunPlan:
    """A new part of the mall, used by this run alone."""
    async with open_http() as http:
        setup = Setup(Mall(http, server.url), mint_on(server), unique_tag("rush"))
        owner = await setup.enroll_admin()
        zones = [await setup.open_zone(mode, stock=profile.stock) for mode in profile.modes]
        customers = await setup.mint("customer", profile.customers)
        drivers: list[Participant] = []
        for index, zone in enumerate(zones):
            if share := len(range(index, profile.drivers, len(zones))):
                minted = await setup.mint("driver", share, zone, profile.capacity)
                drivers += [Participant(user.token, zone.id) for user in minted]
    return RunPlan(
        server.url,
        owner.token,
        profile,
        tuple(Participant(user.token, zones[n % len(zones)].id) for n, user in enumerate(customers)),
        tuple(drivers),
        tuple(product for zone in zones for product in zone.products),
    )
