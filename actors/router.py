"""Router: puts a message into its actor's mailbox, forwards it to the owner's instance, or refuses it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence, Sized

from actors.activation import Activation
from actors.cell_table import CellTable
from actors.clock import Clock
from actors.counters import Counters
from actors.errors import ActorError, NoSuchActor, Overloaded, Unavailable
from actors.messages import ActorId, Envelope, Seed
from actors.ports import PeerTransport
from actors.ready_queue import ReadyQueue
from actors.shards import Parked, shard_of

# Limit of commits that wait for the journal; above it commands are refused.
GATED_MAX = 10_000
# Deadline of internal messages (tells, timers, query answers): longer than any outage that a client waits out.
TELL_BUDGET_S = 30.0
# Messages that a shard keeps during its hand-over; more are refused as unavailable.
PARKED_MAX = 2_000


class Router:
    """Routes messages of one instance.

    Args:
        lanes: commit lanes, by number of shard modulo their count; their lengths limit accepted commands.
        peers: forwards messages to other instances; None for an instance that is alone.
        lost: called with a shard that another instance has claimed.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        counters: Counters,
        cells: CellTable,
        ready: ReadyQueue,
        activation: Activation,
        lanes: Sequence[Sized],
        peers: PeerTransport | None,
        log: Callable[..., None],
        lost: Callable[[int], None],
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._cells = cells
        self._ready = ready
        self._activation = activation
        self._lanes = lanes
        self._peers = peers
        self._log = log
        self._lost = lost

    def tell(
        self,
        to: ActorId,
        message: object,
        *,
        trace: str = "",
        latest: str | None = None,
        seed: Seed | None = None,
    ) -> None:
        """Send a message without a reply."""
        until = self._clock.monotonic() + TELL_BUDGET_S
        self.deliver(Envelope(to, message, until, trace=trace), latest=latest, seed=seed)

    def deliver(self, envelope: Envelope, *, latest: str | None = None, seed: Seed | None = None) -> None:
        """Put a message into its actor's mailbox, here or on the owner's instance.

        A seed is used at once by an actor of this instance, or dropped: the row may change later.
        """
        to = envelope.to
        shard = shard_of(to)
        ownership = self._cells.owned[shard]
        if ownership is None:
            self._elsewhere(Parked(envelope, latest))
            return
        if ownership.parked is not None:
            self._park(ownership.parked, Parked(envelope, latest))
            return
        cell = ownership.cells.get(to)
        if cell is None:
            if seed is not None and seed.at < ownership.since:
                seed = None
            if seed is None and self._activation.is_unknown(to):
                envelope.fail(NoSuchActor(str(to)))
                return
            cell = self._cells.add(ownership, to)
            if seed is None:
                self._activation.want(cell)
            else:
                self._activation.seed(cell, seed.row, envelope.trace)
        if latest is not None:
            cell.put_latest(latest, envelope)
        elif envelope.command is not None and self._is_full(shard):
            self.refuse(envelope, Overloaded("too many commits are waiting"))
            return
        elif not cell.put(envelope):
            self.refuse(envelope, Overloaded(f"mailbox of {to} is full"))
            return
        self._ready.put(cell)

    def _is_full(self, shard: int) -> bool:
        lanes = self._lanes
        return len(lanes[shard % len(lanes)]) >= GATED_MAX // len(lanes)

    def _park(self, queue: deque[Parked], parked: Parked) -> None:
        if len(queue) >= PARKED_MAX:
            self.refuse(parked.envelope, Unavailable("too much waits for the hand-over"))
        else:
            queue.append(parked)

    def _elsewhere(self, parked: Parked) -> None:
        if self._peers is not None:
            self._peers.forward(parked)
        else:
            self.refuse(parked.envelope, Unavailable("no owner"))

    def redirect(self, envelope: Envelope) -> None:
        """Forward a message whose shard was lost while it waited or was being committed. The new owner knows its
        outcome.
        """
        if self._peers is None:
            self.refuse(envelope, envelope.without_answer(Unavailable("ownership moved")))
        elif not envelope.given_up:
            envelope.left_owner()
            self._peers.forward(Parked(envelope))

    def refuse(self, envelope: Envelope, error: ActorError) -> None:
        """Fail a message with an error, and count it."""
        self._counters.refusals[type(error).__name__] += 1
        envelope.fail(error)

    def fence_out(self, shard: int) -> None:
        """Drop a shard that another instance has claimed, and forward its waiting messages."""
        if self._cells.owned[shard] is None:
            return
        self._log("lost_shard", shard=shard)
        waiting = self._cells.surrender(shard)
        self._counters.lost_shards += 1
        self._lost(shard)
        for parked in waiting:
            self.redirect(parked.envelope)
