"""What the users of the demo have seen, as it happens: orders by state, times, news."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.kit.report import LoadReport
from loadtests.replay.record import Won

WAITING, OFFERED, ASSIGNED, PICKED_UP = "waiting", "offered", "assigned", "picked_up"
DELIVERED, CANCELLED, UNDELIVERABLE = "delivered", "cancelled", "undeliverable"
STATES = (WAITING, OFFERED, ASSIGNED, PICKED_UP, DELIVERED, CANCELLED, UNDELIVERABLE)
ENDS = frozenset({DELIVERED, CANCELLED, UNDELIVERABLE})
# News comes from many users at once and late after a lost connection: a state never moves back.
_RANK = {WAITING: 0, OFFERED: 1, ASSIGNED: 2, PICKED_UP: 3, DELIVERED: 4, CANCELLED: 4, UNDELIVERABLE: 4}
TO_OFFER, TO_ACCEPTANCE, TO_DOOR = "order to first offer", "order to acceptance", "order to delivery"
NEWS_MAX = 12
# The rate that is shown is that of the last minute; at most PACE_MAX moments of it are kept.
PACE_S, PACE_MAX = 60.0, 5000


@dataclass(slots=True)
class Note:
    """What is known of one order.

    Attributes:
        customer: who placed it, a place in the plan's list; None until the server has acknowledged it.
        placed_s: when the request for it was sent.
        told: drivers that were told that it is theirs.
        carriers: drivers that were told that they have delivered it.
    """

    state: str = WAITING
    customer: int | None = None
    placed_s: float | None = None
    at_s: dict[str, float] = field(default_factory=dict)
    told: set[Won] = field(default_factory=set)
    carriers: set[str] = field(default_factory=set)


class RatePerMinute:
    """How often something happens in a minute, as of the last one."""

    def __init__(self) -> None:
        self._moments_s: deque[float] = deque(maxlen=PACE_MAX)

    def tick(self, now_s: float) -> None:
        """It has happened."""
        self._moments_s.append(now_s)

    def per_min(self, now_s: float, elapsed_s: float) -> float:
        """Scaled up while there is less than a minute to count."""
        while self._moments_s and self._moments_s[0] < now_s - PACE_S:
            self._moments_s.popleft()
        return len(self._moments_s) * 60 / min(PACE_S, max(1.0, elapsed_s))


class OrderLedger:
    """Everything that has been seen. It grows by a note for each order; all else is bounded.

    Attributes:
        orders: by the server's order id.
        states: how many orders are in which state.
        counts: what else happened, by name.
        report: times of operations, and errors.
    """

    def __init__(
        self,
        report: LoadReport,
        now: Callable[[], float] = time.perf_counter,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.report = report
        self.now = now
        self.wall_s = wall_s
        self.began_s = now()
        self.orders: dict[str, Note] = {}
        self.states: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.news: deque[str] = deque(maxlen=NEWS_MAX)
        self.ordered, self.delivered = RatePerMinute(), RatePerMinute()

    @property
    def elapsed_s(self) -> float:
        return self.now() - self.began_s

    @property
    def open(self) -> int:
        """Orders that have not come to their end."""
        return sum(count for state, count in self.states.items() if state not in ENDS)

    @property
    def acknowledged(self) -> int:
        """Orders that the server has promised their customers."""
        return sum(note.customer is not None for note in self.orders.values())

    def say(self, text: str) -> None:
        """A line of news."""
        self.news.append(f"{self.elapsed_s:7.1f} s  {text}")

    def fail(self, operation: str, why: str) -> None:
        """Something went wrong that must not."""
        self.report.failed(operation, why)
        self.say(f"ERROR {operation}: {why}")

    # -- orders -------------------------------------------------------------------------------

    def note(self, order: str) -> Note:
        """The note of an order, made when missing: a driver may hear of it before its customer does."""
        if order not in self.orders:
            self.orders[order] = Note()
            self.states[WAITING] += 1
        return self.orders[order]

    def placed(self, order: str, customer: int, sent_s: float) -> None:
        """The server has acknowledged an order that was sent at that time."""
        note = self.note(order)
        if note.customer is not None:
            return
        note.customer, note.placed_s = customer, sent_s
        self.ordered.tick(self.now())
        self.say(f"{order} placed by customer {customer + 1}")
        for state, at_s in note.at_s.items():
            self._time(note, state, at_s)

    def reached(self, order: str, state: str, who: str = "") -> None:
        """An order was seen in a state; only the first sight of it and a later state count."""
        note = self.note(order)
        if state not in note.at_s:
            note.at_s[state] = self.now()
            self._time(note, state, note.at_s[state])
        if _RANK[state] <= _RANK[note.state]:
            return
        self.states[note.state] -= 1
        self.states[state] += 1
        note.state = state
        if state == DELIVERED:
            self.delivered.tick(self.now())
        self.say(f"{order} {state.replace('_', ' ')} {who}".rstrip())

    def won(self, order: str, driver: str, version: int) -> None:
        """A driver was told that an order is its own."""
        self.note(order).told.add(Won(driver, version))
        self.reached(order, ASSIGNED, f"to {driver}")

    def brought(self, order: str, driver: str) -> None:
        """A driver was told that it has delivered an order."""
        self.note(order).carriers.add(driver)
        self.reached(order, DELIVERED, f"by {driver}")

    def _time(self, note: Note, state: str, at_s: float) -> None:
        name = {OFFERED: TO_OFFER, ASSIGNED: TO_ACCEPTANCE, DELIVERED: TO_DOOR}.get(state)
        if name is not None and note.placed_s is not None:
            self.report.done(name, max(0.0, at_s - note.placed_s))
