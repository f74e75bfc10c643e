"""Dispatch service: every operation on orders, drivers and zones, one short method each.

REST and the feed call the same methods. Commands of orders are in `domain/commands.py` and go through `command`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

from actors.batcher import Batcher
from actors.dedup import make_command
from actors.errors import JournalError, NotWritten, OutcomeUnknown, Unavailable
from actors.messages import Command, Envelope, Receiver, Seed
from actors.runtime import Runtime
from actors.shards import shard_of
from actors.tracing import SpanKind, SpanService, is_recorded
from actors.values import frozen
from dispatch import messages as m
from dispatch.domain import commands as d
from dispatch.domain.commands import PAYMENT_WINDOW_MS, By
from dispatch.domain.driver import OFFLINE, ONLINE
from dispatch.domain.geo import Place
from dispatch.domain.order import Order
from dispatch.driver_actor import driver_ref
from dispatch.driver_state import DriverState
from dispatch.order_actor import MADE, order_ref
from dispatch.order_creation import Bounds, NewOrder, Placed, placed_from
from dispatch.order_progress import OrderProgress
from dispatch.payment_notes import payment_note
from dispatch.zone_actor import zone_ref

# Idempotency keys are kept for a week: longer than any client retries.
KEY_TTL_S = 7 * 24 * 3600
CREATE_ROUTE = "POST /orders"
# An unanswered creation is repeated under its key; five tries take two seconds.
CREATE_TRIES = 5
# Pause before a creation is repeated that another program's lock has blocked.
LOCKED_S = 0.2
# One batch at a time, because requests that wait meanwhile make the next one larger (make bench, 64 at once, six pairs:
# 1.22 times as many a second as with two, at 0.87 and 0.90 times the server's and Postgres's time).
CREATE_LANES = 1


class Placer(Protocol):
    """Creates batches of orders; storage implements it."""

    async def place(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any] | JournalError]: ...


@frozen
class Caller:
    """Caller of an operation: role, user number, and the request's trace.

    `key` is the client's idempotency key, or ""; `body` is a creation's body, for its fingerprint.
    """

    role: str
    number: int
    trace: str
    key: str = ""
    body: bytes = b""

    def command(self, name: str, target: int, message: object) -> Command | None:
        """Make the command of this call; None without a key.

        The fingerprint is of the message, so that REST and the feed can repeat each other's commands.
        """
        if not self.key:
            return None
        who = f"{self.role}:{self.number}"
        return make_command(who, name, str(target), self.key, repr(message).encode())

    @property
    def by(self) -> By:
        """The caller as an order's history shows it."""
        prefix = "drv" if self.role == "driver" else "usr"
        return By(self.role, f"{prefix}_{self.number}")


