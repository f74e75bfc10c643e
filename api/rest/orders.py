"""Orders: one order, and lists, for the users that they concern."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field, StringConstraints

from actors.errors import NoSuchActor
from api.auth.permissions import READS
from api.contract.fields import DriverId, StoreId, Time, ZoneId
from api.contract.problems import Fault, Problem
from api.http.conditional import tagged
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, list_page
from api.http.request import RequestContext
from api.rest import serializers
from api.rest.answers import OrderAnswer, OrdersAnswer
from dispatch.domain import ids
from dispatch.domain.driver import ONLINE
from dispatch.domain.order import STATUSES, Order, order_from

operations = Operations(Operation)
# Numbers of a store restart at 1 each day.
NUMBER_MAX = 1_000_000


def _statuses(value: object) -> object:
    """Parse several statuses separated by commas; their order does not matter to the filter."""
    given = set(value.split(",")) if isinstance(value, str) and len(value) <= LISTED_MAX else set()
    if not given or not given <= set(STATUSES):
        raise ValueError(f"must be some of {', '.join(STATUSES)}, separated by commas")
    return sorted(given)


# Twice the length of all statuses.
LISTED_MAX = 200
_LISTED = rf"^({'|'.join(STATUSES)})(,({'|'.join(STATUSES)}))*$"
Statuses = Annotated[
    list[str],
    BeforeValidator(
        _statuses,
        json_schema_input_type=Annotated[str, StringConstraints(pattern=_LISTED, max_length=LISTED_MAX)],
    ),
]


class OrderPage(Page):
    """Query of the list of orders.

    `created_after` includes the moment and `created_before` excludes it, so that spans join. `store_id` filters by
    store, `number` by the number on a receipt of that store.
    """

    status: Statuses | None = None
    zone_id: ZoneId | None = None
    store_id: StoreId | None = None
    number: Annotated[int, Field(ge=1, le=NUMBER_MAX)] | None = None
    driver_id: DriverId | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    sort: Literal["created_at", "-created_at"] = "-created_at"

    @property
    def order(self) -> str:
        """The newest first by default."""
        return self.sort

    def filters(self) -> dict[str, Any]:
        """The given filters. One status and several are separate filters, because an index sorts only one."""
        found = super().filters()
        if self.status is not None:
            several = found.pop("status")
            found |= {"status": several[0]} if len(several) == 1 else {"statuses": several}
        return found


@operations.declare(
    "orders.get",
    "GET",
    "/api/v2/orders/{id}",
    scope="orders:read:own",
    limit=READS,
    prompt=True,
    summary="An order",
    answer=OrderAnswer,
    problems=("order_not_found",),
    etag="compared",
)
async def get(context: RequestContext) -> web.Response:
    """An order, for the users that it concerns; for all others it does not exist."""
    order = await visible_order(context)
    return tagged(
        context,
        context.services.shown.order(order, context.who.role, context.who.number),
        f'"{order.version}"',
    )


async def visible_order(context: RequestContext) -> Order:
    """The order of the path, if the caller may see it.

    Raises:
        Problem: order_not_found.
    """
    number = context.number(ids.ORDER)
    try:
        order = await context.services.dispatch.order(number, context.carried)
    except NoSuchActor:
        raise Problem("order_not_found") from None
    if not await may_see(context, order):
        raise Problem("order_not_found")
    return order


async def may_see(context: RequestContext, order: Order) -> bool:
    """True for admins, for the order's customer, and for a driver that carries it or is offered it."""
    who = context.who
    if who.role == "customer":
        return order.facts.customer_id == who.number
    if who.role == "driver":
        return order.driver_id == who.number or await _offered(context, order)
    return who.role == "admin"


async def _offered(context: RequestContext, order: Order) -> bool:
    """True when the order is offered to the driver: by name, or on the board of its zone while the driver is online."""
    if order.status != "confirmed":
        return False
    if order.mode == "open":
        seen = await context.services.dispatch.driver(context.who.number, context.carried)
        is_open = order.opens_ms <= context.services.clock.wall() * 1000
        return is_open and seen.zone_id == order.facts.zone_id and seen.status == ONLINE
    return order.offer_for(context.who.number) is not None


@operations.declare(
    "orders.list",
    "GET",
    "/api/v2/orders",
    scope="orders:read:own",
    limit=READS,
    summary="Orders, the newest first",
    query=OrderPage,
    answer=OrdersAnswer,
    problems=LIST_PROBLEMS,
    etag="compared",
)
async def get_list(context: RequestContext) -> web.Response:
    """The caller's orders, the newest first; an admin sees all. The list may be a moment old."""
    page, who = context.query(OrderPage), context.who
    whose: dict[str, Any] = {}
    if who.role != "admin":
        if page.driver_id is not None:
            fault = Fault("query", "driver_id", "role", "only an admin may ask for a driver's orders")
            raise Problem("invalid", faults=[fault])
        whose["customer_id" if who.role == "customer" else "driver_id"] = who.number
    asked = page.filters()
    if "number" in asked and "store_id" not in asked:
        fault = Fault("query", "number", "needs_store", "a number is one of a store: say store_id, too")
        raise Problem("invalid", faults=[fault])
    orders = context.services.records.orders
    return await list_page(
        context,
        orders,
        page,
        lambda row: serializers.order(order_from(row, ()), who.role, who.number),
        **whose,
    )
