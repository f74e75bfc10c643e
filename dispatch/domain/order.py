"""Order: its facts, its state, and the table of legal transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from actors.values import frozen
from dispatch.domain.geo import Place
from dispatch.domain.ids import offer_id, round_id
from dispatch.domain.money import Money

AWAITING_PAYMENT = "awaiting_payment"
CONFIRMED = "confirmed"
ASSIGNED = "assigned"
PICKED_UP = "picked_up"
DELIVERED = "delivered"
CANCELLED = "cancelled"
UNDELIVERABLE = "undeliverable"

STATUSES = (
    AWAITING_PAYMENT, CONFIRMED, ASSIGNED, PICKED_UP, DELIVERED, CANCELLED, UNDELIVERABLE,
)  # fmt: skip
TERMINAL = frozenset({DELIVERED, CANCELLED, UNDELIVERABLE})
CARRIED = frozenset({ASSIGNED, PICKED_UP})

# (from, event) -> to. The database has the same pairs and refuses all others.
TRANSITIONS: Mapping[tuple[str, str], str] = {
    (AWAITING_PAYMENT, "paid"): CONFIRMED,
    (AWAITING_PAYMENT, "cancelled"): CANCELLED,
    (CONFIRMED, "assigned"): ASSIGNED,
    (CONFIRMED, "cancelled"): CANCELLED,
    (ASSIGNED, "released"): CONFIRMED,
    (ASSIGNED, "picked_up"): PICKED_UP,
    (ASSIGNED, "cancelled"): CANCELLED,
    (ASSIGNED, "failed"): UNDELIVERABLE,
    (PICKED_UP, "delivered"): DELIVERED,
    (PICKED_UP, "failed"): UNDELIVERABLE,
    (CONFIRMED, "delivered"): DELIVERED,
    (CONFIRMED, "failed"): UNDELIVERABLE,
    (CONFIRMED, "returned"): UNDELIVERABLE,
    (ASSIGNED, "delivered"): DELIVERED,
    (ASSIGNED, "returned"): UNDELIVERABLE,
    (PICKED_UP, "returned"): UNDELIVERABLE,
}
# Transitions that only an operator can cause, for a driver without a working phone or an order without a driver.
OPERATED = frozenset(
    {
        (CONFIRMED, "delivered"), (CONFIRMED, "failed"), (CONFIRMED, "returned"),
        (ASSIGNED, "delivered"), (ASSIGNED, "returned"), (PICKED_UP, "returned"),
    }
)  # fmt: skip

WAVES = "waves"
OPEN = "open"


@frozen
class Offer:
    """Offer to one driver, who may accept the order until `expires_ms`."""

    id: str
    driver_id: int
    expires_ms: int


@frozen
class Trip:
    """Trip of one driver: its orders, in the sequence of their delivery.

    Each order of a trip has it, so each of them tells the whole trip. `pay_minor` is what the driver gets for all of
    them, tips included; None: not said.
    """

    id: str
    order_ids: tuple[int, ...]
    pay_minor: int | None = None


class Eta(NamedTuple):
    """Expected times of an order's pick-up and delivery."""

    pickup_ms: int
    door_ms: int


@frozen
class Item:
    """Item of an order, at the price when it was placed."""

    product_id: int
    name: str
    quantity: int
    price_minor: int


@frozen
class Paid:
    """Payment as the order knows it.

    Attributes:
        status: `held`, `captured`, `voided`, `refunding` or `refunded`.
        refunded_minor: amount that was refunded.
        version: version of the payment; 0: only the hold is known.
        stuck: the payment waits for an operator.
    """

    id: int
    status: str
    amount_minor: int
    refunded_minor: int = 0
    version: int = 0
    stuck: bool = False


@frozen
class Pickup:
    """Pick-up at one store, as the store was when the order was placed.

    Attributes:
        number: the order's number at the store, as on a receipt: from 1, for each store and day.
        lines: indexes of the order's items that are picked up here; empty: all.
    """

    store_id: int
    name: str
    place: Place
    number: int
    lines: tuple[int, ...] = ()


