"""What may be wanted of an order, and what a decision is.

Commands are requests; a `Decision` names everything that must become true together. `verb` is what a command is
called in the names of commands (`dispatch/service.py`), the same over REST and over the feed: never change it.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from actors.values import frozen
from dispatch.domain.order import Order, Paid
from dispatch.domain.refusals import Refused

# A card order that was not paid by then is cancelled and its stock given back.
PAYMENT_WINDOW_MS = 15 * 60 * 1000


@frozen
class By:
    """Who wants it: a role and an id such as `usr_3`."""

    role: str
    id: str


@frozen
class Accept:
    """A driver accepts; the first wins."""

    verb: ClassVar[str] = "accept"
    driver_id: int
    offer_id: str | None = None


@frozen
class Decline:
    """A driver declines its offer."""

    verb: ClassVar[str] = "decline"
    driver_id: int
    offer_id: str | None = None
    reason: str = "unspecified"


@frozen
class PickUp:
    """The driver has the goods."""

    verb: ClassVar[str] = "pickup"
    driver_id: int


@frozen
class Deliver:
    """The customer has the goods."""

    verb: ClassVar[str] = "delivery"
    driver_id: int


@frozen
class Fail:
    """The driver cannot deliver."""

    verb: ClassVar[str] = "failure"
    driver_id: int
    reason: str


@frozen
class Cancel:
    """Customer or admin cancel.

    `versions`: only if the order has one of these; None: whatever it has. Not a part of what is wanted, so a repetition
    under the same key may have seen another one.
    """

    verb: ClassVar[str] = "cancellation"
    by: By
    reason: str
    versions: tuple[int, ...] | None = field(default=None, repr=False)


@frozen
class Release:
    """An admin takes the order from its driver; a new round begins."""

    verb: ClassVar[str] = "release"
    by: By
    reason: str


@frozen
class Assign:
    """An admin gives the order to a driver."""

    verb: ClassVar[str] = "assignment"
    by: By
    driver_id: int


@frozen
class Reassign:
    """An operator hands the order over to another driver, in one step."""

    verb: ClassVar[str] = "reassignment"
    by: By
    driver_id: int
    reason: str


@frozen
class Conclude:
    """An operator ends an order whose driver cannot. `outcome` is `delivered`, `failed`, or `returned`: the goods are
    in the store again.
    """

    verb: ClassVar[str] = "conclusion"
    by: By
    outcome: str
    reason: str


@frozen
class SetReady:
    """The store's side says when the goods will be ready.

    `store_id`: those of this pick-up; None: of all.
    """

    verb: ClassVar[str] = "ready-time"
    by: By
    ready_ms: int
    store_id: int | None = None


@frozen
class Pay:
    """The money for the order is held."""

    payment_id: int


@frozen
class NotePayment:
    """Something became of a payment after its hold; the order's history tells it.

    `event` is the entry's type, `by` and `reason` whose will it was and why, `data` the entry's details.
    """

    paid: Paid
    event: str
    by: By
    reason: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@frozen
class MakeOffers:
    """The zone proposes the next wave. `round` and `wave` say what it knew: an older view is ignored."""

    round: int
    wave: int
    driver_ids: tuple[int, ...]
    ttl_ms: int
    reasons: dict[str, Any] = field(default_factory=dict)


@frozen
class Withdraw:
    """The zone takes offers back from drivers that cannot take the order. `why` is `offline` (gone, banned, in
    another zone) or `busy` (no free slot is left).
    """

    driver_ids: tuple[int, ...]
    why: str


@frozen
class GiveUp:
    """Nobody takes the order, and the zone waits so long: operators are told when a quarter of that is left, then the
    order is cancelled.
    """

    after_ms: int

    @property
    def notice_ms(self) -> int:
        """How long before the end operators are told."""
        return self.after_ms // 4

    def due_ms(self, order: Order) -> int:
        """When there is something to say of an order that looks for a driver: to operators, then to everybody."""
        end_ms = order.looking_since_ms + self.after_ms
        if order.warned_ms is None:
            return end_ms - self.notice_ms
        return max(end_ms, order.warned_ms + self.notice_ms)


@frozen
class SetMode:
    mode: str


@frozen
class Expire:
    """The order's timer came due at `at_ms`."""

    at_ms: int


# What a client may want of an order, under a key of its own.
Wish = Accept | Decline | PickUp | Deliver | Fail | Cancel | Release | Assign | Reassign | Conclude | SetReady
OrderCommand = (
    Accept | Decline | PickUp | Deliver | Fail | Cancel | Release | Assign | Reassign | Conclude | SetReady | Pay
    | NotePayment
    | MakeOffers | Withdraw | GiveUp | SetMode | Expire
)  # fmt: skip


@frozen
class FeedEntry:
    """One entry for one driver's feed, committed together with the change."""

    driver_id: int
    type: str
    data: dict[str, Any]


@frozen
class Decision:
    """What must become true, all of it or nothing.

    Attributes:
        order: the next version.
        event: type of the history entry, `by` whom, why, and details.
        take: the driver that must be online and have a free slot, or None.
        zone_id: when given, the driver taken must belong to this zone.
        free: the assignment ends.
        restock: the items go back on the shelf.
        revoked: drivers whose offer dies with this decision, with the offer's id.
        answer: the code that the asker gets.
    """

    order: Order
    event: str
    by: By
    answer: str
    reason: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    feed: tuple[FeedEntry, ...] = ()
    take: int | None = None
    zone_id: int | None = None
    free: bool = False
    restock: bool = False
    revoked: tuple[tuple[int, str], ...] = ()
    why: str = ""


@frozen
class Unchanged:
    """Nothing to write: it is so already."""

    answer: str


Verdict = Decision | Refused | Unchanged

DISPATCH = By("dispatch", "zone")
