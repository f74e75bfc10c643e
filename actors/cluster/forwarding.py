"""Forwarding: asks and tells to actors on other instances.

The instance that got a request is its edge. Only the edge repeats. An ask that came over a link is served, kept (during
a hand-over), or sent back with `moved` or a failure; it is never forwarded. (A tell is, once.) One attempt is delivered
at most once. Repetitions have the same command id, which the owner's ring knows, so they have one effect. An ask
without a command id is a read, or may be repeated as it is.

The ring has effects, but not refusals. So no attempt may take effect after a later attempt was refused ("all your slots
are taken" may be over a moment later). Three rules prevent it: an ask is not forwarded; it names the newest epoch that
its edge knew, and an owner that claimed the shard later sends it back; a new link ends the one before it, with all
unread frames.

While no owner of a shard is known, its messages wait here, limited in number and by their deadlines. They leave as soon
as an owner is known.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from actors import errors
from actors.cluster.codec import Codec, UndecodableValue, Untransferable
from actors.cluster.peer_links import PeerLinks
from actors.cluster.routing_table import RoutingTable
from actors.cluster.transport import Link
from actors.errors import (
    ActorCrashed,
    ActorError,
    DeadlinePassed,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
    WrongOwner,
)
from actors.messages import ActorId, Command, Envelope
from actors.shards import Parked, shard_of

if TYPE_CHECKING:
    from actors.runtime import Runtime

# Links that a tell may cross. An ask crosses one.
HOPS_MAX = 2
# Least epoch that an ask names. Older versions send the number of links in this place, 0 or 1.
EPOCH_MIN = 2
# Repetitions after a definite "not now", and the first pause; each further pause is four times as long.
ATTEMPTS_MAX = 5
BACKOFF_S = 0.005
# Limit of asks under way to one peer. Above it the peer is too slow, and the client gets an error at once.
UNDER_WAY_MAX = 4_000
WAITING_MAX = 10_000
# Pause between two checks of messages without an owner; the news of an owner triggers one at once.
LOOK_S = 0.05
_ERRORS: dict[str, type[ActorError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ActorError)
}


class PendingAsk(NamedTuple):
    """An ask that was sent and not answered."""

    parked: Parked
    link: Link
    shard: int


class FarReply:
    """Receiver of a reply whose asker is on another instance."""

    __slots__ = ("_corr", "_done", "_forwarding", "_link", "_shard")

    def __init__(self, forwarding: Forwarding, link: Link, corr: int, shard: int) -> None:
        self._forwarding = forwarding
        self._link = link
        self._corr = corr
        self._shard = shard
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, result: Any) -> None:
        self._done = True
        self._forwarding.reply(self._link, self._corr, result)

    def set_exception(self, exception: BaseException) -> None:
        self._done = True
        if isinstance(exception, WrongOwner):
            self._forwarding.send_back(self._link, self._corr, self._shard)
            return
        frame = ["F", self._corr, type(exception).__name__, str(exception)]
        self._forwarding.peers.send(self._link, frame)


class Forwarding:
    """Implements actors.ports.PeerTransport. `runtime` is set before the first message."""

    def __init__(
        self, peers: PeerLinks, routing_table: RoutingTable, codec: Codec, random: Callable[[], float]
    ) -> None:
        self.peers = peers
        self.routing_table = routing_table
        self.runtime: Runtime | None = None
        self._codec = codec
        self._random = random
        self._asked: dict[int, PendingAsk] = {}
        self._under_way: Counter[Link] = Counter()
        self._waiting: dict[int, deque[Parked]] = {}
        self._count = 0
        self._numbers = 0
        self._wake = asyncio.Event()
        self._stopped = False

    @property
    def under_way(self) -> int:
        """Number of asks that other instances have not answered."""
        return len(self._asked)

    @property
    def waiting(self) -> int:
        """Number of messages for shards without a known owner."""
        return self._count

    def _own(self) -> Runtime:
        assert self.runtime is not None
        return self.runtime

    # -- out ----------------------------------------------------------------------------------

    def forward(self, parked: Parked) -> None:
        """Send a message to its owner, keep it until an owner is known, or fail it. Does not block."""
        envelope, runtime = parked.envelope, self._own()
        if envelope.given_up:
            return
        if envelope.until <= runtime.clock.monotonic():
            runtime.refuse(envelope, DeadlinePassed())
            return
        if self._stopped:
            runtime.refuse(envelope, Unavailable("stopping"))
            return
        if envelope.hop and envelope.asked:
            envelope.fail(WrongOwner())
            return
        if envelope.hop >= HOPS_MAX:
            self._drop(envelope, "too many hops")
            return
        shard = shard_of(envelope.to)
        link = self.peers.links.get(self.routing_table.owner(shard))
        if link is not None:
            self._send(parked, link, shard)
        elif envelope.hop:
            self._drop(envelope, "no owner is known")
        else:
            self._wait(parked, shard)

    def _drop(self, envelope: Envelope, why: str) -> None:
        if not envelope.asked:
            self.peers.counts["tells_dropped"] += 1
        self._own().refuse(envelope, Unavailable(why))

    def _send(self, parked: Parked, link: Link, shard: int) -> None:
        envelope, runtime = parked.envelope, self._own()
        try:
            payload = self._codec.pack(envelope.message)
        except Untransferable:
            # It belongs to state that was dropped with the shard. The new owner has its own.
            runtime.refuse(envelope, Unavailable("this message does not travel"))
            return
        to, command = envelope.to, envelope.command
        budget_ms = int((envelope.until - runtime.clock.monotonic()) * 1000)
        if not envelope.asked:
            frame = ["T", *to, envelope.hop, budget_ms, envelope.trace, payload, parked.latest]
            if not self.peers.send(link, frame):
                self._drop(envelope, "the line is full")
            return
        if self._under_way[link] >= UNDER_WAY_MAX:
            runtime.refuse(envelope, Overloaded("too much is under way to the owner"))
            return
        self._numbers += 1
        ids = [None, None] if command is None else [command.id, command.fingerprint]
        epoch = max(EPOCH_MIN, self.routing_table.epoch(shard))
        frame = ["A", self._numbers, *to, epoch, budget_ms, *ids, envelope.trace, payload]
        if not self.peers.send(link, frame):
            runtime.refuse(envelope, Overloaded("the line to the owner is full"))
            return
        if command is not None:
            envelope.commit_sent()
        self._asked[self._numbers] = PendingAsk(parked, link, shard)
        self._under_way[link] += 1
        self.peers.counts["forwarded"] += 1

    def _settle(self, corr: int) -> PendingAsk | None:
        asked = self._asked.pop(corr, None)
        if asked is not None:
            self._under_way[asked.link] -= 1
        return asked

    def _wait(self, parked: Parked, shard: int) -> None:
        if self._count >= WAITING_MAX:
            self._own().refuse(parked.envelope, Overloaded("too much waits for an owner"))
            return
        if shard not in self._waiting:
            self._waiting[shard] = deque()
            self.peers.broadcast(["W", [shard]])
        self._waiting[shard].append(parked)
        self._count += 1
        self._wake.set()

    def _later(self, parked: Parked, *, counted: bool) -> None:
        """Try again after a pause. Only the edge does so."""
        envelope, runtime = parked.envelope, self._own()
        envelope.attempts += counted
        if envelope.attempts > ATTEMPTS_MAX:
            runtime.refuse(envelope, Unavailable("the owner keeps refusing"))
            return
        self.peers.counts["repeated"] += 1
        pause_s = BACKOFF_S * 4 ** max(0, envelope.attempts - 1) * (0.5 + self._random())
        asyncio.get_running_loop().call_later(pause_s, self._redeliver, parked)

    def _redeliver(self, parked: Parked) -> None:
        """Deliver again: the shard may be owned here by now."""
        if not parked.envelope.given_up:
            self._own().deliver(parked.envelope, latest=parked.latest)

    async def run(self) -> None:
        """Send or expire messages that wait for an owner, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._count:
                await asyncio.sleep(LOOK_S)
                now = self._own().clock.monotonic()
                for shard, queue in list(self._waiting.items()):
                    while queue and (queue[0].envelope.given_up or queue[0].envelope.until <= now):
                        self._own().refuse(queue.popleft().envelope, DeadlinePassed())
                        self._count -= 1
                    self._release(shard)

    def _release(self, shard: int) -> None:
        owned = self._own().cells.owned[shard] is not None
        if owned or self.routing_table.owner(shard) in self.peers.links or not self._waiting.get(shard):
            queue = self._waiting.pop(shard, ())
            self._count -= len(queue)
            for parked in queue:
                self._redeliver(parked)

    def abandon(self) -> None:
        """Fail everything that waits, at the end of this instance."""
        self._stopped = True
        for corr in list(self._asked):
            asked = self._settle(corr)
            if asked is not None:
                asked.parked.envelope.give_up(Unavailable("stopping"))
        for queue in self._waiting.values():
            for parked in queue:
                parked.envelope.fail(Unavailable("stopping"))
        self._waiting.clear()
        self._count = 0

    # -- what changes on the way --------------------------------------------------------------

    def owner_changed(self, shards: list[int]) -> None:
        """Send the waiting messages of shards to their new owner, and repeat asks that are under way to the old one.

        The old owner may be frozen. If it has decided already, the ring has the reply.
        """
        for shard in shards:
            self._release(shard)
        gone = set(shards)
        for corr, asked in list(self._asked.items()):
            if asked.shard in gone and asked.link.peer.incarnation != self.routing_table.owner(asked.shard):
                self._settle(corr)
                self._uncertain(asked)

    def _uncertain(self, asked: PendingAsk) -> None:
        if asked.parked.envelope.command is not None:
            asked.parked.envelope.outcome_lost()
        self._later(asked.parked, counted=False)

    def link_up(self, incarnation: str) -> None:
        """Send waiting messages to a peer that has a link again."""
        for shard in [s for s in self._waiting if self.routing_table.owner(s) == incarnation]:
            self._release(shard)

    def link_lost(self, link: Link) -> None:
        """Repeat asks that were under way on a lost link: their outcome is unknown, and the ring has their effects."""
        for corr in [corr for corr, asked in self._asked.items() if asked.link is link]:
            asked = self._settle(corr)
            if asked is not None:
                self._uncertain(asked)
        del self._under_way[link]

    # -- in -----------------------------------------------------------------------------------

    def receive(self, link: Link, frame: list[Any]) -> None:
        """Handle a frame of this module; any other frame is an error."""
        match frame[0]:
            case "A":
                self._ask(link, frame)
            case "T":
                self._tell(frame)
            case "R":
                if (asked := self._settle(frame[1])) is not None:
                    asked.parked.envelope.answer(self._codec.unpack(frame[2]))
            case "F":
                self._failed(*frame[1:])
            case "M":
                self._has_moved(*frame[1:])
            case _:
                raise ValueError(frame[0])

    def _ask(self, link: Link, frame: list[Any]) -> None:
        _, corr, kind, number, epoch, budget_ms, command_id, fingerprint, trace, payload = frame
        runtime, to = self._own(), ActorId(kind, number)
        shard = shard_of(to)
        ownership = runtime.cells.owned[shard]
        if ownership is not None and epoch > ownership.epoch and ownership.parked is None:
            runtime.fence_out(shard)  # the sender knows a newer claim than ours
            ownership = None
        if epoch < EPOCH_MIN and ownership is not None:
            epoch = ownership.epoch
        if ownership is None or epoch < ownership.first:
            self.send_back(link, corr, shard)
            return
        try:
            message = self._codec.unpack(payload)
        except UndecodableValue:
            # From a newer version, in a rolling upgrade. It certainly had no effect here.
            self.peers.send(link, ["F", corr, Unavailable.__name__, "its owner does not know this command"])
            raise
        envelope = Envelope(
            to,
            message,
            runtime.clock.monotonic() + budget_ms / 1000,
            command=Command(command_id, fingerprint) if command_id else None,
            trace=trace,
            reply=FarReply(self, link, corr, shard),
            hop=1,
            epoch=epoch,
        )
        self.peers.counts["served"] += 1
        runtime.watch(envelope)
        runtime.deliver(envelope)

    def _tell(self, frame: list[Any]) -> None:
        _, kind, number, hop, budget_ms, trace, payload, latest = frame
        runtime = self._own()
        until = runtime.clock.monotonic() + budget_ms / 1000
        envelope = Envelope(
            ActorId(kind, number), self._codec.unpack(payload), until, trace=trace, hop=hop + 1
        )
        runtime.deliver(envelope, latest=latest)

    def send_back(self, link: Link, corr: int, shard: int) -> None:
        """Send an ask back, so that its edge asks the present owner, which may be this instance."""
        ownership, me = self._own().cells.owned[shard], self.peers.me.incarnation
        owner, epoch = self.routing_table.owner(shard), self.routing_table.epoch(shard)
        if ownership is not None:
            owner, epoch = me, ownership.epoch
        elif owner == me:
            owner = ""
        self.peers.counts["moved"] += 1
        self.peers.send(link, ["M", corr, shard, owner, epoch])

    def reply(self, link: Link, corr: int, value: object) -> None:
        """Answer an ask that came over a link."""
        try:
            packed = self._codec.pack(list(value) if type(value) is tuple else value)
        except Untransferable as error:
            self._own().log("untransferable_reply", reply=str(error))
            self.peers.send(link, ["F", corr, ActorCrashed.__name__, ""])
        else:
            self.peers.send(link, ["R", corr, packed])

    def _failed(self, corr: int, name: str, detail: str) -> None:
        asked = self._settle(corr)
        if asked is None:
            return
        envelope = asked.parked.envelope
        if name == Unavailable.__name__:
            envelope.not_written()
            self._later(asked.parked, counted=True)
        elif name == OutcomeUnknown.__name__:
            envelope.outcome_lost()
            self._later(asked.parked, counted=True)
        else:
            self._own().refuse(envelope, _ERRORS.get(name, ActorCrashed)(detail))

    def _has_moved(self, corr: int, shard: int, owner: str, epoch: int) -> None:
        """Handle `moved`: the receiver does not serve the shard; it may name the owner."""
        asked = self._settle(corr)
        if asked is None:
            return
        asked.parked.envelope.not_written()
        if owner != asked.link.peer.incarnation:
            self.routing_table.forget(shard, asked.link.peer.incarnation)
        if owner and epoch >= self.routing_table.epoch(shard):
            self.routing_table.hear(owner, [(shard, epoch)], self._own().clock.boot())
        self._later(asked.parked, counted=False)