@frozen
class Terms:
    """What a customer asked for beside the goods, and the zone's rules as they were at placing.

    Attributes:
        deliver_ms: the time at which the customer wants it; None: as soon as possible.
        ahead_s: how long before its goods are ready an order with a time is offered for the first time.
        tip_minor: the driver's tip; it is part of the total.
        pin: what the driver must say to deliver; None: nothing.
        fee_minor: what the customer pays for a cancellation after a driver has accepted; 0: nothing.
    """

    deliver_ms: int | None = None
    ahead_s: int = 0
    tip_minor: int = 0
    pin: str | None = None
    fee_minor: int = 0


NO_TERMS = Terms()


# Marks a field that stays as it is, where None is a value.
_SAME: Any = object()


@frozen
class Facts:
    """Immutable facts of an order. Its pick-ups are stores of one zone, in the order of the items.

    Attributes:
        expected_ms, promised_ms: when it was expected at the door at placing, and promised; None: an order of before.
    """

    id: int
    zone_id: int
    pickups: tuple[Pickup, ...]
    customer_id: int
    dropoff: Place
    address: str
    items: tuple[Item, ...]
    total_minor: int
    currency: str
    payment: str
    notes: str | None
    created_ms: int
    contact_name: str | None = None
    contact_phone: str | None = None
    driver_pay_minor: int | None = None
    expected_ms: int | None = None
    promised_ms: int | None = None
    terms: Terms = NO_TERMS

    @property
    def first(self) -> Pickup:
        """Pick-up of the first item, for places that can show only one."""
        return self.pickups[0]

    def items_of(self, pickup: Pickup) -> tuple[Item, ...]:
        """Items of a pick-up."""
        return tuple([self.items[line] for line in pickup.lines]) if pickup.lines else self.items

    @property
    def total(self) -> Money:
        """Total price of the order."""
        return Money(self.total_minor, self.currency)

    def price(self, item: Item) -> Money:
        """Price of one piece of an item."""
        return Money(item.price_minor, self.currency)


