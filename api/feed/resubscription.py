"""Sessions whose driver's actor has moved to another instance, or to whom the line was cut, are bound again.

The client notices nothing: the actor sends what was missed, and the session drops what it has sent already.
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

# Bound at once: a hand-over of eight shards moves some three hundred of ten thousand sessions.
BATCH = 64
RETRY_S = 0.25
# Who cannot be bound for this long is sent away: another instance may reach the driver's actor.
GIVE_UP_S = 10.0


class Rebindable(Protocol):
    """A session as its binding needs it: the real one, or the simulator's.

    Attributes:
        number: what orders the sessions of a driver; its actor gives it.
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
    """The sessions that are open, by address; a hub."""

    @property
    def clock(self) -> Clock: ...

    @property
    def sessions(self) -> Collection[str]: ...


class Resubscription:
    """The queue of sessions to be bound again."""

    def __init__(self, hub: SessionTable, dispatch: Dispatch) -> None:
        self._hub = hub
        self._dispatch = dispatch
        self._queue: deque[Rebindable] = deque()
        self._since: dict[str, float] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def want(self, session: Rebindable) -> None:
        """Have this session bound again soon; asking twice is asking once."""
        if session.address not in self._since:
            self._since[session.address] = self._hub.clock.monotonic()
            self._queue.append(session)
            self._wake.set()

    async def run(self) -> None:
        """Bind until cancelled."""
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
