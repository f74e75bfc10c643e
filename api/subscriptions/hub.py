"""Hub: all sockets and streams of this instance, and the runtime's Emitter.

Actors address sessions and topics by name. A frame for a session that has ended is dropped: its driver's log has it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager
from typing import Any

import orjson
import structlog

from actors.cancellation import end
from actors.clock import Clock, Randomness
from actors.messages import Delivery, Emit
from actors.shards import shard_of
from api.subscriptions import close_codes
from api.subscriptions.anonymous_sockets import AnonymousSockets
from api.subscriptions.live_zones import LiveZones
from api.subscriptions.subscriber import Subscriber
from api.subscriptions.timer_wheel import TimerWheel
from config import metrics
from dispatch import feed_frames
from dispatch.zone_actor import zone_ref

log = structlog.get_logger()

# Sockets per instance; further clients are told to try another one.
SESSIONS_MAX = 25_000
# The first heartbeat of a socket comes within this, spread over all that were opened at once.
FIRST_LOOK_S = 25
# The process has stood still when the wheel's last turn is this old: frames may have arrived that are not read yet.
STALLED_S = 3.0
# Sockets served before a fan-out or a turn of the wheel yields to the loop.
FAN_OUT = 200
STREAM_CHANGES_MAX = 64
# An empty change for streams: the order's actor has a new owner, so read it and subscribe again.
MOVED: dict[str, Any] = {}


def _is_here(shard: int) -> bool:
    del shard
    return False


def _leave_it(wanted: object) -> None:
    del wanted


class Stream:
    """A server-sent stream of one order."""

    __slots__ = ("_changes", "_overflowed", "address", "shard")

    def __init__(self, address: str, shard: int) -> None:
        self.address = address
        self.shard = shard
        self._changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue(STREAM_CHANGES_MAX)
        self._overflowed = False

    def put(self, change: dict[str, Any]) -> None:
        """Queue a change; a stream that falls behind ends, and its client opens a new one."""
        try:
            self._changes.put_nowait(change)
        except asyncio.QueueFull:
            self._overflowed = True

    async def next(self) -> dict[str, Any] | None:
        """The next change; None when some were lost."""
        if self._overflowed:
            return None
        return await self._changes.get()


class Hub:
    """Table of sessions by address and of topics by name.

    Args:
        home: incarnation of this instance; addresses end in it, so that actors on other instances find the way.
    """

    def __init__(self, clock: Clock, entropy: Randomness, home: str = "") -> None:
        self.home = home
        self.clock = clock
        self.entropy = entropy
        self.sessions: dict[str, Subscriber] = {}
        self.draining = False
        self.anonymous = AnonymousSockets()
        self.live = LiveZones(clock, entropy, home)
        # Set in a cluster: where the actors are, and the resubscription of sessions. A single instance needs neither.
        self.is_far: Callable[[int], bool] = _is_here
        self.bind_again: Callable[[Any], None] = _leave_it
        self.want_board: Callable[[str], None] = _leave_it
        self._streams: dict[str, Stream] = {}
        self._topics: dict[str, dict[str, Subscriber]] = defaultdict(dict)
        self._boards: dict[str, bytes] = {}
        self._changed_topics: dict[str, bytes] = {}
        self._topic_wake = asyncio.Event()
        self._timer_wheel = TimerWheel()
        # Since when this process has been able to hear its clients.
        self.awake_at = clock.monotonic()
        self._opened = 0
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write frames, run heartbeats and fan topics out until the block ends."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            loops = [
                tasks.create_task(self._beat(), name="heartbeats"),
                tasks.create_task(self._fan_out(), name="topics"),
                tasks.create_task(self.live.run(), name="live zones"),
            ]
            try:
                yield
            finally:
                for session in list(self.sessions.values()):
                    session.close(close_codes.DRAINING)
                await asyncio.sleep(0)
                await end(loops)

    @property
    def tasks(self) -> asyncio.TaskGroup:
        assert self._tasks is not None, "the hub is not running"
        return self._tasks

    # -- sessions -----------------------------------------------------------------------------

    def add(self, session: Subscriber) -> bool:
        """Register a session; False when the instance is full."""
        if len(self.sessions) >= SESSIONS_MAX:
            return False
        self.sessions[session.address] = session
        self._opened += 1
        self._timer_wheel.put(session, 1 + self._opened % FIRST_LOOK_S)
        metrics.FEED_SESSIONS.set(len(self.sessions))
        return True

    def remove(self, session: Subscriber) -> None:
        self.sessions.pop(session.address, None)
        self._timer_wheel.drop(session)
        self.subscribe(session, None)
        metrics.FEED_SESSIONS.set(len(self.sessions))

    def subscribe(self, session: Subscriber, topic: str | None) -> None:
        """Subscribe the session to one topic (its zone's board); it gets the present state at once."""
        if session.topic is not None:
            followers = self._topics[session.topic]
            followers.pop(session.address, None)
            if not followers:
                del self._topics[session.topic]
        session.topic = topic
        if topic is not None:
            self._topics[topic][session.address] = session
            if topic in self._boards:
                session.push_latest("board", self._boards[topic])
            else:
                self.want_board(topic)

    # -- the emitter --------------------------------------------------------------------------

    def emit(self, emit: Emit, trace: str) -> None:
        """Implements actors.ports.Emitter."""
        del trace  # event frames carry their own
        if emit.delivery is Delivery.TOPIC:
            if emit.to not in self._topics:
                # It has no subscribers; the next one asks for a new board.
                self._boards.pop(emit.to, None)
                return
            board = orjson.dumps(emit.made())
            if board != self._boards.get(emit.to):
                self._boards[emit.to] = self._changed_topics[emit.to] = board
                self._topic_wake.set()
            return
        session = self.sessions.get(emit.to)
        if session is not None:
            if emit.delivery is Delivery.CLOSE:
                session.close(emit.frame)
            elif emit.delivery is Delivery.LATEST:
                session.push_latest(emit.topic, emit.frame)
            else:
                session.push(emit.frame)
            return
        stream = self._streams.get(emit.to)
        if stream is not None:
            stream.put(emit.frame)
        else:
            self.live.emit(emit.to, emit.frame)

    async def _fan_out(self) -> None:
        while True:
            await self._topic_wake.wait()
            self._topic_wake.clear()
            changed, self._changed_topics = self._changed_topics, {}
            for topic, frame in changed.items():
                followers = list(self._topics.get(topic, {}).values())
                for start in range(0, len(followers), FAN_OUT):
                    for session in followers[start : start + FAN_OUT]:
                        session.push_latest("board", frame)
                    await asyncio.sleep(0)

    # -- streams ------------------------------------------------------------------------------

    def open_stream(self, shard: int) -> Stream:
        """A new stream with an address of its own; `shard` is the order's."""
        stream = Stream(f"sse_{self.entropy.token()}@{self.home}", shard)
        self._streams[stream.address] = stream
        return stream

    def close_stream(self, stream: Stream) -> None:
        self._streams.pop(stream.address, None)

    def owner_changed(self, shards: Container[int]) -> None:
        """Resubscribe to the actors of these shards: they have a new owner, or a frame may have been lost."""
        for session in self.sessions.values():
            if session.shard in shards:
                self.bind_again(session)
        for stream in self._streams.values():
            if stream.shard in shards:
                stream.put(MOVED)
        self.live.owner_changed(shards)
        for topic in self._topics:
            if shard_of(zone_ref(feed_frames.zone_of(topic))) in shards:
                self.want_board(topic)

    # -- heartbeats and drain -----------------------------------------------------------------

    async def _beat(self) -> None:
        """Every second: ping silent clients, and close the ones that stayed silent."""
        due = self.clock.monotonic()
        while True:
            due = max(due + 1.0, self.clock.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, due - self.clock.monotonic()))
            if self.clock.monotonic() - due > STALLED_S:
                self.awake_at = self.clock.monotonic()
            for number, session in enumerate(self._timer_wheel.turn(), 1):
                if session.address in self.sessions:
                    self.look_at(session)
                if number % FAN_OUT == 0:
                    await asyncio.sleep(0)

    def look_at(self, session: Subscriber) -> None:
        """Run the heartbeat of a socket that is due."""
        self._timer_wheel.put(session, session.heartbeat(self.clock.monotonic()))

    async def drain(self, window_s: float) -> None:
        """Close all sockets, spread evenly over the window; each client gets its own moment to reconnect."""
        self.draining = True
        sessions = list(self.sessions.values())
        began = self.clock.monotonic()
        for index, session in enumerate(sessions):
            at_s = window_s * (index + 1) / len(sessions)
            session.push_latest(
                "drain",
                {"t": "drain", "reconnect_in_ms": int(at_s * 1000), "deadline_ms": int(window_s * 1000)},
            )
            if index % FAN_OUT == FAN_OUT - 1:
                await asyncio.sleep(0)
        for index, session in enumerate(sessions):
            wait_s = began + window_s * (index + 1) / len(sessions) - self.clock.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            session.close(close_codes.DRAINING)
        await asyncio.sleep(0.05 if sessions else 0)
        log.info("drained_sessions", count=len(sessions))
