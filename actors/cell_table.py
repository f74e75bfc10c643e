"""Table of owned cells: shards with their epochs, and the active actors under them.

The lowest layer of the runtime. It does not route messages, run turns or write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from actors.behaviour import Behaviour
from actors.cell import Cell
from actors.messages import ActorId, Envelope
from actors.shards import SHARD_COUNT, Ownership, Parked

# Cells per slice of a walk over all cells. Between slices the event loop runs other callbacks.
WALK = 1000


class CellTable:
    """Owned shards and their cells.

    Attributes:
        owned: ownership by number of shard; None where another instance, or none, serves the shard.
    """

    def __init__(self, behaviours: Sequence[Behaviour], count: int = SHARD_COUNT) -> None:
        self.owned: list[Ownership | None] = [None] * count
        self._behaviours = {b.kind: b for b in behaviours}

    # -- shards -------------------------------------------------------------------------------

    def own(self, ownership: Ownership) -> None:
        self.owned[ownership.shard] = ownership

    def park(self, shard: int) -> None:
        """Keep messages that arrive for the shard from now on. Turns of messages in mailboxes go on."""
        ownership = self.owned[shard]
        if ownership is not None and ownership.parked is None:
            self.own(replace(ownership, parked=deque()))

    def freeze(self, shards: Sequence[int]) -> None:
        """Stop turns in these parked shards. Messages in mailboxes go in front of the parked ones."""
        for shard in shards:
            ownership = self.owned[shard]
            if ownership is not None and ownership.parked is not None:
                waiting = [e for cell in ownership.cells.values() for e in cell.empty()]
                ownership.parked.extendleft(Parked(e) for e in reversed(waiting))

    def surrender(self, shard: int) -> list[Parked]:
        """Drop a shard with its cells. Returns its waiting messages in order of arrival."""
        ownership, self.owned[shard] = self.owned[shard], None
        if ownership is None:
            return []
        waiting = [Parked(e) for cell in list(ownership.cells.values()) for e in cell.drain()]
        return [*waiting, *(ownership.parked or ())]

    def held(self) -> list[int]:
        return [o.shard for o in self.owned if o is not None]

    def leaving(self) -> list[int]:
        """Shards that are parked for a hand-over."""
        return [o.shard for o in self.owned if o is not None and o.parked is not None]

    def is_quiet(self, shard: int) -> bool:
        """True if the shard has no commit under way and no message in its mailboxes."""
        ownership = self.owned[shard]
        return ownership is None or not any(
            cell.pending is not None or cell.waiting for cell in ownership.cells.values()
        )

    def is_committing(self, shard: int) -> bool:
        """True while a commit of the shard is under way."""
        ownership = self.owned[shard]
        return ownership is not None and any(c.pending is not None for c in ownership.cells.values())

    def predates_ownership(self, shard: int, envelope: Envelope) -> bool:
        """True for an ask that another instance sent before this one took the shard.

        It was meant for an earlier owner, which may have answered a repetition of it. Its edge repeats it if it still
        waits.
        """
        ownership = self.owned[shard]
        late = ownership is not None and envelope.epoch < ownership.first
        return late and envelope.asked

    async def in_turn(self) -> AsyncIterator[Mapping[ActorId, Cell]]:
        """Iterate over the cells of each shard, with pauses for the event loop.

        A caller that awaits while it reads one shard's cells must copy them.
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

    # -- cells --------------------------------------------------------------------------------

    def add(self, ownership: Ownership, to: ActorId) -> Cell:
        """Add a cell without a state, for an actor of an owned shard."""
        cell = Cell(to, self._behaviours[to.kind], ownership.shard)
        ownership.cells[to] = cell
        return cell

    def is_current(self, cell: Cell) -> bool:
        """True while this activation is the one in the table."""
        ownership = self.owned[cell.shard]
        return ownership is not None and ownership.cells.get(cell.id) is cell

    def remove(self, cell: Cell) -> list[Envelope]:
        """Drop an activation. Returns its waiting messages."""
        ownership = self.owned[cell.shard]
        if ownership is not None and ownership.cells.get(cell.id) is cell:
            del ownership.cells[cell.id]
        return cell.drain()

    def cells_count(self) -> int:
        return sum(len(o.cells) for o in self.owned if o is not None)
