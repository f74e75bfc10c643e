"""The processes of a run: Postgres and Valkey of its own, and instances side by side or under a supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
import orjson

from loadtests.fleet.ownership import HeldShards, held_shards_of, is_balanced, read_statuses
from loadtests.kit.client import open_http
from loadtests.kit.process_usage import cpu_s, family_cpu_s
from loadtests.kit.server import ServerProcess, free_run
from loadtests.kit.stores import Stores, open_stores

# A member that leaves or joins has moved its shards long before, or something is wrong.
BALANCE_S = 60.0
LOOK_S = 0.1
# An instance promises to be gone after 15 s; its supervisor waits 20.
STOP_S = 25.0


class SupervisedServer(ServerProcess):
    """`run.py serve --instances N`: one public port, one operators' port, and behind it one for each instance and
    for the spare one of rolling restarts.
    """

    def __init__(self, folder: Path, count: int, environ: dict[str, str]) -> None:
        base = free_run(count + 2)
        super().__init__(folder, {**environ, "MALL_OPS_PORT": str(base)}, ("--instances", str(count)))
        self.count = count
        self.ops_urls = [f"http://127.0.0.1:{base + number}" for number in range(1, count + 2)]

    def hang_up(self) -> None:
        """Have all instances restarted, one after the other."""
        os.kill(self.pid, signal.SIGHUP)


@dataclass(slots=True)
class LocalCluster:
    """The databases that all instances share, and the instances that were started.

    Attributes:
        environ: settings that all instances have.
        members: instances side by side, by name, whether they run or not.
    """

    folder: Path
    http: aiohttp.ClientSession
    stores: Stores
    environ: dict[str, str]
    members: dict[str, ServerProcess] = field(default_factory=dict)
    supervisor: SupervisedServer | None = None

    @property
    def running(self) -> list[ServerProcess]:
        return [member for member in self.members.values() if member.running]

    @property
    def urls(self) -> list[str]:
        """The public addresses of those who run."""
        return [self.supervisor.url] if self.supervisor else [member.url for member in self.running]

    def cpu_s(self) -> tuple[float, float]:
        """Processor seconds so far: of those who run, and of Postgres."""
        servers = sum(cpu_s(member.pid) for member in self.running)
        return servers, family_cpu_s(self.stores.postgres.pid or 0)

    async def start(self, count: int) -> None:
        """Have `count` instances side by side, and wait until each serves its share.

        Raises:
            RuntimeError: one does not start.
        """
        for number in range(1, count + 1):
            name = f"mall-{number}"
            if name not in self.members:
                environ = {**self.environ, "MALL_INSTANCE": name}
                self.members[name] = ServerProcess(self.folder / name, environ)
        waiting = [member for member in list(self.members.values())[:count] if not member.running]
        if waiting and not self.running:
            # The first one alone: it makes the schema.
            await waiting.pop(0).start()
        async with asyncio.TaskGroup() as tasks:
            for member in waiting:
                tasks.create_task(member.start())
        await self.balanced(count)

    async def supervise(self, count: int) -> SupervisedServer:
        """Start `count` instances behind one port."""
        self.supervisor = SupervisedServer(self.folder / "supervised", count, self.environ)
        await self.supervisor.start()
        await self.balanced(count)
        return self.supervisor

    async def statuses(self) -> list[dict[str, Any]]:
        """The status pages of those who answer."""
        urls = [member.ops_url for member in self.running]
        return await read_statuses(self.http, self.supervisor.ops_urls if self.supervisor else urls)

    async def holdings(self) -> list[HeldShards]:
        """Who serves what, as the instances say."""
        return [held_shards_of(status) for status in await self.statuses()]

    async def balanced(self, count: int) -> float:
        """Wait until `count` instances serve all shards in equal parts; returns the seconds that took.

        Raises:
            RuntimeError: it did not come to that.
        """
        began = perf_counter()
        held: list[HeldShards] = []
        while perf_counter() - began < BALANCE_S:
            held = await self.holdings()
            if is_balanced(held, count):
                return perf_counter() - began
            await asyncio.sleep(LOOK_S)
        raise RuntimeError(f"not balanced: {[(h.instance, len(h.epochs)) for h in held]}")

    def events(self) -> Counter[str]:
        """What the instances have logged as a warning or worse, by event."""
        found: Counter[str] = Counter()
        for path in sorted(self.folder.glob("*/server.log")):
            for line in path.read_text(errors="replace").splitlines():
                if line.startswith("{"):
                    with suppress(orjson.JSONDecodeError):
                        found[str(orjson.loads(line).get("event"))] += 1
        return found

    async def stop(self) -> list[str]:
        """Stop all instances at once; returns the folders of those that had to be killed."""
        stopping = [*self.running, *([self.supervisor] if self.supervisor else [])]
        async with asyncio.TaskGroup() as tasks:
            for member in stopping:
                tasks.create_task(member.stop())
            waiting = [tasks.create_task(self._end(member)) for member in stopping]
        return [name for task in waiting if (name := task.result())]

    async def _end(self, member: ServerProcess) -> str:
        """Wait for its end; its folder's name if that does not come."""
        for _ in range(int(STOP_S / LOOK_S)):
            if not member.running:
                return ""
            await asyncio.sleep(LOOK_S)
        await member.kill()
        return member.data_dir.name


@asynccontextmanager
async def open_cluster(drain_s: float) -> AsyncIterator[LocalCluster]:
    """Postgres and Valkey, without instances yet; everything ends with the block.

    Raises:
        EmbeddedError: one of the servers cannot run.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mall-fleet-")))
        stores = stack.enter_context(open_stores(folder))
        http = await stack.enter_async_context(open_http(20))
        environ = stores.environ | {"MALL_SAMPLE": "off", "MALL_DRAIN_S": f"{drain_s:g}"}
        cluster = LocalCluster(folder, http, stores, environ)
        try:
            yield cluster
        finally:
            await cluster.stop()
