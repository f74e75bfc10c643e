"""Router of messages: into the mailbox of an actor, to the owner's instance, or back with an error."""

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

# Commits that may wait for the journal at once; beyond it commands are refused.
GATED_MAX = 10_000
# Internal messages (tells, timers, query answers) outlive any outage that a client would wait for.
TELL_BUDGET_S = 30.0
# What a shard keeps while it is handed over; the rest is told to come back.
PARKED_MAX = 2_000


class Router:
    """Routes messages of one instance.

    Args:
        lanes: commit lanes, by number of shard modulo their count; their lengths bound what is accepted.
        peers: the way to other instances; None for an instance that is alone.
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
        """Send a message that nobody waits for."""
        until = self._clock.monotonic() + TELL_BUDGET_S
        self.deliver(Envelope(to, message, until, trace=trace), latest=latest, seed=seed)

    def deliver(self, envelope: Envelope, *, latest: str | None = None, seed: Seed | None = None) -> None:
        """Put a message into its actor's mailbox, here or on the owner's instance.

        A seed serves the actor of this instance, here and now; it never travels and never waits, for the
        actor may have changed meanwhile.
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
        """The shard has gone while this waited or was under way: its new owner knows what became of it."""
        if self._peers is None:
            self.refuse(envelope, envelope.without_answer(Unavailable("ownership moved")))
        elif not envelope.given_up:
            envelope.left_owner()
            self._peers.forward(Parked(envelope))

    def refuse(self, envelope: Envelope, error: ActorError) -> None:
        """Answer with an error, and count it."""
        self._counters.refusals[type(error).__name__] += 1
        envelope.fail(error)

    def fence_out(self, shard: int) -> None:
        """Another instance has claimed the shard: drop what is in memory for it, and send on what waits."""
        if self._cells.owned[shard] is None:
            return
        self._log("lost_shard", shard=shard)
        waiting = self._cells.surrender(shard)
        self._counters.lost_shards += 1
        self._lost(shard)
        for parked in waiting:
            self.redirect(parked.envelope)
