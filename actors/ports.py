"""What the runtime needs from the world. Other rooms plug real ones in, tests and the simulator their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from actors.behaviour import Outcome
from actors.messages import ActorId, Emit, Query
from actors.shards import Parked
from actors.values import frozen


@frozen
class ShardRow:
    """What the journal says of a shard: its epoch, and the instance that claimed it last (None: nobody)."""

    epoch: int
    owner: str | None


@frozen
class Claim:
    """A shard that was just claimed: its new epoch, and the one it had before.

    `epoch` is None where the shard has gone to somebody else and was left alone.
    """

    shard: int
    epoch: int | None
    previous_epoch: int


@frozen
class Blocker:
    """A lock of somebody else that stands in the way of a write.

    Attributes:
        key: what the write needs and cannot have; one of the journal's `needs` of it.
        row: what is locked, for people.
        pid: the holder's session; 0 when no look shows it.
        user, application, state: of that session, as far as we may see them.
    """

    key: str
    row: str
    pid: int = 0
    user: str = ""
    application: str = ""
    state: str = ""

    def shown(self) -> dict[str, Any]:
        """As a log line names it."""
        return {
            "row": self.row, "holder_pid": self.pid, "holder_user": self.user,
            "holder_application": self.application, "holder_state": self.state,
        }  # fmt: skip


class Journal(Protocol):
    """The durable record. Every method raises `Unanswered` when the connection dies under it."""

    async def claim(
        self, shards: Sequence[int], owner: str, incarnation: str, expected: Sequence[int] | None = None
    ) -> list[Claim]:
        """Raise the epochs of these shards; waits for every flush in flight that names them.

        With `expected` epochs, a shard that neither has its own nor was claimed by this incarnation is
        left alone.
        """
        ...

    async def shards(self) -> Sequence[ShardRow]:
        """All shards, by number. One query; waits for nobody."""
        ...

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """The rows of these actors, by number; unknown numbers are absent. One query."""
        ...

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Write a batch: one call, one commit, one outcome per item, in order.

        Raises:
            NotWritten: refused as a whole; `locked` when it waited too long for a lock of somebody else.
            Unanswered: written or not.
        """
        ...

    def needs(self, item: Mapping[str, Any]) -> Collection[str]:
        """What the write of this item locks: names that its blockers have as `key`."""
        ...

    async def blocked(self, items: Sequence[Mapping[str, Any]]) -> list[Blocker | None]:
        """What stands in the way of each item at this moment. Waits for nobody, and writes nothing."""
        ...

    async def due(
        self, shards: Sequence[int], from_ms: int, until_ms: int, limit: int
    ) -> list[tuple[ActorId, int]]:
        """Actors of these shards whose timer is due in this span, the oldest first, with the due time."""
        ...

    async def due_ahead(
        self, shards: Sequence[int], now_ms: int, limit: int
    ) -> list[tuple[ActorId, int, int]]:
        """Actors of these shards whose timer is in the future and whose row was written there, too: by a clock that has
        been set back since. With the due time, and the milliseconds that it was meant to wait.
        """
        ...

    async def read(self, query: Query) -> Any:
        """Answer a named read."""
        ...

    async def wall(self) -> float:
        """The journal's clock, UTC seconds."""
        ...


class PeerTransport(Protocol):
    """The way to an actor that lives elsewhere."""

    def forward(self, parked: Parked) -> None:
        """Send it to the owner, keep it until there is one, or fail it. Never waits."""
        ...


class Emitter(Protocol):
    """The way to sessions and topics."""

    def emit(self, emit: Emit, trace: str) -> None:
        """Hand a frame over. Never waits; a session that is gone is no error."""
        ...
