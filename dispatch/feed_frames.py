"""Frames of the driver feed that driver and zone actors make. api/feed/PROTOCOL.md describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.tracing import trace_id
from dispatch import messages as m
from dispatch.domain.driver import Driver
from dispatch.domain.ids import ZONE, public_id
from dispatch.domain.order import Order
from dispatch.domain.order_visibility import offer_terms, order_for_driver, redacted

# Close codes that the actor uses; the session has more.
SUPERSEDED = 4006
DISABLED = 4007
POSITION_LOST = 4204
UNREADABLE = 4205

# Entries after which the driver no longer has the order.
_LETTING_GO = frozenset({"order.delivered", "order.undeliverable", "order.cancelled", "order.released"})


def replayed(entries: Sequence[m.Entry]) -> list[dict[str, Any]]:
    """Entries for a replay. Entries of an order that the driver no longer has are redacted."""
    frames, over = [], set()
    for entry in reversed(entries):
        number = entry.data.get("order_id")
        if entry.type in _LETTING_GO:
            over.add(number)
        frames.append(event(entry._replace(data=redacted(entry.data)) if number in over else entry))
    return frames[::-1]


def event(entry: m.Entry) -> dict[str, Any]:
    """Frame of one entry of the log."""
    return {
        "t": "event",
        "seq": entry.seq,
        "type": entry.type,
        "at_ms": entry.at_ms,
        "trace": trace_id(entry.trace),
        "data": entry.data,
    }


def welcome(
    session: str,
    epoch: str,
    seq: int,
    zone_id: int,
    *,
    resumed: bool,
    snapshot: dict[str, Any] | None,
) -> dict[str, Any]:
    """First frame of a session. `seq` is the position from which replay or snapshot starts."""
    frame: dict[str, Any] = {
        "t": "welcome",
        "session": session,
        "epoch": epoch,
        "seq": seq,
        "resumed": resumed,
        "zone_id": public_id(ZONE, zone_id),
    }
    if snapshot is not None:
        frame["snapshot"] = snapshot
    return frame


def snapshot(
    driver_id: int, status: str, capacity: int, orders: Sequence[Order], offered: Sequence[Order], now_ms: int
) -> dict[str, Any]:
    """Snapshot of a driver at one position: carried orders and live offers."""
    live = [(order, offer) for order in offered if (offer := order.offer_for(driver_id)) is not None]
    return {
        "status": status,
        "capacity": capacity,
        "orders": [order_for_driver(order, driver_id) for order in orders],
        "offers": [
            order_for_driver(order) | offer_terms(offer) for order, offer in live if offer.expires_ms > now_ms
        ],
    }


def revoked(died: m.OfferDied) -> dict[str, Any]:
    """Frame for an offer that has ended."""
    return {"t": "offer.revoked", "offer_id": died.offer_id, "order_id": died.order_id, "why": died.why}


def zone(zone_id: int) -> dict[str, Any]:
    """Frame for a driver's change of zone."""
    return {"t": "state", "topic": "zone", "data": {"zone_id": public_id(ZONE, zone_id)}}


def availability(driver: Driver) -> dict[str, Any]:
    """Frame for the driver's availability as dispatch sees it."""
    data = {"status": driver.status, "state": driver.state}
    return {"t": "state", "topic": "availability", "data": data}


def queue(place: int | None) -> dict[str, Any]:
    """Frame for the driver's place in its zone's queue."""
    return {"t": "state", "topic": "queue", "data": {"place": place}}


def board_topic(zone_id: int) -> str:
    """Topic of a zone's board."""
    return f"board:{zone_id}"


def zone_of(topic: str) -> int:
    """Zone of a board's topic."""
    return int(topic.removeprefix("board:"))


def board_entry(order: Order) -> dict[str, Any]:
    """Entry of an open order on its zone's board."""
    return order_for_driver(order) | {"offer_id": order.round_id}


def board(zone_id: int, entries: Sequence[dict[str, Any]], total: int) -> dict[str, Any]:
    """Board of a zone in `open` mode: its open orders, oldest first. `total` includes those left out."""
    return {
        "t": "state",
        "topic": "board",
        "data": {
            "zone_id": public_id(ZONE, zone_id),
            "total": total,
            "orders": entries,
        },
    }
