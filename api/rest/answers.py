"""Types of the answers of version 2.

The serializers return them, and the documents show the schemas that pydantic makes of them, so mypy keeps both in
step. A type whose name ends in `Answer` is a component of the document, without that ending; other types are inlined
in the schema. Answers of a single handler stand beside that handler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import Field, WithJsonSchema

# pydantic rejects TypedDict from `typing` before Python 3.12.
from typing_extensions import TypedDict

from api import json_schema as s
from api.http.command_executor import GOOD
from dispatch.domain import ids
from dispatch.domain.offer_ladder import RUNG_MODES, RUNGS_MAX

PAGE_ROWS_MAX = 100
HISTORY_ROWS_MAX = 1000

Text = Annotated[str, WithJsonSchema(s.TEXT)]
Named = Annotated[str, WithJsonSchema(s.NAME)]
Code = Annotated[str, WithJsonSchema(s.CODE)]
Moment = Annotated[str, WithJsonSchema(s.TIME)]
Whole = Annotated[int, WithJsonSchema(s.WHOLE)]
Truth = Annotated[bool, WithJsonSchema(s.TRUTH)]
Latitude = Annotated[float, WithJsonSchema(s.LAT)]
Longitude = Annotated[float, WithJsonSchema(s.LON)]
Radius = Annotated[int, WithJsonSchema(s.RADIUS)]
Receipt = Annotated[int, WithJsonSchema(s.NUMBER)]
Seconds = Annotated[int, WithJsonSchema(s.SECONDS)]
OrderStatus = Annotated[str, WithJsonSchema(s.STATUS)]
PaymentStatus = Annotated[str, WithJsonSchema(s.PAYMENT_STATUS)]
Online = Annotated[str, WithJsonSchema(s.ONLINE)]
Capacity = Annotated[int, WithJsonSchema(s.whole(1, 20))]
EventType = Annotated[str, WithJsonSchema(s.TYPE)]
TraceId = Annotated[str, WithJsonSchema(s.TRACE)]
Cursor = Annotated[str, WithJsonSchema(s.CURSOR)]
UserId = Annotated[str, WithJsonSchema(s.identifier(ids.USER))]
ZoneId = Annotated[str, WithJsonSchema(s.identifier(ids.ZONE))]
StoreId = Annotated[str, WithJsonSchema(s.identifier(ids.STORE))]
ProductId = Annotated[str, WithJsonSchema(s.identifier(ids.PRODUCT))]
OrderId = Annotated[str, WithJsonSchema(s.identifier(ids.ORDER))]
DriverId = Annotated[str, WithJsonSchema(s.identifier(ids.DRIVER))]
PaymentId = Annotated[str, WithJsonSchema(s.identifier(ids.PAYMENT))]
JobId = Annotated[str, WithJsonSchema(s.identifier(ids.JOB))]
JobName = Annotated[str, WithJsonSchema(s.JOB_NAME)]


class MoneyAnswer(TypedDict):
    amount_minor: Whole
    currency: Annotated[str, WithJsonSchema(s.text(3, "^[A-Z]{3}$"))]


class PlaceShown(TypedDict):
    lat: Latitude
    lon: Longitude


# -- accounts and the catalogue ---------------------------------------------------------------------------


class UserAnswer(TypedDict):
    id: UserId
    email: Annotated[str, WithJsonSchema(s.EMAIL)]
    name: Named
    role: Annotated[str, WithJsonSchema(s.one_of("customer", "driver", "admin"))]
    status: Annotated[str, WithJsonSchema(s.one_of("active", "banned"))]
    created_at: Moment
    driver_id: NotRequired[DriverId]
    zone_id: NotRequired[ZoneId | None]
    capacity: NotRequired[Capacity | None]


class RungShown(TypedDict):
    mode: Annotated[str, WithJsonSchema(s.one_of(*RUNG_MODES))]
    drivers: Annotated[int, WithJsonSchema(s.whole(1, 50))]
    offer_s: Annotated[int, WithJsonSchema(s.whole(1, 600))]
    reach_m: Annotated[int, WithJsonSchema(s.whole(1, 1_000_000))]
    times: Annotated[int, WithJsonSchema(s.whole(1, 100))] | None
    unplanned_s: Annotated[int, WithJsonSchema(s.whole(0, 3600))]


class PlanningAnswer(TypedDict):
    speed_m_per_s: Annotated[float, WithJsonSchema(s.between(0.5, 2000))]
    speed_learned: Truth
    street_factor: Annotated[float, WithJsonSchema(s.between(1, 3))]
    pickup_s: Seconds
    dropoff_s: Seconds
    trip_orders_max: Annotated[int, WithJsonSchema(s.whole(1, 10))]
    detour_max_s: Seconds
    rest_s: Seconds
    planned_offers: Annotated[int, WithJsonSchema(s.whole(1, 20))]
    # What an older version has written lacks these.
    site_radius_m: NotRequired[Annotated[int, WithJsonSchema(s.whole(0, 5000))]]
    pooling: NotRequired[bool]
    pooling_wait_max_s: NotRequired[Seconds]
    travel_round_s: Seconds
    time_scale: Annotated[float, WithJsonSchema(s.between(1, 1000))]
    # Rows of an older version have none.
    ladder: NotRequired[Annotated[list[RungShown], Field(max_length=RUNGS_MAX)] | None]


class DeliveryRulesAnswer(TypedDict):
    dropoff_pin: Truth
    cancellation_fee_minor: Annotated[int, WithJsonSchema(s.whole(0, 1_000_000))]
    offer_ahead_s: Seconds


class ZoneAnswer(TypedDict):
    id: ZoneId
    name: Named
    mode: Annotated[str, WithJsonSchema(s.one_of("planned", "waves", "open", "direct"))]
    wave_size: Annotated[int, WithJsonSchema(s.whole(1, 50))]
    offer_ttl_s: Annotated[int, WithJsonSchema(s.whole(1, 600))]
    area: Annotated[list[PlaceShown], Field(max_length=100)] | None
    offer_distance_max_m: Annotated[int, WithJsonSchema(s.whole(1, 1_000_000))]
    release_pause_s: Annotated[int, WithJsonSchema(s.whole(0, 86_400))]
    give_up_after_s: Annotated[int, WithJsonSchema(s.whole(1, 604_800))] | None
    driver_pay_minor: Annotated[int, WithJsonSchema(s.whole(0, 1_000_000_000))] | None
    unassigned_after_s: Annotated[int, WithJsonSchema(s.whole(1, 604_800))] | None
    planning: PlanningAnswer | None
    delivery_rules: DeliveryRulesAnswer | None
    queue_radius_m: Annotated[int, WithJsonSchema(s.whole(10, 10_000))] | None
    version: Whole


class StoreAnswer(TypedDict):
    id: StoreId
    zone_id: ZoneId
    name: Named
    lat: Latitude
    lon: Longitude
    preparation_s: Seconds
    preparation_learned: Truth
    delivery_radius_m: Annotated[int, WithJsonSchema(s.whole(1, 1_000_000))] | None
    active: Truth
    version: Whole
    distance_m: NotRequired[Annotated[float, WithJsonSchema(s.REAL)]]


class ProductAnswer(TypedDict):
    id: ProductId
    store_id: StoreId
    name: Named
    price: MoneyAnswer
    stock: Whole | None
    low_stock: Annotated[int, WithJsonSchema(s.whole(0, 1_000_000_000))] | None
    active: Truth
    version: Whole


# -- orders -----------------------------------------------------------------------------------------------


class StopShown(TypedDict):
    """A store of an order's pick-up, as of the time of the order."""

    id: StoreId
    name: Named
    lat: Latitude
    lon: Longitude


