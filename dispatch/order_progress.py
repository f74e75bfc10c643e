"""Progress of orders, as plain counters that a scrape reads: events, and times from placing to each stage.

The owner of an order counts after the commit, and an order has one owner, so sums over instances are right. A commit
whose answer was lost is not counted.
"""

from __future__ import annotations

from collections import Counter

from actors.counters import Samples
from dispatch.domain.commands import DECLINE_REASONS, UNSPECIFIED, Decision
from dispatch.domain.ids import ZONE, public_id
from dispatch.domain.order import Order

# From seconds to hours.
STAGE_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200)
# Around the second in which a first offer is due.
FIRST_OFFER_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# Event of an order's history that ends a stage, by stage.
STAGES = {"offered": "offered", "assigned": "assigned", "picked_up": "picked_up", "delivered": "delivered"}
# Counted events; all stand in the exposition from the start.
EVENTS = (
    "created", "paid", "offered", "assigned", "declined", "released", "reassigned", "picked_up", "delivered",
    "cancelled", "failed", "returning", "returned",
)  # fmt: skip
# Error of the time that was expected at placing, as a share of the time that the delivery took.
ERROR_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2)
# Zones that are counted by name, and the name of all others together.
ZONES_MAX, OTHER_ZONES = 200, "other"
_NAMES = {"handed_over": "reassigned"}


class OrderProgress:
    """Counters of the orders of one instance.

    Attributes:
        events: committed events by name.
        stages: seconds from placing to the first offer, to an assignment, to pick-up, to delivery. An order that is
            wanted at a later time counts from when drivers are asked for it.
        first_offers: seconds from when a driver could be asked to the first offer, or to a place in a plan.
        promises: delivered orders by whether the promise of their placing was kept.
        declines: declined offers by reason.
        saved_m: metres that trips saved against each order alone, by zone.
        errors: how wrong the expected time of placing was; the mean is the mean absolute percentage error.
    """

    def __init__(self) -> None:
        self.events: Counter[str] = Counter(dict.fromkeys(EVENTS, 0))
        self.stages = {stage: Samples(STAGE_S) for stage in STAGES}
        self.first_offers = Samples(FIRST_OFFER_S)
        self.promises: Counter[str] = Counter(kept=0, broken=0)
        self.errors = Samples(ERROR_SHARES)
        self.declines: Counter[str] = Counter(dict.fromkeys((*DECLINE_REASONS, UNSPECIFIED), 0))
        self.saved_m: Counter[str] = Counter({OTHER_ZONES: 0})

    def created(self) -> None:
        """Count a new order."""
        self.events["created"] += 1

    def saved(self, zone_id: int, metres: float) -> None:
        """Count what a trip saved. Zones beyond the first ones share a name."""
        name = public_id(ZONE, zone_id)
        if name not in self.saved_m and len(self.saved_m) >= ZONES_MAX:
            name = OTHER_ZONES
        self.saved_m[name] += round(metres)

    def changed(self, before: Order, after: Order, decision: Decision) -> None:
        """Count a committed change."""
        event = _NAMES.get(decision.event, decision.event)
        if event in self.events:
            self.events[event] += 1
        stage = self.stages.get(event)
        # An order is offered many times; the first offer ends the stage.
        if stage is not None and not (event == "offered" and before.offer_count):
            stage.add(max(0.0, (after.updated_ms - after.opens_ms) / 1000))
        if event == "delivered":
            self._judge(after)
        elif event == "declined":
            reason = decision.reason or UNSPECIFIED
            self.declines[reason if reason in self.declines else "other"] += 1

    def _judge(self, order: Order) -> None:
        """Compare a delivery with what was said when the order was placed."""
        facts, at_ms = order.facts, order.updated_ms
        if facts.promised_ms is None or facts.expected_ms is None:
            return
        self.promises["kept" if at_ms <= facts.promised_ms else "broken"] += 1
        self.errors.add(abs(at_ms - facts.expected_ms) / max(1, at_ms - order.opens_ms))
