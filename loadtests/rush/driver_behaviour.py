"""What a driver does next: offers, pick-ups, deliveries, with human reaction times. Pure.

The caller says what came in and what the time is; it gets jobs back when they are due.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from loadtests.kit.protocol import LOSING
from loadtests.rush.think_times import Span, ThinkTimes

# A pick-up or delivery of an order that was cancelled meanwhile.
TOO_LATE = frozenset({"order_closed", "invalid_transition", "order_not_found", "not_yours"})
ENDS = frozenset({"order.delivered", "order.cancelled", "order.released", "order.undeliverable"})
# An entry that a reply has promised comes within that time, or it is missing.
PROMISE_S = 5.0
_ENTRY_OF = {"won": "order.assigned", "picked_up": "order.picked_up", "delivered": "order.delivered"}


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do: a command frame without its connection's id; `key` is the same in every try."""

    t: str
    order_id: str
    key: str
    offer_id: str | None = None

    def frame(self) -> dict[str, Any]:
        """As PROTOCOL.md has it."""
        if not self.t.startswith("offer."):
            return {"t": self.t, "key": self.key, "order_id": self.order_id}
        return {"t": self.t, "key": self.key, "orders": [self.order_id], "offer_id": self.offer_id}


class DriverAgenda:
    """One driver's day."""

    def __init__(self, think_times: ThinkTimes, capacity: int, chance: random.Random) -> None:
        self.think_times = think_times
        self.capacity = capacity
        self.chance = chance
        self._agenda: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._wanted: set[str] = set()
        self._held: set[str] = set()
        self._promised: dict[tuple[str, str], float] = {}
        self._seen: set[tuple[str, str]] = set()

    # -- what comes in ------------------------------------------------------------------------

    def entry(self, frame: dict[str, Any], now_s: float) -> None:
        """A new entry of the log."""
        kind, data = frame["type"], frame["data"]
        order = str(data["order_id"])
        self._seen.add((kind, order))
        self._promised.pop((kind, order), None)
        if kind == "offer":
            self._offer(order, data["offer_id"], now_s)
        elif kind == "order.assigned":
            self._hold(order, now_s)
        elif kind == "order.picked_up":
            self._plan("order.delivery", order, self.think_times.carry_s, now_s)
        elif kind in ENDS:
            self._forget(order)

    def snapshot(self, snapshot: dict[str, Any], now_s: float) -> None:
        """Everything anew."""
        self._agenda.clear()
        self._wanted.clear()
        self._held.clear()
        self._promised.clear()
        for order in snapshot["orders"]:
            self._held.add(order["order_id"])
            if order["status"] == "assigned":
                self._hold(order["order_id"], now_s)
            else:
                self._plan("order.delivery", order["order_id"], self.think_times.carry_s, now_s)
        for offer in snapshot["offers"]:
            self._offer(offer["order_id"], offer["offer_id"], now_s)

    def board(self, orders: Iterable[dict[str, Any]], now_s: float) -> None:
        """The open orders of an open zone; each driver picks others of them."""
        free = [order for order in orders if order["order_id"] not in self._wanted | self._held]
        self.chance.shuffle(free)
        for order in free[: self.room]:
            self._offer(order["order_id"], order["offer_id"], now_s)

    def revoked(self, order: str) -> None:
        """An offer can win nothing any more."""
        if order not in self._held:
            self._forget(order)

    # -- what to do ---------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Orders that could still be accepted."""
        return max(0, self.capacity - len(self._held) - len(self._wanted))

    def due(self, now_s: float) -> Job | None:
        """The next job, if its time has come."""
        if not self._agenda or self._agenda[0][0] > now_s:
            return None
        return heapq.heappop(self._agenda)[2]

    def again(self, job: Job, now_s: float) -> None:
        """The job was not answered: the same once more, under the same key."""
        self._push(now_s + 0.5, job)

    def answered(self, job: Job, result: str, now_s: float) -> bool:
        """What the server says; false when that is no answer a driver can get by others' doing."""
        if job.t.startswith("offer."):
            self._wanted.discard(job.order_id)
        entry = _ENTRY_OF.get("won" if result == "already_yours" else result)
        if entry is not None:
            if (entry, job.order_id) not in self._seen:
                self._promised[entry, job.order_id] = now_s
                self._held.add(job.order_id)
            return True
        if job.t.startswith("offer."):
            return result == "declined" or result in LOSING
        self._forget(job.order_id)
        return result in TOO_LATE

    def missing(self, now_s: float) -> list[str]:
        """Entries that were promised and have not come."""
        late = [what for what, at_s in self._promised.items() if now_s - at_s > PROMISE_S]
        return [f"told of {order} by a reply, but no {kind} came" for kind, order in late]

    # -- within -------------------------------------------------------------------------------

    def _push(self, at_s: float, job: Job) -> None:
        heapq.heappush(self._agenda, (at_s, next(self._numbers), job))

    def _plan(self, t: str, order: str, span: Span, now_s: float, offer: str | None = None) -> None:
        key = f"{t.partition('.')[2]}-{self.chance.getrandbits(80):020x}"
        self._push(now_s + self.chance.uniform(*span), Job(t, order, key, offer))

    def _offer(self, order: str, offer: str, now_s: float) -> None:
        if order in self._wanted or order in self._held or self.room == 0:
            return
        self._wanted.add(order)
        declines = self.chance.random() < self.think_times.decline
        self._plan(
            "offer.decline" if declines else "offer.accept", order, self.think_times.react_s, now_s, offer
        )

    def _hold(self, order: str, now_s: float) -> None:
        self._wanted.discard(order)
        self._held.add(order)
        self._plan("order.pickup", order, self.think_times.fetch_s, now_s)

    def _forget(self, order: str) -> None:
        self._wanted.discard(order)
        self._held.discard(order)
        kept = [item for item in self._agenda if item[2].order_id != order]
        if len(kept) != len(self._agenda):
            self._agenda = kept
            heapq.heapify(self._agenda)
