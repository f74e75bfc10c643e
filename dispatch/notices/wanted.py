"""Which notices an event calls for: who gets them, and on which channels. They are added in one commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from actors.values import frozen
from dispatch.domain import ids
from dispatch.notices.decisions import wanted_channels
from dispatch.notices.kinds import KINDS, Channel
from dispatch.notices.recipients import Recipient, store_from, user_from
from dispatch.ports import QueryPool

# Types of events, and what the customer is told of them.
CUSTOMER_NEWS: Mapping[str, str] = {
    "order.confirmed": "confirmed",
    "order.assigned": "assigned",
    "order.reassigned": "assigned",
    "order.picked_up": "picked_up",
    "order.delivered": "delivered",
    "order.cancelled": "cancelled",
    "order.undeliverable": "undeliverable",
}
STOCK_NEWS: Mapping[str, str] = {"stock.low": "stock_low", "stock.out": "stock_out"}


@frozen
class NoticeSubject:
    """What notices are about: with a recipient and a channel, it is their key.

    Attributes:
        topic: order, payment, stock or job.
        version: of the order or its payment, or the number of the alert or the job.
    """

    topic: str
    order_id: int
    version: int
    trace: str


class WantedNotices:
    """Adds the notices that events call for. All methods may be repeated without an effect."""

    def __init__(self, database: QueryPool, available: Collection[Channel]) -> None:
        self._database = database
        self._available = available

    async def tell_of_order(self, event: str, subject: NoticeSubject) -> None:
        """Tell the customer, the stores and drivers who do not see their feed about an event of an order."""
        order = await self._order(subject)
        if order is None:
            return
        if event in CUSTOMER_NEWS:
            await self.tell_users(CUSTOMER_NEWS[event], subject, [order["customer_id"]])
        if event == "order.confirmed":
            stores = list(dict.fromkeys(pickup[0] for pickup in order["pickups"]))
            await self._add("store_new_order", subject, await self._stores(stores))
        concerned = drivers_concerned(event, order)
        if concerned:
            for row in await self._database.rows("notice_drivers_away", list(concerned)):
                await self.tell_users(concerned[row["id"]], subject, [row["id"]])

    async def tell_of_refund(self, payment: int, subject: NoticeSubject) -> None:
        """Tell the customer of an order that money comes back."""
        order = await self._order(subject)
        if order is None:
            return
        amount = await self._database.value("notice_refund", payment, subject.version)
        if amount:
            refunded = {"amount_minor": amount, "currency": order["currency"]}
            await self.tell_users("refunded", subject, [order["customer_id"]], {"refunded": refunded})

    async def tell_of_stock(self, event: str, product: int, subject: NoticeSubject) -> None:
        """Tell a store that a product is short; the administrators, if the store has no contact."""
        type_ = STOCK_NEWS[event]
        row = await self._database.row("notice_product", product)
        if row is None:
            return
        data = {"product_id": product}
        added = await self._add(type_, subject, await self._stores([row["store_id"]]), data)
        if not added:
            await self.tell_admins(type_, subject, data)

    async def tell_admins(
        self, type_: str, subject: NoticeSubject, data: Mapping[str, Any] | None = None
    ) -> None:
        """Tell the administrators."""
        admins = [row["id"] for row in await self._database.rows("notice_admins")]
        await self.tell_users(type_, subject, admins, data)

    async def tell_users(
        self,
        type_: str,
        subject: NoticeSubject,
        users: Sequence[int],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell these users. `data`: what the notice says beyond its order."""
        if not self._available:
            return
        found = await self._database.rows("notice_users", list(users))
        await self._add(type_, subject, [user_from(row) for row in found], data)

    async def _order(self, subject: NoticeSubject) -> Any:
        if not self._available:
            return None
        # A payment has versions of its own, which are none of its order.
        version = subject.version if subject.topic == "order" else 0
        return await self._database.row("notice_order", subject.order_id, version)

    async def _stores(self, numbers: Sequence[int]) -> list[Recipient]:
        return [store_from(row) for row in await self._database.rows("notice_stores", list(numbers))]

    async def _add(
        self,
        type_: str,
        subject: NoticeSubject,
        recipients: Iterable[Recipient],
        data: Mapping[str, Any] | None = None,
    ) -> int:
        """Add the notices that the recipients want; returns how many they want."""
        kind = KINDS[type_]
        items = [
            {
                "topic": subject.topic,
                "order_id": subject.order_id,
                "version": subject.version,
                "user_id": recipient.user_id,
                "store_id": recipient.store_id,
                "channel": channel,
                "type": type_,
                "data": data or {},
                "trace": subject.trace,
            }
            for recipient in recipients
            if recipient.open
            for channel in wanted_channels(kind, recipient, self._available)
        ]
        if items:
            await self._database.rows("notices_add", items)
        return len(items)


def drivers_concerned(event: str, order: Mapping[str, Any]) -> Mapping[int, str]:
    """Drivers for whom an event of an order is news, with its type. A driver's own deed is none."""
    if order["actor_role"] == "driver":
        return {}
    facts = order["event_data"] or {}
    new, old = _driver(facts.get("driver_id")), _driver(facts.get("from"))
    match event:
        case "order.assigned":
            found = {new: "driver_assigned"}
        case "order.reassigned":
            found = {new: "driver_assigned", old: "driver_released"}
        case "order.released":
            found = {new: "driver_released"}
        case "order.cancelled":
            found = {order["driver_id"]: "driver_cancelled"}
        case _:
            found = {}
    return {driver: type_ for driver, type_ in found.items() if driver is not None}


def _driver(public: Any) -> int | None:
    return ids.parse_id(ids.DRIVER, public) if isinstance(public, str) else None