class ItemShown(TypedDict):
    product_id: ProductId
    name: Named
    quantity: Annotated[int, WithJsonSchema(s.whole(1, 99))]
    price: MoneyAnswer


class PickupShown(TypedDict):
    store: StopShown
    number: Receipt
    ready_at: Moment
    items: Annotated[list[ItemShown], Field(max_length=50)]


class DropoffShown(TypedDict):
    lat: Latitude
    lon: Longitude
    radius_m: NotRequired[Radius]
    address: Annotated[str, WithJsonSchema(s.text(200))] | None


class ContactShown(TypedDict):
    name: Named | None
    phone: Annotated[str, WithJsonSchema(s.text(30))] | None


class PaidShown(TypedDict):
    id: PaymentId
    status: Annotated[str, WithJsonSchema(s.one_of("held", "captured", "voided", "refunding", "refunded"))]
    amount: MoneyAnswer
    refunded: MoneyAnswer


class OfferShown(TypedDict):
    offer_id: Annotated[str, WithJsonSchema(s.text(40, "^ofr_[0-9]+_[0-9]+$"))]
    driver_id: DriverId
    expires_at: Moment


class TripShown(TypedDict):
    trip_id: Annotated[str, WithJsonSchema(s.text(40, "^trp_[0-9]+_[0-9]+$"))]
    orders: Annotated[list[OrderId], Field(max_length=20, description="In the sequence of their delivery.")]
    pay: NotRequired[
        Annotated[MoneyAnswer, Field(description="What the driver gets for all of them, tips included.")]
    ]


