"""Links to all other members: frames, calls between instances, and frames for sessions elsewhere.

Each instance dials every other one, so there are two links between a pair. Each link carries the requests of the end
that dialled, and the answers to them. Frames are JSON arrays that begin with their kind:

    A  ask       R reply  F failure  M moved        forwarding.py
    T  tell
    E  emit      a frame for a session or a topic on the instance that holds the sockets
    O  owned     the sender serves these shards: [[shard, epoch], ...]
    N  new       the sender has made this link, its nth, and ends those before it: frames sent there may be lost
    W  who       does the receiver serve these shards? It answers with O.
    C  call      a call between instances, answered by R or F: hand-over, status
    P  ping      a link without any frame for SILENT_S is closed
    B  bye       the sender leaves by itself: it must not be suspected
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import orjson

from actors.cancellation import end
from actors.clock import Clock
from actors.cluster.codec import UndecodableValue
from actors.cluster.leases import LeasesAway, Member
from actors.cluster.transport import Greeting, Link, LinkLost, Transport
from actors.errors import JournalError
from actors.messages import Delivery, Emit
from actors.ports import Emitter

PING_S = 1.0
# A frozen peer keeps its sockets open. By this time its leases have ended too.
SILENT_S = 5.0
REDIAL_S_MIN = 0.1
REDIAL_S_MAX = 1.0
# After this many failed tries in a row a log line is written: the member's MALL_PEER_HOST may be wrong.
TRIES_SAID = 10
CALL_S = 2.0
# Number of peers' lives whose newest link is remembered: more than a network can delay.
LIVES_REMEMBERED = 1_000


class MessageFrames(Protocol):
    """Receiver of frames with forwarded messages."""

    def receive(self, link: Link, frame: list[Any]) -> None: ...
    def link_up(self, incarnation: str) -> None: ...
    def link_lost(self, link: Link) -> None: ...


class ClusterFrames(Protocol):
    """Callbacks for cluster frames; the reconciler implements them."""

    def owned_by(self, incarnation: str, epochs: list[tuple[int, int]]) -> None: ...
    def mine(self, shards: Iterable[int] | None) -> list[tuple[int, int]]: ...
    def suspect(self, member: Member) -> None: ...
    def cut_off(self, incarnation: str) -> None: ...
    def dialled(self, incarnation: str, *, known: bool) -> None: ...
    async def called(self, name: str, peer: Greeting, value: Any) -> Any: ...


class PeerLinks:
    """Links of one instance. Also the runtime's emitter.

    Args:
        emitter: emitter for sessions and topics of this instance.
    """

    def __init__(
        self, me: Greeting, transport: Transport, emitter: Emitter, clock: Clock, log: Callable[..., None]
    ) -> None:
        self.me = me
        self.links: dict[str, Link] = {}
        self.counts: Counter[str] = Counter()
        self.address = ""
        self._transport = transport
        self._emitter = emitter
        self._clock = clock
        self._log = log
        self._messages: MessageFrames | None = None
        self._cluster_frames: ClusterFrames | None = None
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[Link, asyncio.Event] = {}
        self._dialled_by: dict[Link, str] = {}
        self._heard_at: dict[Link, float] = {}
        self._newest: dict[str, int] = {}
        self._dials = 0
        self._byes: set[str] = set()
        self._calls: dict[int, tuple[Link, asyncio.Future[Any]]] = {}
        self._numbers = 0
        self._tasks: asyncio.TaskGroup | None = None

    def connect(self, messages: MessageFrames, cluster_frames: ClusterFrames) -> None:
        """Set the receivers of arriving frames. To be called once, before `running`."""
        self._messages, self._cluster_frames = messages, cluster_frames

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Accept and make links until the block ends; then send `B` on each."""
        async with self._transport.serving(self.me, self._receive, self._link_ended) as address:
            self.address = address
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                pinging = tasks.create_task(self._ping(), name="peer pings")
                try:
                    yield
                finally:
                    self.broadcast(["B"])
                    await asyncio.sleep(0)
                    await end([pinging, *self._keeping.values()])
                    for link in list(self._heard_at):
                        link.close()
                    for _, answer in self._calls.values():
                        answer.cancel()

    def has_dialled(self, incarnation: str) -> bool:
        """True while a link that this peer has made is open, so that frames of its actors arrive."""
        return incarnation in self._dialled_by.values()

    # -- members ------------------------------------------------------------------------------

    def meet(self, members: Iterable[Member]) -> None:
        """Keep a link to each of these members, and to no other."""
        wanted = {m.incarnation: m for m in members if m.incarnation != self.me.incarnation}
        for incarnation in [i for i in self._keeping if i not in wanted]:
            self._keeping.pop(incarnation).cancel()
            self._byes.discard(incarnation)
        for incarnation, member in wanted.items():
            if incarnation not in self._keeping and self._tasks is not None:
                task = self._tasks.create_task(self._keep(member), name=f"line to {incarnation}")
                self._keeping[incarnation] = task

    async def _keep(self, member: Member) -> None:
        """Keep a link to this member, and dial again whenever it ends, until cancelled."""
        assert self._messages is not None
        assert self._cluster_frames is not None
        wait_s, link, tries = REDIAL_S_MIN, None, 0
        try:
            while True:
                try:
                    link = await self._transport.dial(
                        member.address, self.me, self._receive, self._link_ended
                    )
                    if link.peer.incarnation != member.incarnation:
                        link.close()
                        raise LinkLost("another life answers", refused=True)
                except LinkLost as error:
                    if error.refused and member.incarnation not in self._byes:
                        self._cluster_frames.suspect(member)
                    tries += 1
                    if tries % TRIES_SAID == 0:
                        self._log("unreachable_peer", peer=member.incarnation, address=member.address)
                    await asyncio.sleep(wait_s)
                    wait_s = min(REDIAL_S_MAX, wait_s * 2)
                    continue
                self._log("met_peer", peer=member.incarnation)
                wait_s, tries = REDIAL_S_MIN, 0
                ended = self._ended[link] = asyncio.Event()
                self._heard_at[link] = self._clock.monotonic()
                self.links[member.incarnation] = link
                self.send(link, ["O", self._cluster_frames.mine(None)])
                self._dials += 1
                self.send(link, ["N", self._dials])
                self._messages.link_up(member.incarnation)
                await ended.wait()
                link = None
        finally:
            if link is not None:
                self.links.pop(member.incarnation, None)
                self._forget(link)
                link.close()
                self._messages.link_lost(link)

    def _forget(self, link: Link) -> None:
        self._ended.pop(link, None)
        self._heard_at.pop(link, None)
        self._dialled_by.pop(link, None)

    def _link_ended(self, link: Link) -> None:
        assert self._messages is not None
        assert self._cluster_frames is not None
        ended = self._ended.get(link)
        self._forget(link)
        for number in [n for n, (used, _) in self._calls.items() if used is link]:
            _, answer = self._calls.pop(number)
            if not answer.done():
                answer.set_exception(LinkLost("ended before the answer"))
        if ended is None:
            return  # the peer dialled it and dials again
        if self.links.get(link.peer.incarnation) is link:
            del self.links[link.peer.incarnation]
        self.counts["lines_lost"] += 1
        if link.peer.incarnation in self._byes:
            self._log("left_peer", peer=link.peer.incarnation)
        else:
            self._log("lost_peer", peer=link.peer.incarnation, reason="the line has ended")
        self._messages.link_lost(link)
        self._cluster_frames.cut_off(link.peer.incarnation)
        ended.set()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            now = self._clock.monotonic()
            for link, heard_at in list(self._heard_at.items()):
                if now - heard_at > SILENT_S:
                    self._log("silent_line", peer=link.peer.incarnation)
                    link.close()
                    self._link_ended(link)
                else:
                    self.send(link, ["P"])

    # -- frames -------------------------------------------------------------------------------

    def send(self, link: Link, frame: list[Any]) -> bool:
        """Send one frame. False if the link is full or closed."""
        return link.send(orjson.dumps(frame))

    def broadcast(self, frame: list[Any]) -> None:
        """Send one frame to all peers."""
        body = orjson.dumps(frame)
        for link in list(self.links.values()):
            link.send(body)

    def _receive(self, link: Link, body: bytes) -> None:
        self._heard_at[link] = self._clock.monotonic()
        try:
            self._take(link, orjson.loads(body))
        except (UndecodableValue, KeyError, TypeError, ValueError, IndexError) as error:
            self._log("garbled_frame", peer=link.peer.incarnation, exc_info=error)
            self.counts["garbled"] += 1

    def _take(self, link: Link, frame: list[Any]) -> None:
        assert self._messages is not None
        assert self._cluster_frames is not None
        match frame[0]:
            case "P":
                pass
            case "E":
                _, to, delivery, content, topic, trace = frame
                self._emitter.emit(Emit(to, Delivery(delivery), content, topic), trace)
            case "O":
                epochs = [(int(s), int(e)) for s, e in frame[1]]
                self._cluster_frames.owned_by(link.peer.incarnation, epochs)
            case "N":
                if not self._is_newest(link, *frame[1:]):
                    return
                self._dialled_by[link] = link.peer.incarnation
                self._cluster_frames.dialled(
                    link.peer.incarnation, known=link.peer.incarnation in self._keeping
                )
            case "W":
                mine, asker = self._cluster_frames.mine(frame[1]), self.links.get(link.peer.incarnation)
                if mine and asker is not None:
                    self.send(asker, ["O", mine])
            case "B":
                self._byes.add(link.peer.incarnation)
            case "C":
                assert self._tasks is not None
                self._tasks.create_task(self._answer(link, *frame[1:]), name=f"called {frame[2]}")
            case "r" | "f":
                self._answered(frame)
            case _:
                self._messages.receive(link, frame)

    def _is_newest(self, link: Link, number: int = 0) -> bool:
        """True for a peer's newest link. Its older links are closed.

        A peer repeats the asks of an older link on the newer one, so unread frames of the older one must not be read
        later. A slow network may deliver the newer link first.
        """
        peer = link.peer.incarnation
        newest = self._newest.pop(peer, 0)
        self._newest[peer] = max(newest, number)
        if len(self._newest) > LIVES_REMEMBERED:
            del self._newest[next(iter(self._newest))]
        if 0 < number < newest:
            link.close()
            self._link_ended(link)
            return False
        for older in [x for x, i in self._dialled_by.items() if i == peer and x is not link]:
            older.close()
            self._link_ended(older)
        return True

    # -- calls --------------------------------------------------------------------------------

    async def call(self, incarnation: str, name: str, value: Any, wait_s: float = CALL_S) -> Any:
        """Call an instance and wait for its answer.

        Raises:
            LinkLost: there is no link, it ended, or the other end has failed.
            TimeoutError: no answer within `wait_s`.
        """
        link = self.links.get(incarnation)
        if link is None:
            raise LinkLost("no line")
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[number] = (link, answer)
        try:
            if not self.send(link, ["C", number, name, value]):
                raise LinkLost("the line is full")
            async with asyncio.timeout(wait_s):
                return await answer
        finally:
            self._calls.pop(number, None)

    async def _answer(self, link: Link, number: int, name: str, value: Any) -> None:
        assert self._cluster_frames is not None
        try:
            result = await self._cluster_frames.called(name, link.peer, value)
        except (JournalError, LeasesAway):
            self.send(link, ["f", number])
        except Exception as error:  # noqa: BLE001 - a failed answer is an answer
            self._log("failed_call", call=name, peer=link.peer.incarnation, exc_info=error)
            self.send(link, ["f", number])
        else:
            self.send(link, ["r", number, result])

    def _answered(self, frame: list[Any]) -> None:
        _, answer = self._calls.get(frame[1], (None, None))
        if answer is not None and not answer.done():
            if frame[0] == "r":
                answer.set_result(frame[2])
            else:
                answer.set_exception(LinkLost("the other end has failed"))

    # -- the emitter --------------------------------------------------------------------------

    def emit(self, emit: Emit, trace: str) -> None:
        """Implements actors.ports.Emitter: addresses end in `@incarnation` of the instance that has them."""
        home = emit.to.rpartition("@")[2]
        if home == self.me.incarnation:
            self._emitter.emit(emit, trace)
            return
        if emit.delivery is Delivery.TOPIC:
            if self.links:
                emit = Emit(emit.to, emit.delivery, emit.made(), emit.topic)
                self.broadcast(["E", emit.to, emit.delivery, emit.frame, emit.topic, trace])
            self._emitter.emit(emit, trace)
            return
        link = self.links.get(home)
        if link is None or not self.send(link, ["E", emit.to, emit.delivery, emit.frame, emit.topic, trace]):
            self.counts["emits_dropped"] += 1
