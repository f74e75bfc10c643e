"""The stage of a run: a server, zones with stores, and people with tokens."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import aiohttp

from loadtests.client import Mall, open_http
from loadtests.scene import Person, Zone, mint_people, open_zone
from loadtests.server import ServerProcess, open_server
from loadtests.swarm.gauges import FrameMeter
from loadtests.swarm.line import Crew, Line
from loadtests.swarm.scrape import scrape
from loadtests.verdict import Limit, Report

DRIVERS_PER_ZONE = 500
# Two processes that mint at once: there are no more processors for it.
MINTING = 2


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said."""

    scenario: str
    sockets: int = 10_000
    users: int = 10_000
    seconds: float = 60.0
    orders_per_s: float = 20.0
    spread_s: float = 30.0
    missed: float = 0.0
    factor: float = 1.0
    rounds: int = 5
    url: str | None = None
    ops_url: str | None = None
    pid: int | None = None
    json: Path | None = None
    limits: bool = True
    seed: int = 1


@dataclass(slots=True)
class Stage:
    """What every scenario works with."""

    options: Options
    server: ServerProcess
    pid: int | None
    http: aiohttp.ClientSession
    admin: Mall
    tag: str
    chance: Random
    meter: FrameMeter
    zones: list[Zone] = field(default_factory=list)
    _groups: itertools.count[int] = field(default_factory=itertools.count)

    async def open_zones(self, drivers: int, mode: str, each: int = DRIVERS_PER_ZONE) -> list[Zone]:
        """Zones for so many drivers."""
        count = max(1, -(-drivers // each))
        opened = [await open_zone(self.admin, f"{self.tag}-{next(self._groups)}", mode) for _ in range(count)]
        self.zones += opened
        return opened

    async def mint(self, role: str, count: int, zone: Zone | None = None) -> list[Person]:
        """People of one role, by one call."""
        prefix = f"{self.tag}-{role}-{next(self._groups)}"
        return await mint_people(self.server, role, count, prefix, zone=zone)

    async def lines(self, crew: Crew, zones: Sequence[Zone], count: int) -> list[Line]:
        """So many phones, spread evenly over the zones; one call of `mint` for each zone."""
        shares = [count // len(zones) + (index < count % len(zones)) for index in range(len(zones))]
        gate = asyncio.Semaphore(MINTING)

        async def one(zone: Zone, share: int) -> list[Person]:
            async with gate:
                return await self.mint("driver", share, zone)

        async with asyncio.TaskGroup() as tasks:
            minting = [
                tasks.create_task(one(z, share)) for z, share in zip(zones, shares, strict=True) if share
            ]
        return [Line(crew, p, zone) for zone, task in enumerate(minting) for p in task.result()]

    async def scrape(self) -> dict[str, float]:
        """The server's metrics of this moment."""
        return await scrape(self.http, self.server.ops_url)

    def limit(self, report: Report, limit: Limit, *, timing: bool = True) -> None:
        """Hold the report to a limit; those on time and memory are left out with --no-limits."""
        if self.options.limits or not timing:
            report.limits.append(limit)


def raise_files() -> int:
    """As many open files as the system allows, for this process and the server it starts; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@asynccontextmanager
async def _server(options: Options) -> AsyncIterator[tuple[ServerProcess, int | None]]:
    if options.url is not None:
        server = ServerProcess(Path(os.environ.get("MALL_DATA_DIR") or ".mall"))
        server.url = options.url.rstrip("/")
        server.ops_url = (options.ops_url or server.ops_url).rstrip("/")
        yield server, options.pid
        return
    with tempfile.TemporaryDirectory(prefix="mall-swarm-") as folder:
        # Empty addresses: embedded servers, whatever this environment points at.
        async with open_server(Path(folder), {"DATABASE_URL": "", "REDIS_URL": ""}) as server:
            yield server, server.pid


@asynccontextmanager
async def open_stage(options: Options) -> AsyncIterator[Stage]:
    """A server and an administrator; zones and people are the scenario's."""
    chance = Random(options.seed)
    tag = f"swarm-{os.getpid()}-{chance.getrandbits(24):06x}"
    async with AsyncExitStack() as stack:
        server, pid = await stack.enter_async_context(_server(options))
        http = await stack.enter_async_context(open_http(20))
        [admin] = await mint_people(server, "admin", 1, f"{tag}-admin")
        yield Stage(
            options, server, pid, http, Mall(http, server.url, admin.token), tag, chance, FrameMeter(pid)
        )
