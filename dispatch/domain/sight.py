"""What drivers see of an order."""

from __future__ import annotations

from typing import Any

from dispatch.domain.ids import ORDER, STORE, public_id
from dispatch.domain.order import Order


def order_for_driver(order: Order) -> dict[str, Any]:
    """What a driver may see of an order: where to fetch it, where to bring it, nothing about prices paid
    to others.
    """
    facts = order.facts
    return {
        "order_id": public_id(ORDER, facts.id),
        "status": order.status,
        "version": order.version,
        "store": {
            "id": public_id(STORE, facts.store_id),
            "name": facts.store_name,
            "lat": facts.pickup.lat,
            "lon": facts.pickup.lon,
        },
        "dropoff": {"lat": facts.dropoff.lat, "lon": facts.dropoff.lon, "address": facts.address},
        "ready_at_ms": order.ready_ms,
        "items": sum(item.quantity for item in facts.items),
        "payment": facts.payment,
        "notes": facts.notes,
    }
