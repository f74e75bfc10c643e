"""Shards: the unit of ownership.

256 is fixed when a database is created (stored in `cluster_meta` and compared at start): about 400
orders and 40 drivers each at full load, and enough for 25 instances by the rule of ten per instance.
"""

from __future__ import annotations

import asyncio
from binascii import crc32
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import field
from typing import NamedTuple

from actors.cell import Cell
from actors.messages import ActorId, Envelope
from actors.values import frozen

SHARD_COUNT = 256
# Actors looked at before others get their turn of the loop: at 65,000 a walk without a pause took it 20 ms.
WALK = 1000


def shard_of(to: ActorId) -> int:
    """crc32 of `kind:number`, modulo the number of shards. Never Python's salted `hash`."""
    return crc32(f"{to.kind}:{to.number}".encode()) % SHARD_COUNT


class Parked(NamedTuple):
    """A message that arrived while its shard was being handed over, as it was delivered."""

    envelope: Envelope
    latest: str | None = None


@frozen
class Ownership:
    """The right to write a shard, together with the state that was loaded under it.

    Epoch and cells live in one object so that they can only be read, replaced or dropped together; a
    command that kept an epoch from before an await and memory from after it double-books.

    Attributes:
        first: the epoch since which nobody else has served it.
        since: monotonic second of the claim's answer; what was read before may be older than the epoch.
        parked: what arrives while the shard is on its way to another instance, in order of arrival;
            None while it stays.
    """

    shard: int
    epoch: int
    cells: dict[ActorId, Cell] = field(default_factory=dict)
    parked: deque[Parked] | None = None
    first: int = 0
    since: float = 0.0


class Shards:
    """What this instance owns."""

    def __init__(self, count: int = SHARD_COUNT) -> None:
        self.owned: list[Ownership | None] = [None] * count

    def own(self, ownership: Ownership) -> None:
        self.owned[ownership.shard] = ownership

    def drop(self, shard: int) -> Ownership | None:
        """Give up a shard; the caller answers what waits in its cells."""
        ownership, self.owned[shard] = self.owned[shard], None
        return ownership

    def held(self) -> list[int]:
        return [o.shard for o in self.owned if o is not None]

    def leaving(self) -> list[int]:
        """Shards that are being handed over."""
        return [o.shard for o in self.owned if o is not None and o.parked is not None]

    def is_quiet(self, shard: int) -> bool:
        """True when no commit of the shard is under way and nothing waits in its mailboxes."""
        ownership = self.owned[shard]
        return ownership is None or not any(
            cell.pending is not None or cell.waiting for cell in ownership.cells.values()
        )

    def is_committing(self, shard: int) -> bool:
        """True while a commit of the shard is under way."""
        ownership = self.owned[shard]
        return ownership is not None and any(c.pending is not None for c in ownership.cells.values())

    def predates_ownership(self, shard: int, envelope: Envelope) -> bool:
        """True for an ask of another instance that was sent before we took the shard: it was meant for an owner before
        us, and its edge may have had an answer of that one to a repetition. It asks again, if it still wants.
        """
        ownership = self.owned[shard]
        late = ownership is not None and envelope.epoch < ownership.first
        return late and envelope.asked

    async def in_turn(self) -> AsyncIterator[Mapping[ActorId, Cell]]:
        """The cells of every shard, as they are when its turn comes: the loop has others between the slices. Who
        awaits while reading them reads a copy.
        """
        looked_at = 0
        for shard in range(len(self.owned)):
            ownership = self.owned[shard]
            if ownership is not None:
                yield ownership.cells
                looked_at += len(ownership.cells)
            if looked_at >= WALK:
                looked_at = 0
                await asyncio.sleep(0)

    def cells_count(self) -> int:
        return sum(len(o.cells) for o in self.owned if o is not None)
