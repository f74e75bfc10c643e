"""Resubscription: sessions are bound again when their driver's actor has a new owner, or when the link to it was cut.

The client notices nothing: the actor sends the missed entries, and the session drops those that it has sent already.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Protocol

from actors.clock import Clock
from actors.errors import ActorError
from api.feed.state import FeedState
from api.subscriptions import close_codes
from dispatch.service import Dispatch

# Sessions bound at once: a hand-over of eight shards moves some three hundred of ten thousand.
BATCH = 64
RETRY_S = 0.25
# A session that cannot be bound for this long is closed: another instance may reach the driver's actor.
GIVE_UP_S = 10.0


class Rebindable(Protocol):
    """Interface of a session to its binding; sessions and the simulator's sockets implement it.

    Attributes:
        number: order among the sessions of a driver; its actor assigns it.
    """

    address: str
    trace: str
    opened_ms: int
    number: tuple[int, int] | None

    @property
    def driver(self) -> int: ...

    @property
    def state(self) -> FeedState: ...

    def close(self, code: int) -> None: ...


class SessionTable(Protocol):
    """Interface to the open sessions, by address; implemented by a hub."""

    @property
    def clock(self) -> Clock: ...

    @property
    def sessions(self) -> Collection[str]: ...


class Resubscription:
    """Queue of sessions that need a new binding."""

    def __init__(self, hub: SessionTable, dispatch: Dispatch) -> None:
        self._hub = hub
        self._dispatch = dispatch
        self._queue: deque[Rebindable] = deque()
        self._since: dict[str, float] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def want(self, session: Rebindable) -> None:
        """Queue this session for a new binding; a second call changes nothing."""
        if session.address not in self._since:
            self._since[session.address] = self._hub.clock.monotonic()
            self._queue.append(session)
            self._wake.set()

    async def run(self) -> None:
        """Bind queued sessions until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                async with asyncio.TaskGroup() as tasks:
                    for session in batch:
                        tasks.create_task(self._bind(session), name="bind again")
                if any(session.address in self._since for session in batch):
                    await asyncio.sleep(RETRY_S)

    async def _bind(self, session: Rebindable) -> None:
        since = self._since.pop(session.address)
        state = session.state
        if state.closing or session.address not in self._hub.sessions:
            return
        try:
            session.number = await self._dispatch.connect(
                session.driver,
                session.address,
                state.epoch,
                state.position,
                session.trace,
                opened_ms=session.opened_ms,
                again=state.welcomed,
                number=session.number,
            )
        except ActorError:
            if self._hub.clock.monotonic() - since > GIVE_UP_S:
                session.close(close_codes.UNREADABLE)
            else:
                self.want(session)
                self._since[session.address] = since