@frozen
class Order:
    """Order as committed.

    Attributes:
        version: rises by one with each commit.
        ready: time when the goods of each pick-up will be ready.
        round: rises with each release; an acceptance of an earlier round is refused.
        wave: number of waves of offers in this round.
        offers: the live offers.
        offer_count: number of offers ever made; it numbers the next one.
        tried: drivers that had an offer in this round and did not accept it.
        due_ms: time of the order's timer, or None.
        released: drivers from whom the order was taken, with times; the newest ones.
        since_ms: start of the present search for a driver, if it was not the order's creation.
        warned_ms: time of the notice for operators in this search.
        recent: remembered commands (id, fingerprint, answer).
        payments: payments that held money.
        trip: the trip in which the order is offered, or carried; None: it goes alone.
        eta: what a plan expects of the driver to whom the order is offered, or who carries it; None: not known.
        pin_tries: wrong PINs so far.
        returning_ms: since when its driver brings the goods back; None: it does not.
        fee_minor: what the customer owes for its cancellation.
    """

    facts: Facts
    status: str
    version: int
    mode: str
    ready: tuple[int, ...]
    updated_ms: int
    driver_id: int | None = None
    round: int = 1
    wave: int = 0
    offers: tuple[Offer, ...] = ()
    offer_count: int = 0
    tried: tuple[int, ...] = ()
    due_ms: int | None = None
    recent: tuple[tuple[str, str, Any], ...] = ()
    released: tuple[tuple[int, int], ...] = ()
    since_ms: int | None = None
    warned_ms: int | None = None
    payments: tuple[Paid, ...] = ()
    trip: Trip | None = None
    eta: Eta | None = None
    pin_tries: int = 0
    returning_ms: int | None = None
    fee_minor: int = 0

    @property
    def opens_ms(self) -> int:
        """Time from which drivers are asked for it: its placing, unless the customer wants it at a later time."""
        facts = self.facts
        if facts.terms.deliver_ms is None:
            return facts.created_ms
        return max(facts.created_ms, self.ready_ms - facts.terms.ahead_s * 1000)

    @property
    def looking_since_ms(self) -> int:
        """Start of the present search for a driver."""
        return self.opens_ms if self.since_ms is None else max(self.since_ms, self.opens_ms)

    @property
    def id(self) -> int:
        return self.facts.id

    @property
    def ready_ms(self) -> int:
        """Time when all goods will be ready."""
        return max(self.ready)

    @property
    def round_id(self) -> str:
        return round_id(self.facts.id, self.round)

    @property
    def expected_ms(self) -> int | None:
        """When it is expected at the door: as a plan says for its driver, else as at placing; None: not known."""
        if self.eta is not None and self.status in CARRIED:
            return self.eta.door_ms
        return None if self.status in TERMINAL else self.facts.expected_ms

    def next_offer(self, index: int, driver_id: int, expires_ms: int) -> Offer:
        """The offer with the next free number plus `index`."""
        return Offer(offer_id(self.facts.id, self.offer_count + index + 1), driver_id, expires_ms)

    def offer_for(self, driver_id: int) -> Offer | None:
        """This driver's live offer."""
        return next((o for o in self.offers if o.driver_id == driver_id), None)

    def search(self) -> dict[str, Any]:
        """JSON of the fields without a column: the search for a driver, and payments."""
        found: dict[str, Any] = {
            "wave": self.wave,
            "count": self.offer_count,
            "offers": [[o.id, o.driver_id, o.expires_ms] for o in self.offers],
            "tried": list(self.tried),
        }
        if self.released:
            found["released"] = self.released
        if self.since_ms is not None:
            found["since"] = self.since_ms
        if self.warned_ms is not None:
            found["warned"] = self.warned_ms
        if self.payments:
            found["payments"] = [
                [p.id, p.status, p.amount_minor, p.refunded_minor, p.version, p.stuck] for p in self.payments
            ]
        if self.trip is not None:
            found["trip"] = [self.trip.id, self.trip.order_ids, self.trip.pay_minor]
        if self.eta is not None:
            found["eta"] = [*self.eta]
        if self.pin_tries:
            found["pin_tries"] = self.pin_tries
        if self.returning_ms is not None:
            found["returning"] = self.returning_ms
        if self.fee_minor:
            found["fee"] = self.fee_minor
        return found

    def evolve(
        self,
        status: str,
        now_ms: int,
        *,
        mode: str = _SAME,
        ready: tuple[int, ...] = _SAME,
        driver_id: int | None = _SAME,
        round: int = _SAME,  # noqa: A002 - the field's name
        wave: int = _SAME,
        offers: tuple[Offer, ...] = _SAME,
        offer_count: int = _SAME,
        tried: tuple[int, ...] = _SAME,
        due_ms: int | None = _SAME,
        released: tuple[tuple[int, int], ...] = _SAME,
        since_ms: int | None = _SAME,
        warned_ms: int | None = _SAME,
        payments: tuple[Paid, ...] = _SAME,
        trip: Trip | None = _SAME,
        eta: Eta | None = _SAME,
        pin_tries: int = _SAME,
        returning_ms: int | None = _SAME,
        fee_minor: int = _SAME,
    ) -> Order:
        """Next version of this order. (`dataclasses.replace` takes three times as long.)"""
        return Order(
            self.facts,
            status,
            self.version + 1,
            self.mode if mode is _SAME else mode,
            self.ready if ready is _SAME else ready,
            now_ms,
            self.driver_id if driver_id is _SAME else driver_id,
            self.round if round is _SAME else round,
            self.wave if wave is _SAME else wave,
            self.offers if offers is _SAME else offers,
            self.offer_count if offer_count is _SAME else offer_count,
            self.tried if tried is _SAME else tried,
            self.due_ms if due_ms is _SAME else due_ms,
            self.recent,
            self.released if released is _SAME else released,
            self.since_ms if since_ms is _SAME else since_ms,
            self.warned_ms if warned_ms is _SAME else warned_ms,
            self.payments if payments is _SAME else payments,
            self.trip if trip is _SAME else trip,
            self.eta if eta is _SAME else eta,
            self.pin_tries if pin_tries is _SAME else pin_tries,
            self.returning_ms if returning_ms is _SAME else returning_ms,
            self.fee_minor if fee_minor is _SAME else fee_minor,
        )

    def remembering(self, recent: tuple[tuple[str, str, Any], ...]) -> Order:
        """This version with another ring of commands."""
        return Order(
            self.facts,
            self.status,
            self.version,
            self.mode,
            self.ready,
            self.updated_ms,
            self.driver_id,
            self.round,
            self.wave,
            self.offers,
            self.offer_count,
            self.tried,
            self.due_ms,
            recent,
            self.released,
            self.since_ms,
            self.warned_ms,
            self.payments,
            self.trip,
            self.eta,
            self.pin_tries,
            self.returning_ms,
            self.fee_minor,
        )