class Dispatch:
    """Dispatch service of one instance."""

    def __init__(
        self,
        runtime: Runtime,
        placer: Placer,
        bounds: Bounds | None = None,
        progress: OrderProgress | None = None,
    ) -> None:
        self.runtime = runtime
        self.progress = progress or OrderProgress()
        self._bounds = bounds or Bounds()
        self.creations: Batcher[dict[str, Any], dict[str, Any]] = Batcher(
            placer.place, batch_max=64, repeat=CREATE_TRIES
        )

    async def run(self) -> None:
        """Write batches of creations until cancelled. Requests that arrive during one batch make the next."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CREATE_LANES):
                tasks.create_task(self.creations.run(), name="creations")

    # -- orders -------------------------------------------------------------------------------

    async def create_order(self, caller: Caller, new: NewOrder, budget_s: float = 5.0) -> Placed:
        """Create an order under the caller's key. The same key and body always get the same answer.

        Raises:
            NotProcessed: nothing happened.
            OutcomeUnknown: repeat it with the same key.
        """
        request = {
            "customer": caller.number,
            "route": CREATE_ROUTE,
            "key": sha256(caller.key.encode()).hexdigest(),
            "fingerprint": sha256(caller.body).hexdigest(),
            "lines": [{"product": product, "quantity": quantity} for product, quantity in new.lines],
            "lat": new.dropoff.lat,
            "lon": new.dropoff.lon,
            "address": new.address,
            "payment": new.payment,
            "notes": new.notes,
            "contact_name": new.contact_name,
            "contact_phone": new.contact_phone,
            "expected": None if new.expected is None else new.expected.amount_minor,
            "expected_currency": None if new.expected is None else new.expected.currency,
            "unpaid_max": self._bounds.unpaid_orders,
            "held_max": self._bounds.held_pieces,
            "low_stock": self._bounds.low_stock,
            "wish": new.wish(),
            "trace": caller.trace,
            "ttl_s": KEY_TTL_S,
            "pay_window_s": PAYMENT_WINDOW_MS // 1000,
        }
        began = self.runtime.clock.monotonic()
        try:
            async with asyncio.timeout(budget_s):
                answer = await self._created(request, began + budget_s)
        except NotWritten as error:
            raise Unavailable(str(error)) from error
        except (JournalError, TimeoutError) as error:
            raise OutcomeUnknown from error
        placed = placed_from(answer)
        if placed.made is not None and not placed.replayed:
            self.progress.created()
            # May be lost: the due row is in the same commit, and the timer poll finds it.
            seed = Seed(began, {MADE: placed.made})
            self.runtime.tell(order_ref(placed.made.id), m.Created(), trace=caller.trace, seed=seed)
        return placed

    async def _created(self, request: dict[str, Any], until: float) -> dict[str, Any]:
        """Queue a creation and return its answer. One that another program's lock blocks is repeated until its
        deadline.
        """
        if not is_recorded(request["trace"]):
            return await self._ask_creation(request, until)
        begin = self.runtime.tracer.begin
        with begin(SpanService.POSTGRES, "create_orders", request["trace"], SpanKind.CLIENT).running():
            return await self._ask_creation(request, until)

    async def _ask_creation(self, request: dict[str, Any], until: float) -> dict[str, Any]:
        monotonic = self.runtime.clock.monotonic
        while True:
            began = monotonic()
            try:
                return await self.creations.ask(request)
            except NotWritten as error:
                # Another try takes as long as this one. One that the deadline cuts would leave the outcome unknown.
                if not error.locked or monotonic() + LOCKED_S + (monotonic() - began) >= until:
                    raise
            await asyncio.sleep(LOCKED_S)

    async def order(self, number: int, trace: str = "") -> Order:
        """The order as committed, from its actor.

        Raises:
            NoSuchActor: there is none.
        """
        order: Order = await self.runtime.ask(order_ref(number), m.View(), trace=trace)
        return order

    async def pay(self, number: int, payment_id: int, trace: str) -> m.Reply:
        """Tell an order that its money is held. Returns `paid`, or `order_closed` if the order has ended.

        A repetition changes nothing, so no key is needed.
        """
        answer = await self.runtime.ask(order_ref(number), d.Pay(payment_id), trace=trace)
        return m.Reply(*answer)

    async def note_payment(self, row: Mapping[str, Any]) -> None:
        """Tell an order's history about its payment, once for each version of the payment's row.

        Raises:
            ActorError: the order cannot be reached; repeat.
        """
        await self.runtime.ask(order_ref(row["order_id"]), payment_note(row), trace=row["trace"])

    async def watch(self, number: int, address: str, user: int, trace: str) -> Order | None:
        """Stream an order's changes to an address of this user. None above the limit of watchers."""
        order: Order | None = await self.runtime.ask(order_ref(number), m.Watch(address, user), trace=trace)
        return order

    def unwatch(self, number: int, address: str) -> None:
        """End a stream of an order's changes."""
        self.runtime.tell(order_ref(number), m.Unwatch(address))

    async def command(self, caller: Caller, number: int, wish: d.Wish) -> m.Reply:
        """Send a command to its order and wait for the reply.

        Raises:
            NoSuchActor: there is no such order.
            NotProcessed: nothing happened.
            OutcomeUnknown: repeat it with the same key.
        """
        answer = await self.runtime.ask(
            order_ref(number),
            wish,
            command=caller.command(wish.verb, number, wish),
            trace=caller.trace,
        )
        return m.Reply(*answer)

    def command_for(self, reply: Receiver, caller: Caller, number: int, wish: d.Wish) -> Envelope:
        """Send a command; the reply goes to a receiver, as the three parts of a Reply. See Runtime.ask_for."""
        return self.runtime.ask_for(
            reply,
            order_ref(number),
            wish,
            command=caller.command(wish.verb, number, wish),
            trace=caller.trace,
        )

    # -- drivers ------------------------------------------------------------------------------

    async def driver(self, number: int, trace: str = "") -> m.DriverSeen:
        """The driver as its actor sees it.

        Raises:
            NoSuchActor: there is none.
        """
        seen: m.DriverSeen = await self.runtime.ask(driver_ref(number), m.DriverView(), trace=trace)
        return seen

    async def set_availability(
        self, caller: Caller, status: str, shift_ends_ms: int | None = None
    ) -> m.Reply:
        """Set a driver online or offline. Offline, a driver gets no offers, but delivers its orders."""
        assert status in (ONLINE, OFFLINE)
        message = m.SetAvailability(status, shift_ends_ms)
        return await self._driver(caller, "availability", caller.number, message)

    def set_availability_for(
        self, reply: Receiver, caller: Caller, status: str, shift_ends_ms: int | None = None
    ) -> Envelope:
        """Set a driver online or offline; the reply goes to a receiver."""
        assert status in (ONLINE, OFFLINE)
        message = m.SetAvailability(status, shift_ends_ms)
        return self.runtime.ask_for(
            reply,
            driver_ref(caller.number),
            message,
            command=caller.command("availability", caller.number, message),
            trace=caller.trace,
        )

    async def set_driver(
        self, caller: Caller, number: int, zone_id: int | None, capacity: int | None
    ) -> m.Reply:
        """Change a driver's zone or capacity."""
        return await self._driver(caller, "driver", number, m.SetDriver(zone_id, capacity))

    async def ban_driver(self, caller: Caller, number: int) -> m.Reply:
        """Ban a driver: no more offers, and the session ends."""
        return await self._driver(caller, "ban", number, m.Banned())

    async def take_offline(self, caller: Caller, number: int) -> m.Reply:
        """Take a driver offline for an operator. Its offers end; it delivers its orders."""
        return await self._driver(caller, "take-offline", number, m.TakeOffline())

    def locate(
        self,
        number: int,
        place: Place,
        cseq: int | None = None,
        trace: str = "",
        *,
        accuracy_m: float | None = None,
        session: str = "",
    ) -> None:
        """Report a driver's position. The newest replaces unread ones. `cseq` counts within `session`."""
        message = m.PositionReported(place, cseq, accuracy_m, session)
        self.runtime.tell(driver_ref(number), message, trace=trace, latest="place")

    def offer_seen(self, number: int, offer_id: str) -> None:
        """Report that the driver's app shows an offer."""
        self.runtime.tell(driver_ref(number), m.OfferSeen(offer_id))

    def alive(self, number: int) -> None:
        """Report a sign of life of an unreachable driver. Unread repetitions are merged."""
        self.runtime.tell(driver_ref(number), m.Alive(), latest="alive")

    async def connect(
        self,
        driver: int,
        session: str,
        epoch: str | None,
        seq: int | None,
        trace: str,
        *,
        opened_ms: int = 0,
        again: bool = False,
        number: tuple[int, int] | None = None,
    ) -> tuple[int, int] | None:
        """Bind a session to the driver's feed, or bind it again by its `number`. The welcome comes as a frame.

        Returns:
            The session's number; None from an owner of the previous version.
        """
        message = m.Connect(session, epoch, seq, opened_ms, again, number, numbered=True)
        answer = await self.runtime.ask(driver_ref(driver), message, trace=trace)
        return m.Connected(*answer) if len(answer) == 2 else None

    def disconnect(self, number: int, session: str) -> None:
        """Tell a driver's actor that its session has ended."""
        self.runtime.tell(driver_ref(number), m.Disconnect(session))

    async def _driver(self, caller: Caller, name: str, number: int, message: object) -> m.Reply:
        answer = await self.runtime.ask(
            driver_ref(number),
            message,
            command=caller.command(name, number, message),
            trace=caller.trace,
        )
        return m.Reply(*answer)

    # -- zones --------------------------------------------------------------------------------

    def wake_zone(self, number: int) -> None:
        """Activate a zone's actor, which then works by itself."""
        self.runtime.tell(zone_ref(number), m.ZoneView())

    def wake_zones(self, numbers: Iterable[int]) -> None:
        """Activate those of these zones that are owned here and not in memory."""
        for number in numbers:
            ownership = self.runtime.cells.owned[shard_of(zone_ref(number))]
            if ownership is not None and zone_ref(number) not in ownership.cells:
                self.wake_zone(number)

    def show_board(self, number: int) -> None:
        """Ask a zone to send its board to all instances. Unread repetitions are merged."""
        self.runtime.tell(zone_ref(number), m.ShowBoard(), latest="board")

    def watch_zone(self, number: int, address: str, *, whole: bool) -> None:
        """Tell a zone that operators behind this address look at it. Unread repetitions are merged."""
        kind = "whole" if whole else "lease"
        self.runtime.tell(zone_ref(number), m.WatchZone(address, whole), latest=f"{kind}:{address}")

    def unwatch_zone(self, number: int, address: str) -> None:
        """Tell a zone that nobody behind this address looks any more."""
        self.runtime.tell(zone_ref(number), m.UnwatchZone(address))

    def reconfigure_zone(self, number: int, trace: str) -> None:
        """Tell a zone that its settings have changed."""
        self.runtime.tell(zone_ref(number), m.Reconfigured(), trace=trace)

    async def drivers(self) -> AsyncIterator[DriverState]:
        """Iterate over the states of all drivers in memory."""
        async for cells in self.runtime.cells.in_turn():
            for actor, cell in list(cells.items()):
                if actor.kind == "driver" and cell.state is not None:
                    yield cell.state

    async def known(self) -> dict[int, tuple[int, frozenset[int]]]:
        """Last feed position and carried orders of each driver in memory with a live session."""
        return {
            d.driver.id: (d.last_seq, d.driver.carrying)
            async for d in self.drivers()
            if d.session is not None
        }

    async def places(self) -> dict[int, Place]:
        """Known places of all drivers in memory."""
        return {d.driver.id: d.place async for d in self.drivers() if d.place is not None}

    def feed_at(self, number: int, seq: int) -> None:
        """Tell a driver's actor the feed position that its row has."""
        self.runtime.tell(driver_ref(number), m.FeedAt(seq), latest="feed_at")

    def carries(self, number: int, order_ids: frozenset[int]) -> None:
        """Tell a driver's actor which orders it carries by the rows."""
        self.runtime.tell(driver_ref(number), m.Carries(order_ids), latest="carries")
