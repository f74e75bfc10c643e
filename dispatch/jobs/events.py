"""Events for other systems: what a row of the outbox becomes, and which jobs follow. Pure.

An event's body is rendered once, from facts that do not change, and kept: whoever gets it, and whenever, gets the same
bytes. `sequence` in it is its place in the log. It has no personal data beyond ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from actors.tracing import trace_id
from actors.values import frozen
from dispatch.domain import ids
from dispatch.domain import order as o
from dispatch.jobs.tasks import NewJob

# Events of an order's history that others want to know: the type, and the status after it. The functions that write
# orders have the same names (storage/postgres/functions/flush.sql); a test compares them.
ORDER_EVENTS: Mapping[str, tuple[str, str | None]] = {
    "created": ("order.created", None),
    "paid": ("order.confirmed", o.CONFIRMED),
    "assigned": ("order.assigned", o.ASSIGNED),
    "handed_over": ("order.reassigned", None),
    "released": ("order.released", o.CONFIRMED),
    "picked_up": ("order.picked_up", o.PICKED_UP),
    "delivered": ("order.delivered", o.DELIVERED),
    "cancelled": ("order.cancelled", o.CANCELLED),
    "failed": ("order.undeliverable", o.UNDELIVERABLE),
    "returned": ("order.undeliverable", o.UNDELIVERABLE),
}
PAYMENT_EVENTS = tuple(
    f"payment.{what}" for what in ("held", "declined", "captured", "voided", "refunded", "stuck")
)
STOCK_EVENTS = ("stock.low", "stock.out")
# All types, in the order of the documents.
TYPES = (
    *dict.fromkeys(kind for kind, _ in ORDER_EVENTS.values()),
    "order.unassigned",
    *PAYMENT_EVENTS,
    *STOCK_EVENTS,
)


@frozen
class Event:
    """An event before it has a place in the log.

    Attributes:
        topic: order, payment or stock; with `ref` and `version` its subject.
        zone_id, store_ids: what subscribers choose by.
        at_ms: time of the commit.
        data: facts in the body.
    """

    type: str
    topic: str
    ref: int
    version: int
    trace: str
    at_ms: int
    data: Mapping[str, Any] = field(hash=False)
    order_id: int | None = None
    zone_id: int | None = None
    store_ids: tuple[int, ...] = ()

    def body(self, pos: int) -> bytes:
        """The JSON that is sent."""
        stamp = datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return orjson.dumps(
            {
                "type": self.type,
                "timestamp": stamp.replace("+00:00", "Z"),
                "sequence": pos,
                "data": {**self.data, "trace_id": trace_id(self.trace)},
            }
        )

    def item(self, pos: int) -> dict[str, Any]:
        """As relay_outbox() takes it (storage/postgres/functions/relay.sql)."""
        return {
            "type": self.type,
            "topic": self.topic,
            "ref": self.ref,
            "version": self.version,
            "order_id": self.order_id,
            "zone_id": self.zone_id,
            "store_ids": self.store_ids,
            "body": self.body(pos).decode(),
            "trace": self.trace,
            "at_ms": self.at_ms,
        }


def events_of(row: Mapping[str, Any]) -> Sequence[Event]:
    """The events of a row of the outbox, as `outbox_due` in storage/postgres/sql/jobs.sql reads it."""
    return _READERS[row["topic"]](row)


def _order(row: Mapping[str, Any]) -> Sequence[Event]:
    kind, status = ORDER_EVENTS[row["event"]]
    if row["event"] != "created":
        return (_order_event(row, kind, status),)
    # An order that needs no payment is confirmed when it is placed.
    confirmed = row["payment"] == "cash" or row["total_minor"] == 0
    status = o.CONFIRMED if confirmed else o.AWAITING_PAYMENT
    created = _order_event(row, kind, status)
    return (created, _order_event(row, "order.confirmed", status)) if confirmed else (created,)


def _order_event(row: Mapping[str, Any], kind: str, status: str | None) -> Event:
    facts = row["event_data"] or {}
    carrier = row["actor_id"] if row["actor_role"] == "driver" else None
    stores = _stores(row)
    data = {
        "order_id": ids.public_id(ids.ORDER, row["ref"]),
        "version": row["version"],
        "status": status,
        "zone_id": ids.public_id(ids.ZONE, row["zone_id"]),
        "store_ids": [ids.public_id(ids.STORE, store) for store in stores],
        "customer_id": ids.public_id(ids.USER, row["customer_id"]),
        "driver_id": facts.get("driver_id", carrier),
        "total": {"amount_minor": row["total_minor"], "currency": row["currency"]},
        "payment": row["payment"],
        "reason": row["reason"],
        "by": row["actor_role"],
    }
    if status is None:
        del data["status"]  # a hand-over leaves it as it is
    return Event(
        kind,
        "order",
        row["ref"],
        row["version"],
        row["trace"],
        row["at_ms"],
        data,
        row["ref"],
        row["zone_id"],
        stores,
    )


def _alert(row: Mapping[str, Any]) -> Sequence[Event]:
    """An order that has waited for a driver for too long. Its subject is the order."""
    facts = row["data"]
    found = _order_event(row, f"order.{facts['event']}", o.CONFIRMED)
    more = {"round": facts["round"], "waited_s": facts["waited_s"]}
    return (replace(found, data={**found.data, **more}),)


def _payment(row: Mapping[str, Any]) -> Sequence[Event]:
    facts = row["data"]
    stores = _stores(row)
    data = {
        "payment_id": ids.public_id(ids.PAYMENT, row["ref"]),
        "version": row["version"],
        "order_id": ids.public_id(ids.ORDER, facts["order"]),
        "status": facts["status"],
        "amount": {"amount_minor": facts["amount_minor"], "currency": facts["currency"]},
        "refunded": {"amount_minor": facts["refunded_minor"], "currency": facts["currency"]},
        "decline_code": facts["decline_code"],
        "stuck_code": facts["stuck_code"],
    }
    kind = f"payment.{facts['event']}"
    trace, at_ms = row["trace"], row["at_ms"]
    zone, order = row["zone_id"], facts["order"]
    return (Event(kind, "payment", row["ref"], row["version"], trace, at_ms, data, order, zone, stores),)


def _stock(row: Mapping[str, Any]) -> Sequence[Event]:
    facts, store = row["data"], row["store_id"]
    data = {
        "product_id": ids.public_id(ids.PRODUCT, row["ref"]),
        "store_id": ids.public_id(ids.STORE, store),
        "name": row["product_name"],
        "stock": facts["stock"],
        "limit": facts["limit"],
    }
    kind = f"stock.{facts['event']}"
    trace = row["trace"] or ""
    return (
        Event(
            kind,
            "stock",
            row["ref"],
            row["id"],
            trace,
            row["at_ms"],
            data,
            None,
            row["product_zone_id"],
            (store,),
        ),
    )


def _stores(row: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(pickup[0] for pickup in row["pickups"] or ()))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Sequence[Event]]] = {
    "order": _order,
    "payment": _payment,
    "stock": _stock,
    "alert": _alert,
}

# Tasks whose jobs follow from an event, by its type; each gets the subject as payload.
# One job tells all who are concerned: a job costs Postgres as much as an acceptance does.
FOLLOWING: Mapping[str, tuple[str, ...]] = {
    "order.confirmed": ("notify_order",),
    "order.assigned": ("notify_order",),
    "order.reassigned": ("notify_order",),
    "order.released": ("notify_order",),
    "order.picked_up": ("notify_order",),
    "order.delivered": ("notify_order",),
    "order.cancelled": ("notify_order",),
    "order.undeliverable": ("notify_order",),
    "order.unassigned": ("notify_operators",),
    "payment.refunded": ("notify_order",),
    "stock.low": ("notify_stock",),
    "stock.out": ("notify_stock",),
}


def no_jobs(event: Event) -> Sequence[NewJob]:
    """What follows where nothing can be sent: all jobs of FOLLOWING are notices."""
    del event
    return ()


def jobs_of(event: Event) -> Sequence[NewJob]:
    """The jobs that follow from an event. Those of one subject run one after the other, in the order of events."""
    payload = {"type": event.type, "ref": event.ref, "version": event.version, "order_id": event.order_id}
    return [
        NewJob(task, payload, f"{task}/{event.topic}/{event.ref}") for task in FOLLOWING.get(event.type, ())
    ]
