"""Creation of an order: its request models, and the problems of a refused one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, field_validator

from api.auth.permissions import ORDERS
from api.contract.fields import Address, Lat, Lon, Name, Notes, Phone, ProductId, Strict, Time
from api.contract.problems import Fault, Problem
from api.http.operation import Operation, Operations
from api.http.request import RequestContext, json_response
from api.rest import serializers
from api.rest.answers import OrderAnswer
from api.rest.products import Currency
from config import metrics
from dispatch.domain.geo import Place
from dispatch.domain.ids import NUMBER_MAX, ORDER, PRODUCT, public_id
from dispatch.domain.money import Money
from dispatch.order_creation import NewOrder, Placed

operations = Operations(Operation)
_PROBLEMS = (
    "invalid_idempotency_key", "key_reused", "request_in_flight", "unknown_product", "inactive_product",
    "mixed_currency", "mixed_zones", "out_of_range", "price_changed", "out_of_stock", "too_many_unpaid",
    "too_many_held", "too_soon", "cards_not_taken",
)  # fmt: skip

# An order may be wanted so long from now at most: holds of cards do not last longer.
DELIVER_AHEAD_S = 6 * 24 * 3600
TIP_MAX = 1_000_000

# Faults of an order's items, and advice.
_OF_LINES: Mapping[str, str] = {
    "unknown_product": "there is no such product: leave it out",
    "inactive_product": "it is not for sale now: leave it out",
    "mixed_currency": "its price is in another currency than the first item's: order it by itself",
    "mixed_zones": "its store is in another zone than the first item's: order it by itself",
    "out_of_stock": "there are not so many: order fewer",
}


# Optional fields that a stored key may be older than.
_LATER_FIELDS = ("contact", "expected_total", "deliver_at", "tip_minor", "dropoff_pin")


class Line(Strict):
    product_id: ProductId
    quantity: Annotated[int, Field(ge=1, le=99)]


class Dropoff(Strict):
    lat: Lat
    lon: Lon
    address: Address


class Contact(Strict):
    """Whom the driver asks for at the door; without a name it is the customer."""

    name: Name | None = None
    phone: Phone | None = None


class Total(Strict):
    amount_minor: Annotated[int, Field(ge=0, le=NUMBER_MAX)]
    currency: Currency


class OrderBody(Strict):
    """The items may be of several stores of one zone: one driver fetches them all.

    `expected_total` is what the customer was shown, with the tip: if the prices have changed since, nothing is ordered.
    """

    items: Annotated[list[Line], Field(min_length=1, max_length=50)]
    dropoff: Dropoff
    payment: Literal["card", "cash"]
    notes: Notes | None = None
    contact: Contact | None = None
    expected_total: Total | None = None
    deliver_at: Annotated[
        Time | None,
        Field(
            description="When it shall be at the door, within six days; without it as soon as possible. Drivers are "
            "asked shortly before. 409 `too_soon` says the earliest time."
        ),
    ] = None
    tip_minor: Annotated[
        int | None,
        Field(
            ge=1,
            le=TIP_MAX,
            description="Tip for the driver, in the currency of the items; it is added to the total.",
        ),
    ] = None
    dropoff_pin: Annotated[
        Literal[True] | None,
        Field(description="Whoever delivers must say the `pin` that the order shows to its customer alone."),
    ] = None

    @field_validator("items")
    @classmethod
    def _each_once(cls, items: list[Line]) -> list[Line]:
        if len({line.product_id for line in items}) != len(items):
            raise ValueError("a product stands in two lines; add the quantities")
        return items


@operations.declare(
    "orders.create",
    "POST",
    "/api/v2/orders",
    scope="orders:create",
    limit=ORDERS,
    prompt=True,
    busy=1,
    summary="Place an order",
    body=OrderBody,
    body_example={
        "items": [{"product_id": "prd_1", "quantity": 2}],
        "dropoff": {"lat": 52.52, "lon": 13.405, "address": "Second floor, left"},
        "payment": "cash",
        "notes": "Ring twice",
        "contact": {"phone": "+49 30 1234567"},
        "expected_total": {"amount_minor": 900, "currency": "EUR"},
    },
    answer=OrderAnswer,
    status=201,
    problems=_PROBLEMS,
    key="required",
)
async def create(context: RequestContext) -> web.Response:
    """Create an order. The same key and body always get the same answer, byte for byte."""
    key = context.key(required=True)
    body = await context.body(OrderBody)
    if body.payment == "card" and context.services.payments is None:
        raise Problem("cards_not_taken")  # it could never be paid
    to, contact, expected = body.dropoff, body.contact or Contact(), body.expected_total
    new = NewOrder(
        tuple((line.product_id, line.quantity) for line in body.items),
        Place(to.lat, to.lon),
        to.address,
        body.payment,
        body.notes,
        contact.name,
        contact.phone,
        None if expected is None else Money(expected.amount_minor, expected.currency),
        _deliver_ms(context, body),
        body.tip_minor or 0,
        bool(body.dropoff_pin),
    )
    # The fingerprint is of the parsed body, so white space and the order of members do not matter. Absent
    # optional fields are left out, because a stored key may be older than they are.
    unsaid = {name for name in _LATER_FIELDS if getattr(body, name) is None}
    said = body.model_dump_json(exclude=unsaid).encode()
    placed = await context.services.dispatch.create_order(context.caller(key, said), new)
    if placed.replayed:
        await context.services.admission.count_replay(context)
    metrics.IDEMPOTENCY.labels("replayed" if placed.replayed else placed.code).inc()
    if placed.made is not None:
        context.about["order_id"] = public_id(ORDER, placed.made.id)
    return _placed(placed)


def _deliver_ms(context: RequestContext, body: OrderBody) -> int | None:
    if body.deliver_at is None:
        return None
    wanted_s, now_s = body.deliver_at.timestamp(), context.services.clock.wall()
    if not now_s < wanted_s <= now_s + DELIVER_AHEAD_S:
        fault = Fault("body", "#/deliver_at", "range", "must be from now on, and within six days")
        raise Problem("invalid", faults=[fault])
    return int(wanted_s * 1000)


def _placed(placed: Placed) -> web.Response:
    if placed.code == "created":
        shown = serializers.order(placed.order, "customer", placed.facts["customer_id"])
        headers = {"Location": f"/api/v2/orders/{shown['id']}", "ETag": f'"{shown["version"]}"'}
        if placed.replayed:
            headers["Idempotent-Replayed"] = "true"
        return json_response(shown, 201, headers)
    if placed.code == "in_flight":
        raise Problem("request_in_flight")
    raise not_placed(placed)


def not_placed(placed: Placed) -> Problem:
    """The problem of an order that was not created."""
    code, facts = placed.code, placed.facts
    headers = {"Idempotent-Replayed": "true"} if placed.replayed else {}
    if code in _OF_LINES:
        faults = [
            Fault("body", f"#/items/{n}/product_id", code, _OF_LINES[code]) for n in facts.get("lines", ())
        ]
        return Problem(code, faults=faults, headers=headers)
    if code == "out_of_range":
        detail = f"{facts['distance_m']} m from the store, which delivers within {facts['radius_m']} m"
        return Problem(code, faults=[Fault("body", "#/dropoff", code, detail)], headers=headers)
    if code == "too_soon":
        earliest = serializers.time_of(facts["earliest_ms"])
        fault = Fault("body", "#/deliver_at", code, f"must be {earliest} or later")
        return Problem(code, faults=[fault], headers=headers, earliest=earliest)
    if code == "price_changed":
        return Problem(code, headers=headers, **_prices(facts))
    if code == "too_many_unpaid":
        counts = {"unpaid_orders": facts["unpaid"], "unpaid_orders_max": facts["max"]}
        return Problem(code, headers=headers, **counts)
    if code == "too_many_held":
        detail = f"this order would take {facts['wanted']} more from the stock"
        counts = {"held_pieces": facts["held"], "held_pieces_max": facts["max"]}
        return Problem(code, detail, headers=headers, **counts)
    return Problem(code, headers=headers)


def _prices(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The present prices of the items."""
    currency = facts["currency"]
    return {
        "total": serializers.money(Money(facts["total_minor"], currency)),
        "prices": [
            {"product_id": public_id(PRODUCT, number), "price": serializers.money(Money(minor, currency))}
            for number, minor in facts["prices"]
        ],
    }
