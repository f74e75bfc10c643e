"""A driver's app: its offers and the orders it carries, as the frames of its feed say."""

from __future__ import annotations

from typing import Any

from loadtests.kit.phone_connection import PhoneConnection


class AppDriver:
    """Base of virtual drivers whose phone is kept connected.

    Attributes:
        offers, orders: by the server's order id, as the feed shows them.
    """

    def __init__(self, link: PhoneConnection) -> None:
        self.link = link
        self.offers: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        link.phone.on_event = self.on_event
        link.phone.on_snapshot = self.on_snapshot
        link.phone.on_frame = self.on_frame

    def on_change(self) -> None:
        """Offers or orders may have changed."""

    def on_event(self, frame: dict[str, Any]) -> None:
        """An entry of the log."""
        data, number = frame["data"], frame["data"]["order_id"]
        match frame["type"]:
            case "offer":
                self.offers[number] = data
            case "offer.ready_time" if number in self.offers:
                self.offers[number] = data
            case "order.assigned" | "order.ready_time":
                # An entry about an order that has ended names no address any more.
                known = self.orders.get(number, data)["dropoff"].get("address")
                address = data["dropoff"].get("address") or known
                self.orders[number] = {**data, "dropoff": {**data["dropoff"], "address": address}}
            case "order.released" | "order.cancelled" | "order.delivered" | "order.undeliverable":
                self.orders.pop(number, None)
            case _:
                pass
        self.on_change()

    def on_snapshot(self, snapshot: dict[str, Any]) -> None:
        """It replaces all that the app knew."""
        self.orders = {order["order_id"]: order for order in snapshot["orders"]}
        self.offers = {offer["order_id"]: offer for offer in snapshot["offers"]}
        self.on_change()

    def on_frame(self, frame: dict[str, Any]) -> None:
        """Any frame; an offer that was revoked can win nothing any more."""
        if frame["t"] == "offer.revoked":
            offer = self.offers.get(frame["order_id"])
            if offer is not None and offer["offer_id"] == frame["offer_id"]:
                del self.offers[frame["order_id"]]
        self.link.heard(frame)
