"""The frames that a driver's actor puts into its feed; api/feed/PROTOCOL.md describes all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dispatch import messages as m
from dispatch.domain.driver import Driver
from dispatch.domain.ids import ZONE, public_id
from dispatch.domain.order import Order
from dispatch.domain.order_visibility import offer_terms, order_for_driver, redacted

# Close codes that the actor decides on; the session has more.
SUPERSEDED = 4006
DISABLED = 4007
POSITION_LOST = 4204
UNREADABLE = 4205

# Entries after which the order is not the driver's business any more.
_LETTING_GO = frozenset({"order.delivered", "order.undeliverable", "order.cancelled", "order.released"})


def replayed(entries: Sequence[m.Entry]) -> list[dict[str, Any]]:
    """Entries that are sent later than they were written: of an order that the driver let go meanwhile, as a later
    one of them says, they tell what everybody may know.
    """
    frames, over = [], set()
    for entry in reversed(entries):
        number = entry.data.get("order_id")
        if entry.type in _LETTING_GO:
            over.add(number)
        frames.append(event(entry._replace(data=redacted(entry.data)) if number in over else entry))
    return frames[::-1]


def event(entry: m.Entry) -> dict[str, Any]:
    """One entry of the log."""
    return {
        "t": "event",
        "seq": entry.seq,
        "type": entry.type,
        "at_ms": entry.at_ms,
        "trace": entry.trace,
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
    """The first frame of a session. `seq` is the position that replay or snapshot starts from."""
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
    """All that a driver must know, as of one position: what it carries and what it is offered."""
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
    """An offer that can win nothing any more."""
    return {"t": "offer.revoked", "offer_id": died.offer_id, "order_id": died.order_id, "why": died.why}


def zone(zone_id: int) -> dict[str, Any]:
    """The driver was moved to another zone."""
    return {"t": "state", "topic": "zone", "data": {"zone_id": public_id(ZONE, zone_id)}}


def availability(driver: Driver) -> dict[str, Any]:
    """How the driver stands: not by what it said, but by what became of it."""
    data = {"status": driver.status, "state": driver.state}
    return {"t": "state", "topic": "availability", "data": data}


def board_topic(zone_id: int) -> str:
    """The topic of a zone's board."""
    return f"board:{zone_id}"


def zone_of(topic: str) -> int:
    """The zone of a board's topic."""
    return int(topic.removeprefix("board:"))


def board_entry(order: Order) -> dict[str, Any]:
    """An open order on the board of its zone."""
    return order_for_driver(order) | {"offer_id": order.round_id}


def board(zone_id: int, entries: Sequence[dict[str, Any]], total: int) -> dict[str, Any]:
    """The open orders of a zone in `open` mode, the oldest first; `total` counts those left out, too."""
    return {
        "t": "state",
        "topic": "board",
        "data": {
            "zone_id": public_id(ZONE, zone_id),
            "total": total,
            "orders": entries,
        },
    }
