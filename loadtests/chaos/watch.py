"""Owners of shards, as every instance says and as the database has it, twice a second.

An epoch of a shard belongs to one life of one instance for ever, and epochs only rise; a second claimant, or
a fall, is a broken promise whether or not anybody was harmed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg

from loadtests.chaos.instance import ProxiedInstance
from loadtests.faults.history import Violation
from loadtests.kit.stores import Connection

INTERVAL_S = 0.5
PATIENCE_S = 0.5
SHARDS = 256


@dataclass(slots=True)
class OwnershipWatch:
    """What was seen.

    Attributes:
        claims: the life that was seen with an epoch, by (shard, epoch).
        seen: the last word of each instance: its name, its epoch by shard.
    """

    instances: Sequence[ProxiedInstance]
    http: aiohttp.ClientSession
    database_url: str
    violations: list[Violation] = field(default_factory=list)
    claims: dict[tuple[int, int], str] = field(default_factory=dict)
    seen: dict[str, dict[int, int]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    owners: dict[int, str | None] = field(default_factory=dict)
    _connection: Connection | None = None

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(INTERVAL_S)
        finally:
            if self._connection is not None:
                self._connection.terminate()

    async def look(self) -> None:
        """Once at everything. Who does not answer in time is not seen."""
        async with asyncio.TaskGroup() as tasks:
            for instance in self.instances:
                tasks.create_task(self._ask(instance), name=f"status of {instance.name}")
            tasks.create_task(self._read(), name="epochs")

    async def _ask(self, instance: ProxiedInstance) -> None:
        self.seen.pop(instance.name, None)
        if not instance.wanted or instance.frozen:
            return
        try:
            async with (
                asyncio.timeout(PATIENCE_S),
                self.http.get(f"{instance.ops_url}/status") as response,
            ):
                self.heard(instance.name, await response.json())
        except (aiohttp.ClientError, OSError, TimeoutError):
            return

    def heard(self, name: str, status: dict[str, Any]) -> None:
        """An instance says what it owns."""
        life = status["incarnation"]
        self.seen[name] = {int(shard): epoch for shard, epoch in status["shards"]["epochs"].items()}
        for claim in self.seen[name].items():
            if (other := self.claims.setdefault(claim, life)) != life:
                self.violations.append(Violation("two_owners", f"shard, epoch {claim}: {other} and {life}"))

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self.database_url)
                rows = await self._connection.fetch("SELECT id, epoch, owner FROM shard")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            return
        for row in rows:
            self.recorded(row["id"], row["epoch"], row["owner"])

    def recorded(self, shard: int, epoch: int, owner: str | None) -> None:
        """The database says which epoch a shard is at."""
        if epoch < (before := self.epochs.get(shard, 0)):
            self.violations.append(Violation("epoch_fell", f"shard {shard}: from {before} to {epoch}"))
        self.epochs[shard], self.owners[shard] = epoch, owner

    def disputed(self) -> list[int]:
        """Shards that have not exactly one owner, by what all instances say, at the epoch of the record."""
        owners: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for name, epochs in self.seen.items():
            for shard, epoch in epochs.items():
                owners[shard].append((name, epoch))
        return [
            shard for shard in range(SHARDS)
            if owners[shard] != [(self.owners.get(shard), self.epochs.get(shard))]
        ]  # fmt: skip

    async def settled(self, within_s: float) -> tuple[float, list[int]]:
        """Look until every shard has one owner: after how many seconds, and which have not in time."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            await self.look()
            disputed = self.disputed()
            if not disputed or loop.time() - began_s > within_s:
                return loop.time() - began_s, disputed
            await asyncio.sleep(0.1)
