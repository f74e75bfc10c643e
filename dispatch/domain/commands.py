"""Commands of an order, and the decision about one.

A command is a request. A `Decision` has everything that must be written together. `verb` is the command's name in its
id (`dispatch/service.py`), the same over REST and the feed: never change it.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from actors.values import frozen
from dispatch.domain.order import Eta, Order, Paid, Trip
from dispatch.domain.refusals import Refused

# A card order that is not paid in this time is cancelled, and its stock returned.
PAYMENT_WINDOW_MS = 15 * 60 * 1000
# Why drivers decline, as apps offer it to them. Other words are kept as they are, and count as `other`.
DECLINE_REASONS = ("too_far", "too_small", "vehicle", "ending_shift", "other")
UNSPECIFIED = "unspecified"


@frozen
class By:
    """Author of a command: a role, and an id like `usr_3`."""

    role: str
    id: str


@frozen
class Accept:
    """A driver accepts. The first one wins.

    `trip_id`: only in this trip; None: whatever it is offered in. It is not part of the fingerprint, as in `Cancel`.
    """

    verb: ClassVar[str] = "accept"
    driver_id: int
    offer_id: str | None = None
    trip_id: str | None = field(default=None, repr=False)


@frozen
class Decline:
    """A driver declines its offer. `reason`: one of `DECLINE_REASONS`, or other words."""

    verb: ClassVar[str] = "decline"
    driver_id: int
    offer_id: str | None = None
    reason: str = UNSPECIFIED
    trip_id: str | None = field(default=None, repr=False)


@frozen
class PickUp:
    """The driver has picked up the goods."""

    verb: ClassVar[str] = "pickup"
    driver_id: int


@frozen
class Deliver:
    """The driver has delivered the goods.

    `pin`: what the customer has said, where the order asks for it. It is not part of the fingerprint: a repetition
    under the same key has the same answer.
    """

    verb: ClassVar[str] = "delivery"
    driver_id: int
    pin: str | None = field(default=None, repr=False)


@frozen
class Fail:
    """The driver cannot deliver."""

    verb: ClassVar[str] = "failure"
    driver_id: int
    reason: str


@frozen
class BringBack:
    """The driver cannot deliver, and brings the goods back to the store."""

    verb: ClassVar[str] = "bring-back"
    driver_id: int
    reason: str


@frozen
class ReturnGoods:
    """The driver has brought the goods back: the store has them again."""

    verb: ClassVar[str] = "return"
    driver_id: int


@frozen
class Cancel:
    """A customer or an admin cancels.

    `versions`: only if the order has one of these; None: any. It is not part of the fingerprint, so a repetition under
    the same key may name another version.
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
    """An admin, or a zone that assigns by itself, gives the order to a driver.

    `trip`, `eta` and `reasons`: what the zone planned.
    """

    verb: ClassVar[str] = "assignment"
    by: By
    driver_id: int
    trip: Trip | None = field(default=None, repr=False)
    eta: Eta | None = field(default=None, repr=False)
    reasons: dict[str, Any] = field(default_factory=dict, repr=False)


@frozen
class Reassign:
    """An operator moves the order to another driver in one step."""

    verb: ClassVar[str] = "reassignment"
    by: By
    driver_id: int
    reason: str


@frozen
class Conclude:
    """An operator ends an order whose driver cannot.

    `outcome` is `delivered`, `failed`, or `returned` (the goods are in the store again).
    """

    verb: ClassVar[str] = "conclusion"
    by: By
    outcome: str
    reason: str


@frozen
class SetReady:
    """An operator sets the time when the goods will be ready.

    `store_id`: the pick-up; None: all of them.
    """

    verb: ClassVar[str] = "ready-time"
    by: By
    ready_ms: int
    store_id: int | None = None


@frozen
class Pay:
    """The money for the order is held by the payment gateway."""

    payment_id: int


@frozen
class NotePayment:
    """A payment has changed after its hold. The order's history gets an entry.

    `event`, `by`, `reason` and `data` are the entry's type, author, reason and details.
    """

    paid: Paid
    event: str
    by: By
    reason: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@frozen
class MakeOffers:
    """The zone proposes the next wave of offers, or one offer in a trip.

    `round` and `wave` are those it knew: an older view is ignored.
    """

    round: int
    wave: int
    driver_ids: tuple[int, ...]
    ttl_ms: int
    reasons: dict[str, Any] = field(default_factory=dict)
    trip: Trip | None = None
    eta: Eta | None = None


@frozen
class Withdraw:
    """The zone withdraws offers from drivers that cannot take the order.

    `why` is `offline` (gone, banned, in another zone) or `busy` (no free slot).
    """

    driver_ids: tuple[int, ...]
    why: str


@frozen
class GiveUp:
    """The zone asks to end the search for a driver after `after_ms`.

    When a quarter of that is left, operators get a notice. At the end the order is cancelled.
    """

    after_ms: int

    @property
    def notice_ms(self) -> int:
        """Time between the notice for operators and the end."""
        return self.after_ms // 4

    def due_ms(self, order: Order) -> int:
        """Time of the next step for an order in search of a driver: the notice, then the end."""
        end_ms = order.looking_since_ms + self.after_ms
        if order.warned_ms is None:
            return end_ms - self.notice_ms
        return max(end_ms, order.warned_ms + self.notice_ms)


@frozen
class TellUnclaimed:
    """The zone asks nobody any more: its offer ladder is at its end. Operators are to know.

    Attributes:
        round: that the zone knew: an older view is ignored.
        gives_up_ms: when the order will be cancelled; None: never.
    """

    round: int
    gives_up_ms: int | None = None


@frozen
class SetEta:
    """The zone predicts other times for an order that a driver has."""

    eta: Eta


@frozen
class SetMode:
    mode: str


@frozen
class Expire:
    """The order's timer came due at `at_ms`."""

    at_ms: int


# Commands that a client may send under an idempotency key.
Wish = (
    Accept | Decline | PickUp | Deliver | Fail | BringBack | ReturnGoods | Cancel | Release | Assign | Reassign
    | Conclude | SetReady
)  # fmt: skip
OrderCommand = (
    Accept | Decline | PickUp | Deliver | Fail | BringBack | ReturnGoods | Cancel | Release | Assign | Reassign
    | Conclude | SetReady | Pay | NotePayment
    | MakeOffers | Withdraw | GiveUp | TellUnclaimed | SetEta | SetMode | Expire
)  # fmt: skip


@frozen
class FeedEntry:
    """Entry for one driver's feed, committed together with the change."""

    driver_id: int
    type: str
    data: dict[str, Any]


@frozen
class Decision:
    """Changes that must be written together.

    Attributes:
        order: the order's next version.
        event: type of the history entry; `by`, `reason` and `data` are its author, reason and details.
        take: the driver whose slot is taken, who must be online and have a free one; or None.
        zone_id: if given, that driver must belong to this zone.
        free: the assignment ends, and its slot is free.
        restock: the items return to the stock.
        revoked: drivers whose offers end with this decision, with the offers' ids.
        answer: the code of the reply.
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
    """Result of a command that changes nothing, because the order is in this state already."""

    answer: str


Verdict = Decision | Refused | Unchanged

DISPATCH = By("dispatch", "zone")