class OrderTerms(TypedDict):
    """What only some orders have: the customer's wishes, and what came of them."""

    deliver_at: NotRequired[Annotated[Moment, Field(description="When the customer wants it.")]]
    tip: NotRequired[
        Annotated[MoneyAnswer, Field(description="The customer's tip for the driver; it is part of `total`.")]
    ]
    pin: NotRequired[
        Annotated[
            str,
            WithJsonSchema(s.text(4, "^[0-9]{4}$")),
            Field(description="What the customer tells the driver at the door. Drivers do not see it."),
        ]
    ]
    pin_required: NotRequired[
        Annotated[Truth, Field(description="The driver needs the customer's PIN to deliver.")]
    ]
    returning_since: NotRequired[
        Annotated[Moment, Field(description="The driver brings the goods back to the store since then.")]
    ]
    cancellation_fee: NotRequired[
        Annotated[MoneyAnswer, Field(description="What the customer pays for its cancellation.")]
    ]


class OrderAnswer(OrderTerms):
    id: OrderId
    number: Receipt
    status: OrderStatus
    version: Whole
    zone_id: ZoneId
    store: Annotated[StopShown, Field(description="The first of the pick-ups.")]
    pickups: Annotated[list[PickupShown], Field(max_length=50)]
    items: Annotated[list[ItemShown], Field(max_length=50)]
    total: MoneyAnswer
    dropoff: DropoffShown
    payment: Annotated[str, WithJsonSchema(s.PAYMENT)]
    notes: Text | None
    contact: ContactShown | None
    driver_id: DriverId | None
    ready_at: Moment
    created_at: Moment
    updated_at: Moment
    customer_id: NotRequired[UserId]
    payments: NotRequired[Annotated[list[PaidShown], Field(max_length=20)]]
    eta: NotRequired[
        Annotated[
            Moment,
            Field(
                description="When it is expected at the door: as a plan says for its driver, else as reckoned when "
                "it was placed. Absent when it has ended."
            ),
        ]
    ]
    promised_at: NotRequired[
        Annotated[
            Moment,
            Field(
                description="Until when it was promised at the door when it was placed: nine of ten deliveries of late "
                "were as fast. It stays as it is."
            ),
        ]
    ]
    pay: NotRequired[MoneyAnswer | None]
    trip: NotRequired[
        Annotated[TripShown | None, Field(description="The trip in which it is offered or carried.")]
    ]
    round: NotRequired[Whole]
    wave: NotRequired[Whole]
    offers: NotRequired[Annotated[list[OfferShown], Field(max_length=50)]]


class AuthorShown(TypedDict):
    role: Annotated[str, WithJsonSchema(s.text(20, "^[a-z]+$"))]
    id: Annotated[str, WithJsonSchema(s.text(60))] | None


class EventAnswer(TypedDict):
    version: Whole
    type: EventType
    at: Moment
    by: AuthorShown
    reason: Text | None
    trace_id: TraceId | None
    # Reasons of dispatch, for admins only; different for each type.
    data: NotRequired[
        Annotated[Mapping[str, Any] | None, WithJsonSchema({"type": ["object", "null"], "maxProperties": 50})]
    ]


class OrderChangeAnswer(TypedDict):
    order_id: OrderId
    version: Whole
    status: OrderStatus
    event: EventType
    driver_id: DriverId | None
    reason: Text | None
    at: Moment


