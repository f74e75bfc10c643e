"""Shards: the unit of ownership.

256 is fixed when a database is created (stored in `cluster_meta` and compared at start): about 400
orders and 40 drivers each at full load, and enough for 25 instances by the rule of ten per instance.
"""

from __future__ import annotations

from binascii import crc32
from collections import deque
from dataclasses import field
from typing import NamedTuple

from actors.cell import Cell
from actors.messages import ActorId, Envelope
from actors.values import frozen

SHARD_COUNT = 256


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
