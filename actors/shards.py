"""Shards: the unit of ownership.

Their number is fixed when a database is created (`cluster_meta`, compared at start). 256 means about 400 orders and 40
drivers per shard at full load, and at least ten shards each for 25 instances.
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
    """Shard of an actor: crc32 of `kind:number` modulo SHARD_COUNT. Python's `hash` is salted per process."""
    return crc32(f"{to.kind}:{to.number}".encode()) % SHARD_COUNT


class Parked(NamedTuple):
    """Message that arrived during the hand-over of its shard."""

    envelope: Envelope
    latest: str | None = None


@frozen
class Ownership:
    """Right to write a shard, together with the cells that were loaded under it.

    Epoch and cells are in one object, so that they are read, replaced and dropped together. A command with an epoch
    from before an await and a state from after it would double-book.

    Attributes:
        first: the epoch since which no other instance has served it.
        since: monotonic second of the claim's answer; rows read before may be older than the epoch.
        parked: messages that arrive during a hand-over, in order of arrival; None otherwise.
    """

    shard: int
    epoch: int
    cells: dict[ActorId, Cell] = field(default_factory=dict)
    parked: deque[Parked] | None = None
    first: int = 0
    since: float = 0.0
