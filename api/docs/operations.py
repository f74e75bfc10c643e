"""What each operation takes and gives: one row per row of ACCESS."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from actors.values import frozen
from api.http.pagination import Page
from api.rest import (
    accounts,
    drivers,
    order_creation,
    orders,
    password_resets,
    payments,
    products,
    stores,
    tracking,
    users,
    zones,
)


@frozen
class Operation:
    """A row.

    Attributes:
        summary: one sentence.
        answer: name of the schema of the good answer; None for an empty one.
        status: HTTP status of the good answer.
        problems: codes that are particular to this operation.
        key: the Idempotency-Key header: `required`, `optional` or "".
        gives: further headers of the good answer, by their names in headers.py. X-Trace-ID, Location of what was
            created, those of limits, of keys and of entity tags are there by themselves.
        takes: further request headers, by their names in headers.py; with `!` behind it a name is required.
        also: other good answers without a body: status and what it means.
    """

    summary: str
    answer: str | None = None
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    problems: tuple[str, ...] = ()
    key: str = ""
    media: str = "application/json"
    gives: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    also: tuple[tuple[int, str], ...] = ()


_LIST = ("invalid_cursor",)
_WRITE = ("precondition_required", "precondition_failed")
_CARRY = ("order_not_found", "invalid_transition", "key_reused")
_ACCEPT = (
    "order_taken", "driver_busy", "driver_offline", "not_offered", "order_closed", "offer_expired",
    "order_not_found", "key_reused",
)  # fmt: skip
_PLACE = (
    "invalid_idempotency_key", "key_reused", "request_in_flight", "unknown_product", "inactive_product",
    "mixed_currency", "mixed_zones", "out_of_range", "price_changed", "out_of_stock", "too_many_unpaid",
    "too_many_held",
)  # fmt: skip

OPERATIONS: Mapping[str, Operation] = {
    "auth.register": Operation("Register a customer", "Registered", 201, accounts.Register, problems=("email_taken",)),
    "auth.login": Operation(
        "Log in", "Tokens", 200, accounts.Login, problems=("invalid_credentials", "account_disabled")
    ),
    "auth.refresh": Operation(
        "Exchange a refresh token", "Tokens", 200, accounts.Refresh, problems=("invalid_refresh_token",)
    ),
    "auth.logout": Operation("End the session", None, 204),
    "auth.password": Operation(
        "Change the password; other sessions end", None, 204, accounts.PasswordChange, problems=("wrong_password",)
    ),
    "auth.reset": Operation(
        "Choose a password with a link's token, once; all sessions end", None, 204, password_resets.PasswordReset,
        problems=("invalid_reset_token", "account_disabled"),
    ),
    "auth.me": Operation("The account behind the token", "User"),
    "auth.jwks": Operation("Public keys of access tokens", "Keys"),
    "users.list": Operation("Users", "Users", query=users.UserPage, problems=_LIST),
    "users.create": Operation("Create a user of any role", "User", 201, users.NewUser, problems=("email_taken",)),
    "users.get": Operation("A user", "User"),
    "users.update": Operation(
        "Change or ban a user", "User", body=users.UserChange,
        problems=(*_WRITE, "email_taken", "last_admin", "user_busy"),
    ),
    "users.delete": Operation(
        "Delete a user: nothing of the person is left", None, 204, problems=(*_WRITE, "last_admin", "user_busy")
    ),
    "users.password": Operation(
        "Set a user's password; all sessions of the user end", None, 204, password_resets.NewPassword,
        problems=("account_disabled",),
    ),
    "users.reset": Operation(
        "What a link needs that lets the user choose a password", "ResetLink", 201, problems=("account_disabled",)
    ),
    "zones.list": Operation("Zones", "Zones", query=Page, problems=_LIST),
    "zones.create": Operation("Create a zone", "Zone", 201, zones.NewZone),
    "zones.get": Operation("A zone", "Zone"),
    "zones.update": Operation("Change a zone", "Zone", body=zones.ZoneChange, problems=_WRITE),
    "stores.list": Operation("Stores, or those around a place", "Stores", query=stores.StorePage, problems=_LIST),
    "stores.create": Operation("Create a store", "Store", 201, stores.NewStore),
    "stores.get": Operation("A store", "Store"),
    "stores.update": Operation("Change a store", "Store", body=stores.StoreChange, problems=_WRITE),
    "stores.delete": Operation("Take a store off the mall", None, 204, problems=_WRITE),
    "stores.products": Operation("Products of a store", "Products", query=products.ProductPage, problems=_LIST),
    "products.list": Operation("Products", "Products", query=products.AllProductsPage, problems=_LIST),
    "products.create": Operation("Create a product", "Product", 201, products.NewProduct),
    "products.get": Operation("A product", "Product"),
    "products.update": Operation("Change a product", "Product", body=products.ProductChange, problems=_WRITE),
    "products.delete": Operation("Take a product off the shelf", None, 204, problems=_WRITE),
    "orders.list": Operation("Orders, the newest first", "Orders", query=orders.OrderPage, problems=_LIST),
    "orders.create": Operation(
        "Place an order", "Order", 201, order_creation.OrderBody, problems=(*_PLACE, "cards_not_taken"), key="required"
    ),
    "orders.get": Operation("An order", "Order", problems=("order_not_found",)),
    "orders.events": Operation(
        "History of an order", "Events", query=tracking.EventPage, problems=("order_not_found", *_LIST)
    ),
    "orders.track": Operation(
        "Follow an order live", "OrderStream", query=tracking.TrackQuery,
        problems=("order_not_found", "too_many_watchers"), media="text/event-stream", takes=("Last-Event-ID",),
        also=((204, "The order is finished, and `Last-Event-ID` was its last event: there is nothing to come."),),
    ),
    "orders.track_ticket": Operation(
        "A ticket for the live stream, for browsers", "StreamTicket", 201, problems=("order_not_found",)
    ),
    "orders.ready_time": Operation(
        "Say when it will be ready", "Done", body=orders.ReadyBody, problems=(*_CARRY, "not_a_pickup"),
        key="optional",
    ),
    "orders.accept": Operation(
        "Accept an order: the first driver wins", "Done", body=orders.AcceptBody, problems=_ACCEPT, key="optional"
    ),
    "orders.decline": Operation(
        "Decline an offer", "Done", body=orders.DeclineBody,
        problems=("not_offered", "offer_expired", "order_not_found", "key_reused"), key="optional",
    ),
    "orders.pickup": Operation(
        "The driver has the goods", "Done", body=orders.NoBody, problems=_CARRY, key="optional"
    ),
    "orders.delivery": Operation(
        "The customer has the goods", "Done", body=orders.NoBody, problems=_CARRY, key="optional"
    ),
    "orders.failure": Operation(
        "It cannot be delivered", "Done", body=orders.NeededReasonBody, problems=_CARRY, key="optional"
    ),
    "orders.cancel": Operation(
        "Cancel an order", "Done", body=orders.ReasonBody, problems=(*_CARRY, "precondition_failed"), key="optional"
    ),
    "orders.assign": Operation(
        "Give an order to a driver", "Done", body=orders.AssignBody, problems=(*_ACCEPT, "driver_not_found"),
        key="optional",
    ),
    "orders.reassign": Operation(
        "Hand an order over to another driver", "Done", body=orders.ReassignBody,
        problems=(*_ACCEPT, "driver_not_found"), key="optional",
    ),
    "orders.conclude": Operation(
        "End an order whose driver cannot", "Done", body=orders.ConclusionBody, problems=_CARRY, key="optional"
    ),
    "orders.release": Operation(
        "Take an order from its driver", "Done", body=orders.ReasonBody, problems=_CARRY, key="optional"
    ),
    "payments.create": Operation(
        "Pay an order by card: the money is held, and taken on delivery", "Payment", 201, payments.PaymentBody,
        problems=(
            "invalid_idempotency_key", "key_reused", "request_in_flight", "order_not_found", "payment_declined",
            "payment_not_due", "payment_exists", "cards_not_taken",
        ),
        key="required",
    ),
    "payments.list": Operation("Payments, one's own or all", "Payments", query=payments.PaymentPage, problems=_LIST),
    "payments.get": Operation("A payment", "Payment"),
    "payments.refund": Operation(
        "Give a captured payment back, whole or in part", "Payment", body=payments.RefundBody,
        problems=(
            "invalid_transition", "refund_in_progress", "refund_too_large", "cards_not_taken", "key_reused",
            "invalid_idempotency_key",
        ),
        key="optional",
    ),
    "payments.settle": Operation(
        "End a payment that is stuck as the gateway's books have it, or try it again", "Payment",
        body=payments.SettlementBody, problems=("invalid_transition", "cards_not_taken"),
    ),
    "drivers.list": Operation("Drivers", "DriverRows", query=drivers.DriverPage, problems=_LIST),
    "drivers.me": Operation("The driver itself", "Driver"),
    "drivers.my_orders": Operation("What the driver carries", "Orders"),
    "drivers.availability": Operation("Go online or offline", "Available", body=drivers.Availability, key="optional"),
    "drivers.take_offline": Operation(
        "Take a driver offline", "Available", body=drivers.Offline, problems=("driver_not_found",), key="optional"
    ),
    "drivers.location": Operation("Where the driver is", None, 204, drivers.Location),
    "feed.open": Operation(
        "Open the drivers' feed, a WebSocket", None, 101,
        problems=(
            "unknown_subprotocol", "token_in_url", "unauthenticated", "forbidden", "forbidden_origin",
            "upgrade_required", "draining", "rate_limited",
        ),
    ),
    "feed.ticket": Operation("A one-use ticket for the feed", "Ticket", 201),
    "health.liveness": Operation("The process is alive", "Health"),
    "health.readiness": Operation("Traffic may be sent", "Health"),
    "health.startup": Operation("The start is complete", "Health"),
    "docs.openapi": Operation("This document", None, 200),
    "docs.versions": Operation("The versions of the API, and when they end", None, 200),
    "docs.migration": Operation("How to come from version 1 to version 2", None, 200, media="text/markdown"),
    "docs.asyncapi": Operation("The document of the feed", None, 200),
    "docs.problems": Operation("Everything that can go wrong", None, 200),
    "docs.problem": Operation("One thing that can go wrong", None, 200, media="text/html"),
    "docs.front": Operation("The first page, which leads on", None, 200, media="text/html"),
    "docs.page": Operation("This document, to be read", None, 200, media="text/html"),
    "docs.script": Operation("The page's script", None, 200, media="text/javascript"),
    "docs.style": Operation("The page's style", None, 200, media="text/css"),
}  # fmt: skip
