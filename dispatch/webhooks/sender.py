"""Sender: claims endpoints at which something is due, and keeps a delivery running for each.

Any number of senders may run; an endpoint has one at a time. A sender that dies loses nothing: its leases run out, and
what it had not settled is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib

from actors.cancellation import end
from actors.clock import Clock, Randomness
from actors.tracing import NO_TRACER, Tracer
from dispatch.webhooks.delivery import REQUEST_S_MAX, Lost, WebhookDelivery
from dispatch.webhooks.ports import Observer, Post, WebhookStore
from dispatch.webhooks.settling import Settling
from dispatch.webhooks.values import WebhookClaim
from storage.errors import StorageError

# Endpoints at once, and how many of them may have failed before: receivers that hang leave room for the others.
WIDTH, FAILING_MAX = 64, 32
LEASE_S = 30.0
# Longest time until an event is found of which nobody has told this sender.
POLL_S = 1.0
# At the end: for requests under way, and for the last write.
GRACE_S, LAST_WRITE_S = 3.0, 2.0


class Sender:
    """Sends the events of the log to endpoints.

    Args:
        request_s: what must be left of a lease when a request begins.
        grace_s: how long requests under way may take at the end.
    """

    def __init__(
        self,
        store: WebhookStore,
        post: Post,
        clock: Clock,
        entropy: Randomness,
        observer: Observer,
        *,
        lease_s: float = LEASE_S,
        request_s: float = REQUEST_S_MAX,
        grace_s: float = GRACE_S,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        assert lease_s > request_s, "a request must end within its lease"
        self._store = store
        self._post = post
        self._clock = clock
        self._entropy = entropy
        self._observer = observer
        self._lease_s = lease_s
        self._request_s = request_s
        self._grace_s = grace_s
        self._tracer = tracer
        self._due = asyncio.Event()
        self._settling = Settling(store, clock, lease_s, observer, self.wake)
        self._running: dict[asyncio.Task[None], WebhookDelivery] = {}
        self._failing: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Endpoints that are being sent to."""
        return len(self._running)

    def wake(self) -> None:
        """Look for due endpoints now: events came into the log."""
        self._due.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`; then end what is under way, and write how far it came.

        After a cancellation what is not written is sent again.
        """
        async with asyncio.TaskGroup() as tasks:
            settling = tasks.create_task(self._settling.run(), name="webhooks: settling")
            claims = tasks.create_task(self._claim_loop(tasks), name="webhooks: claims")
            await stop.wait()
            await end([claims])
            await self._finish()
            await end([settling, *self._running])

    async def _claim_loop(self, tasks: asyncio.TaskGroup) -> None:
        begun = False
        while True:
            self._due.clear()
            try:
                if not begun:
                    await self._store.begin()
                    begun = True
                found = await self._claim(tasks)
            except StorageError as error:
                self._observer.failed("claim", error)
                found = 0
            if not found:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._due.wait()

    async def _claim(self, tasks: asyncio.TaskGroup) -> int:
        """Claim what there is room for, and begin to send. Returns how many endpoints it is."""
        room = WIDTH - len(self._settling.endpoints)
        if room <= 0:
            return 0
        failing = max(0, FAILING_MAX - len(self._failing))
        # A lease counts from the question: the answer may come after a freeze.
        asked = self._clock.monotonic()
        claims = await self._store.claim(room, failing, self._lease_s)
        for claim in claims:
            self._begin(claim, asked, tasks)
        return len(claims)

    def _begin(self, claim: WebhookClaim, asked: float, tasks: asyncio.TaskGroup) -> None:
        ledger = self._settling.open(claim, asked)
        delivery = WebhookDelivery(
            ledger,
            self._store,
            self._post,
            self._clock,
            self._entropy,
            self._observer,
            self._request_s,
            self._tracer,
        )

        async def deliver() -> None:
            try:
                await delivery.run()
            except Lost:
                self._settling.drop(ledger)
            except StorageError as error:
                self._observer.failed("read", error)
                ledger.release(POLL_S)
            except Exception as error:  # noqa: BLE001 - an error of ours must not end the other deliveries
                # The claim is not released, and each new one of this endpoint has a longer lease.
                self._settling.drop(ledger)
                self._observer.failed("deliver", error)

        task = tasks.create_task(deliver(), name=f"webhook {claim.endpoint}")
        self._running[task] = delivery
        if claim.trouble.failures:
            self._failing.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._failing.discard(task)

    async def _finish(self) -> None:
        """End the deliveries after their requests, and write the rest. What does not end in time is sent again."""
        for delivery in self._running.values():
            delivery.stop()
        if self._running:
            await asyncio.wait([*self._running], timeout=self._grace_s)
        with contextlib.suppress(StorageError, TimeoutError):
            async with asyncio.timeout(LAST_WRITE_S):
                await self._settling.flush()
