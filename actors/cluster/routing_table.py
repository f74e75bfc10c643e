"""Routing table: the owner of each shard, as far as this instance knows.

Three sources, of which the newest wins: the lease store (every second), a peer's message that it has taken a shard (at
once), and the own ownership. The table may be wrong at any time. A message to the wrong instance comes back with a
better address, or with the request to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.cluster.leases import Tick
from actors.shards import SHARD_COUNT


class RoutingTable:
    """Incarnation by shard; "" where the owner is not known.

    Args:
        owner_changed: called with each shard whose owner has changed.
    """

    def __init__(self, owner_changed: Callable[[list[int]], None]) -> None:
        self._owners = [""] * SHARD_COUNT
        self._epochs = [0] * SHARD_COUNT
        self._heard_at = [0.0] * SHARD_COUNT
        self._owner_changed = owner_changed

    def owner(self, shard: int) -> str:
        """The incarnation that serves a shard, or ""."""
        return self._owners[shard]

    def counts(self) -> dict[str, int]:
        """Number of shards by incarnation."""
        counts: dict[str, int] = {}
        for owner in self._owners:
            counts[owner] = counts.get(owner, 0) + 1
        return counts

    def learn(self, tick: Tick, me: str, mine: Callable[[int], bool]) -> None:
        """Take in a tick's holders, except where newer news was heard after it was sent.

        Own shards are known here: a lease in our name without a claim is not ownership.
        """
        changed = []
        for shard, holder in enumerate(tick.holders):
            if mine(shard) or self._heard_at[shard] >= tick.sent_at:
                continue
            if holder not in ("", me) and holder != self._owners[shard]:
                self._owners[shard] = holder
                changed.append(shard)
        self._tell(changed)

    def hear(self, owner: str, epochs: Iterable[tuple[int, int]], now: float) -> None:
        """Take in that an instance has claimed these shards at these epochs. Older news is ignored."""
        changed = []
        for shard, epoch in epochs:
            if epoch < self._epochs[shard]:
                continue
            news = epoch > self._epochs[shard] or owner != self._owners[shard]
            self._epochs[shard], self._heard_at[shard], self._owners[shard] = epoch, now, owner
            if news:
                changed.append(shard)
        self._tell(changed)

    def forget(self, shard: int, owner: str) -> None:
        """Remove `owner` from a shard that it does not serve."""
        if self._owners[shard] == owner:
            self._owners[shard] = ""

    def forget_all(self, owner: str) -> None:
        """Remove `owner` from all shards."""
        for shard in range(len(self._owners)):
            self.forget(shard, owner)

    def epoch(self, shard: int) -> int:
        """The newest known epoch of a shard."""
        return self._epochs[shard]

    def _tell(self, changed: list[int]) -> None:
        if changed:
            self._owner_changed(changed)
