"""Ports of the runtime: the journal, other instances, and sessions. Other packages implement them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from actors.behaviour import Outcome
from actors.messages import ActorId, Emit, Query
from actors.shards import Parked
from actors.values import frozen


@frozen
class ShardRow:
    """Row of a shard: its epoch, and the instance that claimed it last (None: none did)."""

    epoch: int
    owner: str | None


@frozen
class Claim:
    """Result of a claim: the shard's new epoch, and the one before.

    `epoch` is None if another instance has claimed the shard, and nothing was changed.
    """

    shard: int
    epoch: int | None
    previous_epoch: int


@frozen
class Blocker:
    """Lock of another program that blocks a write.

    Attributes:
        key: the locked row that the write needs; one of the journal's `needs`.
        row: the locked row, for people.
        pid: the holder's session; 0 if it is not known.
        user, application, state: of that session, as far as they may be read.
    """

    key: str
    row: str
    pid: int = 0
    user: str = ""
    application: str = ""
    state: str = ""

    def shown(self) -> dict[str, Any]:
        """The lock as shown in log lines."""
        return {
            "row": self.row,
            "holder_pid": self.pid,
            "holder_user": self.user,
            "holder_application": self.application,
            "holder_state": self.state,
        }


class Journal(Protocol):
    """Durable record of all actors. Each method raises `Unanswered` if its connection ends before the answer."""

    async def claim(
        self, shards: Sequence[int], owner: str, incarnation: str, expected: Sequence[int] | None = None
    ) -> list[Claim]:
        """Raise the epochs of these shards. Waits for all flushes under way that name them.

        With `expected` epochs, a shard stays unchanged if its epoch differs and this incarnation has not claimed it.
        """
        ...

    async def shards(self) -> Sequence[ShardRow]:
        """All shards, by number. One query, without locks."""
        ...

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """Read the rows of these actors, by number, in one query. Unknown numbers are absent."""
        ...

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Write a batch: one call, one commit, one outcome per item, in order.

        Raises:
            NotWritten: refused as a whole; `locked` if it waited too long for a lock of another program.
            Unanswered: the outcome is not known.
        """
        ...

    def needs(self, item: Mapping[str, Any]) -> Collection[str]:
        """Names of the rows that a write of this item locks, as in `Blocker.key`."""
        ...

    async def blocked(self, items: Sequence[Mapping[str, Any]]) -> list[Blocker | None]:
        """The lock that blocks each item now, or None. Does not wait for locks, and writes nothing."""
        ...

    async def due(
        self, shards: Sequence[int], from_ms: int, until_ms: int, limit: int
    ) -> list[tuple[ActorId, int]]:
        """Actors of these shards whose timers are due in this span, oldest first, with due times."""
        ...

    async def due_ahead(
        self, shards: Sequence[int], now_ms: int, limit: int
    ) -> list[tuple[ActorId, int, int]]:
        """Actors whose timer and last change both lie in the future: written before the clock was set back.

        Each with its due time, and the milliseconds that it was meant to wait.
        """
        ...

    async def read(self, query: Query) -> Any:
        """Run a named read."""
        ...

    async def wall(self) -> float:
        """Time of the journal's clock, UTC seconds."""
        ...


class PeerTransport(Protocol):
    """Port for messages to actors on other instances."""

    def forward(self, parked: Parked) -> None:
        """Send a message to its owner, keep it until an owner is known, or fail it. Does not block."""
        ...


class Emitter(Protocol):
    """Port for frames to sessions and topics."""

    def emit(self, emit: Emit, trace: str) -> None:
        """Pass a frame on. Does not block; a session that has ended is no error."""
        ...