class DoneAnswer(TypedDict):
    result: Annotated[str, WithJsonSchema(s.one_of(*sorted(GOOD)))]
    order_id: OrderId
    status: OrderStatus
    version: Whole


# -- payments and drivers ---------------------------------------------------------------------------------


class StuckShown(TypedDict):
    code: Code
    since: Moment


class PaymentAnswer(TypedDict):
    id: PaymentId
    order_id: OrderId
    method: Annotated[str, WithJsonSchema(s.one_of("card"))]
    status: PaymentStatus
    amount: MoneyAnswer
    refunded: MoneyAnswer
    stuck: StuckShown | None
    decline_code: Code | None
    version: Whole
    created_at: Moment
    updated_at: Moment


class DriverKnown(TypedDict):
    """Members that a driver's own view and its row in a list have in common."""

    id: DriverId
    name: Named
    zone_id: ZoneId
    status: Online
    state: Annotated[str, WithJsonSchema(s.one_of("online", "offline", "unreachable"))]
    capacity: Capacity


class DriverAnswer(DriverKnown):
    orders: Annotated[list[OrderId], Field(max_length=20)]
    connected: Truth
    location: PlaceShown | None
    queue_place: Annotated[int, WithJsonSchema(s.whole(1, 500))] | None


class DriverRowAnswer(DriverKnown):
    carried: Annotated[int, WithJsonSchema(s.whole(0, 20))]
    location: PlaceShown | None


# -- reports ----------------------------------------------------------------------------------------------


class AmountsShown(TypedDict):
    """Sums of a day in one currency."""

    currency: Annotated[str, WithJsonSchema(s.text(3, "^[A-Z]{3}$"))]
    revenue_minor: Whole
    refunded_minor: Whole
    driver_pay_minor: Whole


class CancellersShown(TypedDict):
    """How many orders each role has cancelled."""

    customer: Whole
    admin: Whole
    system: Whole


class DailyFiguresAnswer(TypedDict):
    """Orders that were placed on a day in a zone, or at one of its stores."""

    day: Annotated[str, WithJsonSchema(s.DAY)]
    zone_id: ZoneId
    store_id: StoreId | None
    orders: Whole
    delivered: Whole
    cancelled: Whole
    undeliverable: Whole
    delivery_mean_s: Annotated[float, WithJsonSchema(s.REAL)] | None
    delivery_p90_s: Annotated[float, WithJsonSchema(s.REAL)] | None
    cancelled_by: CancellersShown
    amounts: Annotated[list[AmountsShown], Field(max_length=PAGE_ROWS_MAX)]
    distance_alone_m: Whole | None
    distance_saved_m: Whole | None
    distance_saved_bound_m: Whole | None
    updated_at: Moment


class DailyCashAnswer(TypedDict):
    """What a driver delivered on a day in a zone."""

    day: Annotated[str, WithJsonSchema(s.DAY)]
    zone_id: ZoneId
    driver_id: DriverId
    deliveries: Whole
    pay: MoneyAnswer
    cash: MoneyAnswer
    updated_at: Moment


# -- pages ------------------------------------------------------------------------------------------------


class UsersAnswer(TypedDict):
    items: Annotated[list[UserAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class ZonesAnswer(TypedDict):
    items: Annotated[list[ZoneAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class StoresAnswer(TypedDict):
    items: Annotated[list[StoreAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class ProductsAnswer(TypedDict):
    items: Annotated[list[ProductAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class OrdersAnswer(TypedDict):
    items: Annotated[list[OrderAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class EventsAnswer(TypedDict):
    items: Annotated[list[EventAnswer], Field(max_length=HISTORY_ROWS_MAX)]
    next: Cursor | None


class PaymentsAnswer(TypedDict):
    items: Annotated[list[PaymentAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class DriverRowsAnswer(TypedDict):
    items: Annotated[list[DriverRowAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class DailyReportAnswer(TypedDict):
    items: Annotated[list[DailyFiguresAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None


class CashReportAnswer(TypedDict):
    items: Annotated[list[DailyCashAnswer], Field(max_length=PAGE_ROWS_MAX)]
    next: Cursor | None
