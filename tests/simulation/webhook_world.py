"""Webhooks in the world: four endpoints, receivers that hang and fail, and what must hold of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from dispatch.webhooks.values import Answer, Message
from storage.errors import StorageError
from storage.memory.webhooks import MemoryWebhooks
from tests.simulation.checks import Violation

if TYPE_CHECKING:
    from tests.simulation.work import BackgroundWork, WorkHost
    from tests.simulation.work_wire import WorkWire

# A request ends within its deadline, which is shorter than what must be left of the lease. A freeze may outlive both.
LEASE_S, REQUEST_S, DEADLINE_S = 4.0, 2.0, 1.5
# From an event's place in the log to its receiver, when nothing is wrong. A poll would take a second.
PROBE_S = 0.5
PROBE = "stock.low"
HANGS, FAILS = 3, 2
# Few events for each. Probes are of store 1: they wake the last endpoint, and its cursor passes over them.
ENDPOINTS: Mapping[int, Mapping[str, Any]] = {
    1: {"types": ["order.delivered", PROBE]},
    FAILS: {"types": ["order.cancelled", "order.released", PROBE]},
    HANGS: {"types": ["order.picked_up"], "zone_ids": [1]},
    4: {"types": ["order.created", PROBE], "store_ids": [2]},
}


class Webhooks:
    """Endpoints, what their receivers have taken, and the invariants."""

    def __init__(self, work: BackgroundWork, clock: Any) -> None:
        self._work = work
        self._broken = work.world.checks.broken
        self.store = MemoryWebhooks(work.jobs, clock)
        self._taken: dict[int, dict[int, None]] = {}
        # How far the cursor of an endpoint was looked at.
        self._checked: dict[int, int] = {}
        self._logged: dict[int, float] = {}
        self.repeats = 0
        usual: dict[str, Any] = {
            "zone_ids": [],
            "store_ids": [],
            "owner_store_id": None,
            "on_refused": "skip",
        }
        for number, filters in ENDPOINTS.items():
            values = {"url": f"https://{number}.example/", **usual, **filters}
            self.store._calls["webhook_create"](number, b"sealed", values, 100)
            self._taken[number], self._checked[number] = {}, 0

    def recover(self) -> None:
        """Receivers are well again, and a person has those tried that failed."""
        for number, one in self.store.endpoints.items():
            if one.failures:
                self.store._calls["webhook_enable"](number, False)

    # -- what happens ------------------------------------------------------------------------------

    def logged(self, now: float) -> None:
        """New places of the log, when nothing is wrong."""
        for pos in range(len(self._work.jobs.events), 0, -1):
            if pos in self._logged or self._work.jobs.events[pos - 1]["type"] != PROBE:
                return
            self._logged[pos] = now

    def take(self, message: Message, now: float) -> None:
        """A receiver takes a message: what it has not seen before comes in order, without a gap."""
        pos, taken = int(message.id.removeprefix("evt_")), self._taken[message.endpoint]
        self._want(
            orjson.loads(message.body)["sequence"] == pos, f"{message.id} has the body of another event"
        )
        if pos in taken:
            self.repeats += 1
            return
        last = next(reversed(taken), 0)
        missing = [number for number in self._wanted(message.endpoint, last, pos) if number != pos]
        self._want(not missing, f"endpoint {message.endpoint} got event {pos} before {missing[:3]}")
        self._want(pos > last, f"endpoint {message.endpoint} got event {pos} after {last}")
        self._want(bool(self._wanted(message.endpoint, pos - 1, pos)), f"event {pos} is not wanted")
        taken[pos] = None
        took_s = now - self._logged.get(pos, now)
        self._want(took_s <= PROBE_S, f"an event was sent {took_s:.3f} s late, though nothing was wrong")

    def at_settle(
        self, items: Sequence[Mapping[str, Any]], settle: Callable[[], Sequence[int]]
    ) -> Sequence[int]:
        """The newest claim counts, and no cursor passes over what was not delivered."""
        newest = {number: one.claim for number, one in self.store.endpoints.items()}
        held = settle()
        late = [item["id"] for item in items if item["id"] in held and item["claim"] != newest[item["id"]]]
        self._want(not late, f"claims of endpoints {late} were settled too late")
        for number, one in self.store.endpoints.items():
            passed = self._wanted(number, self._checked[number], one.reached)
            lost = [pos for pos in passed if pos not in self._taken[number]]
            self._want(not lost, f"the cursor of endpoint {number} is beyond undelivered events {lost[:3]}")
            self._checked[number] = one.reached
        return held

    def at_end(self) -> None:
        """After the faults have stopped: each endpoint got all that it wants."""
        for number, taken in self._taken.items():
            wanted = self._wanted(number, 0, len(self._work.jobs.events))
            missing = [pos for pos in wanted if pos not in taken]
            self._want(not missing, f"endpoint {number} never got events {missing[:5]}")

    def _wanted(self, number: int, after: int, upto: int) -> list[int]:
        one, log = self.store.endpoints[number], self._work.jobs.events
        return [pos for pos in range(after + 1, upto + 1) if one.wants(log[pos - 1])]

    def _want(self, holds: bool, what: str) -> None:
        if not holds:
            self._broken.append(what)
            raise Violation(what)


class WebhookPost:
    """Requests of one life of a host. Implements dispatch.webhooks.ports.Post and Observer."""

    def __init__(self, host: WorkHost, wire: WorkWire) -> None:
        self._host = host
        self._wire = wire
        self._at_work: dict[int, float] = {}

    async def send(self, message: Message) -> Answer | None:
        """See ports.Post: requests and answers may be lost, and whoever hangs is given up."""
        work = self._host.work
        if not work.world.quiet and work.rng.random() < 0.02:
            return None
        now = work.world.loop.time()
        # After a freeze that outlived the lease, the answer of the request before may come a moment later.
        since = self._at_work.get(message.endpoint, now)
        alone = message.endpoint not in self._at_work or self._host.frozen_until > since
        work.hooks._want(alone, "two requests at once to one endpoint")
        self._at_work[message.endpoint] = now
        try:
            return await self._asked(message)
        finally:
            self._at_work.pop(message.endpoint, None)

    async def _asked(self, message: Message) -> Answer:
        host, rng, loop = self._host, self._host.work.rng, self._host.work.world.loop
        faults, answer = host.work.world.faults, loop.create_future()
        back, lost = rng.uniform(0.0002, 0.02), rng.random()

        def give(said: Answer) -> None:
            if host.frozen_s():
                loop.call_later(host.frozen_s(), give, said)
            elif not answer.done():
                answer.set_result(said)

        def arrive() -> None:
            said = None if lost < faults.lost_request else self._received(message)
            if said is not None and lost <= 1 - faults.lost_answer:
                loop.call_later(back, give, said)

        loop.call_later(rng.uniform(0.0005, 0.02) + host.frozen_s(), arrive)
        loop.call_later(DEADLINE_S, give, Answer(None, "timeout"))
        said: Answer = await answer
        return said

    def _received(self, message: Message) -> Answer | None:
        work = self._host.work
        chance = 1.0 if work.world.quiet else work.rng.random()
        if message.endpoint == HANGS and chance < 0.3:
            return None
        if message.endpoint == FAILS and chance < 0.15:
            return Answer(503)
        work.hooks.take(message, work.world.loop.time())
        return Answer(204)

    def attempted(self, answer: Answer) -> None:
        del answer

    def ended(self, endpoint: int, why: str) -> None:
        self._host.work.hooks._want(False, f"endpoint {endpoint} was disabled: {why}")

    def failed(self, what: str, error: Exception) -> None:
        """Only the store may fail, and violations pass through the sender."""
        excused = isinstance(error, StorageError | Violation | asyncio.CancelledError)
        self._host.work.hooks._want(excused, f"a sender could not {what}: {error!r}")