# Stores are few and orders many, so all orders of a store share one place.
_store_place = lru_cache(maxsize=10_000)(Place)


def _pickups(rows: Sequence[Sequence[Any]]) -> tuple[Pickup, ...]:
    """Make pick-ups from their column. Most orders have one, which needs no list of items."""
    one = len(rows) == 1
    return tuple(
        [
            Pickup(store, intern(name), _store_place(lat, lon), number, () if one else tuple(lines))
            for store, name, lat, lon, number, lines in rows
        ]
    )


def _trip(stored: Sequence[Any] | None) -> Trip | None:
    # An older version has stored two members.
    return None if stored is None else Trip(stored[0], tuple(stored[1]), *stored[2:])


def _terms(stored: Mapping[str, Any] | None) -> Terms:
    return NO_TERMS if not stored else Terms(**stored)


def order_from(row: Mapping[str, Any], recent: tuple[tuple[str, str, Any], ...]) -> Order:
    """Make an order from its row.

    Strings that many orders share are interned, because 100,000 orders are in memory at once.
    """
    search = row["search"] or {}
    facts = Facts(
        id=row["id"],
        zone_id=row["zone_id"],
        pickups=_pickups(row["pickups"]),
        customer_id=row["customer_id"],
        dropoff=Place(row["dropoff_lat"], row["dropoff_lon"]),
        address=row["address"],
        items=tuple(Item(product, intern(name), n, price) for product, name, n, price in row["items"]),
        total_minor=row["total_minor"],
        currency=intern(row["currency"]),
        payment=intern(row["payment"]),
        notes=row["notes"],
        created_ms=row["created_ms"],
        contact_name=row["contact_name"],
        contact_phone=row["contact_phone"],
        # Answers that were stored under idempotency keys by older versions lack this column.
        driver_pay_minor=row.get("driver_pay_minor"),
        expected_ms=row.get("expected_ms"),
        promised_ms=row.get("promised_ms"),
        terms=_terms(row.get("terms")),
    )
    return Order(
        facts=facts,
        status=intern(row["status"]),
        version=row["version"],
        mode=intern(row["mode"]),
        ready=tuple(row["ready_each"] or (row["ready_ms"],) * len(facts.pickups)),
        updated_ms=row["updated_ms"],
        driver_id=row["driver_id"],
        round=row["round"],
        wave=search.get("wave", 0),
        offers=tuple(Offer(*offer) for offer in search.get("offers", ())),
        offer_count=search.get("count", 0),
        tried=tuple(search.get("tried", ())),
        due_ms=row["due_ms"],
        recent=recent,
        released=tuple((driver, at_ms) for driver, at_ms in search.get("released", ())),
        since_ms=search.get("since"),
        warned_ms=search.get("warned"),
        payments=tuple(Paid(*paid) for paid in search.get("payments", ())),
        trip=_trip(search.get("trip")),
        eta=Eta(*search["eta"]) if "eta" in search else None,
        pin_tries=search.get("pin_tries", 0),
        returning_ms=search.get("returning"),
        fee_minor=search.get("fee", 0),
    )


def diagram() -> str:
    """The transition table as a Mermaid state diagram (STORIES.md shows it, a test compares it)."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {a} --> {b}: {event}" for (a, event), b in TRANSITIONS.items()]
    return "\n".join(lines)
