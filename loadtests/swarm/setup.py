"""What a run sets up: a server, zones with stores, and users with tokens."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from loadtests.kit.client import Mall, open_http
from loadtests.kit.fixtures import MintedUser, Zone
from loadtests.kit.metrics import scrape
from loadtests.kit.process_usage import ProcessMeter
from loadtests.kit.server import ServerProcess, server_at
from loadtests.kit.setup import Setup, mint_on, unique_tag
from loadtests.kit.tool import option
from loadtests.swarm.phone import PhoneGroup, SwarmPhone

DRIVERS_PER_ZONE = 500
# Two processes that mint at once: there are no more processors for it.
MINTING = 2


@dataclass(frozen=True, slots=True)
class SwarmOptions:
    """What the command line said."""

    scenario: str
    sockets: int = option(10_000, "drivers' sockets")
    orders: int = option(0, "idle: living orders beside the sockets")
    users: int = option(10_000, "users: drivers and customers")
    seconds: float = option(60.0, "how long, after the ramp")
    orders_per_s: float = option(20.0, "offers: orders")
    mode: str = option("waves", "offers: mode of the zones")
    spread_s: float = option(30.0, "storm, users: ramp")
    missed: float = option(0.0, "storm: share that missed entries")
    factor: float = option(1.0, "users: how many times as busy")
    rounds: int = option(5, "deaf: alternations")
    url: str | None = option(None, "a running server; default: one of our own", str)
    ops_url: str | None = option(None, "its operators' port, with --url", str)
    pid: int | None = option(None, "its process on this machine, with --url: memory and CPU", int)
    limits: bool = option(True, "no limits on time and memory, for tests")
    seed: int = option(1)
    json: Path | None = None


class SwarmSetup(Setup):
    """What every scenario works with.

    Attributes:
        pid: the server's process; None where it is not known.
    """

    def __init__(
        self, options: SwarmOptions, server: ServerProcess, pid: int | None, http: aiohttp.ClientSession
    ) -> None:
        super().__init__(Mall(http, server.url), mint_on(server), unique_tag("swarm"), options.seed)
        self.options = options
        self.server = server
        self.pid = pid
        self.http = http
        self.meter = ProcessMeter(pid)

    async def open_zones(self, drivers: int, mode: str, each: int = DRIVERS_PER_ZONE) -> list[Zone]:
        """Zones for `drivers` drivers."""
        return [await self.open_zone(mode) for _ in range(max(1, -(-drivers // each)))]

    async def phones(self, group: PhoneGroup, zones: Sequence[Zone], count: int) -> list[SwarmPhone]:
        """`count` phones, spread evenly over the zones; one call of `mint` for each zone."""
        shares = [count // len(zones) + (index < count % len(zones)) for index in range(len(zones))]
        gate = asyncio.Semaphore(MINTING)

        async def one(zone: Zone, share: int) -> list[MintedUser]:
            async with gate:
                return await self.mint("driver", share, zone)

        async with asyncio.TaskGroup() as tasks:
            minting = [
                tasks.create_task(one(z, share)) for z, share in zip(zones, shares, strict=True) if share
            ]
        return [SwarmPhone(group, p, zone) for zone, task in enumerate(minting) for p in task.result()]

    async def scrape(self) -> dict[str, float]:
        """The server's metrics of this moment."""
        return await scrape(self.http, self.server.ops_url)


def raise_files() -> int:
    """As many open files as the system allows, for this process and the server it starts; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@asynccontextmanager
async def open_setup(options: SwarmOptions) -> AsyncIterator[SwarmSetup]:
    """A server and an administrator; zones and users are the scenario's."""
    async with server_at(options.url, "swarm") as server, open_http(20) as http:
        if options.ops_url is not None:
            server.ops_url = options.ops_url.rstrip("/")
        pid = options.pid if options.url is not None else server.pid
        setup = SwarmSetup(options, server, pid, http)
        await setup.enroll_admin()
        yield setup
