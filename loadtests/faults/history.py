"""What users were told and what is recorded, as plain data.

A history is a list of intents. An intent is one command under one key; each of its attempts was answered
`ok`, `refused` (no effect, and why), `not_processed` (certainly no effect) or `unknown` (a lost
connection, no answer in time, 500, 504). Unknown is not failure: such an intent may have had its effect
once, at any time up to its next known answer, and never later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

OK, REFUSED, NOT_PROCESSED, UNKNOWN = "ok", "refused", "not_processed", "unknown"

# Answers that name the very version they made; others (`already_yours`) say how it is.
EXACT = frozenset({"created", "won", "picked_up", "delivered", "failed", "cancelled", "released"})
# The code written down for a 503 that does not say that it had no effect, as every 503 must.
UNPROMISED = "unpromised"
# Refusals for what is so at the moment: an earlier attempt, still on its way, may yet succeed.
MOMENTARY = frozenset({"driver_busy", "driver_offline"})


class Violation(NamedTuple):
    """A broken promise."""

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One attempt and what came back; wall seconds."""

    outcome: str
    code: str
    began_s: float
    ended_s: float
    order: int | None = None
    version: int | None = None

    @property
    def names_effect(self) -> bool:
        return self.outcome == OK and self.code in EXACT

    @property
    def settles(self) -> bool:
        """True when attempts before it cannot have an effect after it."""
        return self.outcome in (OK, REFUSED) and self.code not in MOMENTARY


@dataclass(slots=True)
class Intent:
    """One command under one key; `who` is as the history of an order shows it (`drv_7`)."""

    kind: str
    who: str
    key: str
    order: int | None = None
    answers: list[Answer] = field(default_factory=list)

    @property
    def acked(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.outcome == OK]

    @property
    def surely_without_effect(self) -> bool:
        """Never ok, and nothing unknown that a later refusal under the same key has not settled."""
        open_ = False
        for answer in self.answers:
            open_ = answer.outcome == UNKNOWN or (open_ and not answer.settles)
        return not open_ and not self.acked

    def __str__(self) -> str:
        said = ", ".join(f"{a.outcome} {a.code}" for a in self.answers)
        return f"{self.kind} of order {self.order} by {self.who} ({said})"


@dataclass(frozen=True, slots=True)
class Read:
    """An order as somebody was shown it."""

    order: int
    version: int
    began_s: float


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of a driver's log: as recorded, or as a phone applied it."""

    seq: int
    type: str
    order: int
    at_ms: int
    trace: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a phone was given instead of entries: true as of `seq`."""

    seq: int
    orders: frozenset[int]
    offers: frozenset[str] = frozenset()


@dataclass(slots=True)
class PhoneLog:
    """All that a phone applied, in order, and the faults that it noticed itself."""

    driver: int
    steps: list[LogEntry | Snapshot] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """What all users were told. `outages`: (from, to) in wall seconds in which nothing could be written."""

    intents: list[Intent] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    phones: list[PhoneLog] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An entry of an order's history; `driver` for those that name one."""

    order: int
    version: int
    type: str
    actor: str
    at_s: float
    driver: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    """An order; `note` is the key it was placed under."""

    id: int
    status: str
    version: int
    driver: int | None
    note: str


@dataclass(frozen=True, slots=True)
class RecordedDriver:
    """A driver. `believed`: the orders that the server says it carries."""

    id: int
    capacity: int
    feed_seq: int
    believed: frozenset[int] = frozenset()


@dataclass(slots=True)
class RecordedState:
    """What the database holds, as of one moment.

    Attributes:
        events: by order, by version.
        assignments: (order, driver, slot).
        feeds: by driver, by position.
        products: names.
        stock: name, pieces at first, pieces left, pieces in orders that keep them.
    """

    orders: dict[int, RecordedOrder] = field(default_factory=dict)
    events: dict[int, list[RecordedEvent]] = field(default_factory=dict)
    assignments: list[tuple[int, int, int]] = field(default_factory=list)
    drivers: dict[int, RecordedDriver] = field(default_factory=dict)
    feeds: dict[int, list[LogEntry]] = field(default_factory=dict)
    products: frozenset[str] = frozenset()
    stock: list[tuple[str, int, int, int]] = field(default_factory=list)
