"""A mall's log of events in memory, receivers that do as the test says, and senders on a virtual clock."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from actors.clock import LoopClock
from dispatch.webhooks.sender import Sender
from dispatch.webhooks.store import QueryStore
from dispatch.webhooks.values import Answer, Message
from storage.memory.jobs import MemoryJobs
from storage.memory.webhooks import MemoryEndpoint, MemoryWebhooks

GOOD = Answer(204)
Says = Callable[[Message, int], Answer | None]


class SeededRandomness:
    """Randomness of a seed. Implements actors.clock.Randomness."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def trace(self) -> str:
        return self.token()

    def random(self) -> float:
        return self._random.random()


class SilentObserver:
    """Implements dispatch.webhooks.ports.Observer."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, str]] = []
        self.failures: list[tuple[str, Exception]] = []

    def attempted(self, answer: Answer) -> None:
        del answer

    def ended(self, endpoint: int, why: str) -> None:
        self.ends.append((endpoint, why))

    def failed(self, what: str, error: Exception) -> None:
        self.failures.append((what, error))


class Receivers:
    """Implements dispatch.webhooks.ports.Post.

    Attributes:
        says: what an endpoint answers to a message, and to which of its messages; by default 204.
        takes_s: how long its answer takes.
        got: messages of each endpoint, also those that were not answered well.
        taken: those that were.
        overlaps: messages that came while another one to the same endpoint was under way.
    """

    def __init__(self) -> None:
        self.says: dict[int, Says] = {}
        self.takes_s: dict[int, float] = {}
        self.got: dict[int, list[Message]] = defaultdict(list)
        self.taken: dict[int, list[Message]] = defaultdict(list)
        self.overlaps: list[Message] = []
        self._at_work: set[int] = set()

    async def send(self, message: Message) -> Answer | None:
        if message.endpoint in self._at_work:
            self.overlaps.append(message)
        self._at_work.add(message.endpoint)
        try:
            number = len(self.got[message.endpoint])
            self.got[message.endpoint].append(message)
            await asyncio.sleep(self.takes_s.get(message.endpoint, 0.01))
            says = self.says.get(message.endpoint)
            answer = GOOD if says is None else says(message, number)
            if answer is not None and answer.good:
                self.taken[message.endpoint].append(message)
            return answer
        finally:
            self._at_work.discard(message.endpoint)

    def ids(self, endpoint: int) -> list[str]:
        """Ids of what an endpoint has taken, without repetitions."""
        return [*dict.fromkeys(message.id for message in self.taken[endpoint])]

    def attempts(self, endpoint: int) -> list[str]:
        """Ids of everything that an endpoint got."""
        return [message.id for message in self.got[endpoint]]


class WebhookWorld:
    """A log, endpoints and receivers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int = 1) -> None:
        self.clock = LoopClock(loop, 1_800_000_000.0)
        self.entropy = SeededRandomness(seed)
        self.jobs = MemoryJobs(self.clock)
        self.webhooks = MemoryWebhooks(self.jobs, self.clock)
        self.receivers = Receivers()
        self.observer = SilentObserver()

    async def endpoint(self, number: int, **values: Any) -> MemoryEndpoint:
        """A new endpoint at the end of the log."""
        usual: dict[str, Any] = {"url": f"https://{number}.example/", "types": [], "zone_ids": [], "store_ids": [],
                                 "owner_store_id": None, "on_refused": "skip"}  # fmt: skip
        await self.webhooks.value("webhook_create", number, b"sealed", usual | values, 1000)
        return self.webhooks.endpoints[number]

    def happen(
        self,
        count: int = 1,
        kind: str = "order.created",
        *,
        zone: int | None = 1,
        stores: Sequence[int] = (1,),
    ) -> None:
        """Events come into the log."""
        for _ in range(count):
            pos = len(self.jobs.events) + 1
            body = orjson.dumps({"type": kind, "sequence": pos})
            event = {"type": kind, "zone_id": zone, "store_ids": [*stores], "body": body, "trace": "f" * 32}
            self.jobs.events.append(event)
        self.webhooks.wake([kind])

    def sender(self, store: Any = None, *, entropy: SeededRandomness | None = None) -> Sender:
        """A sender over this world, or over something that stands before its store."""
        store = store or QueryStore(self.webhooks, self.clock)
        return Sender(store, self.receivers, self.clock, entropy or self.entropy, self.observer)

    async def send_for(self, seconds: float, *senders: Sender) -> None:
        """Let senders work, one of this world by default, and stop them in order."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for one in senders or (self.sender(),):
                tasks.create_task(one.run(stop))
            await asyncio.sleep(seconds)
            stop.set()


async def killed_after(seconds: float, running: Callable[[], Awaitable[None]]) -> None:
    """Run something, and cancel it in the midst."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_ignoring_result(running))
        await asyncio.sleep(seconds)
        task.cancel()


async def _ignoring_result(running: Callable[[], Awaitable[None]]) -> None:
    await running()
