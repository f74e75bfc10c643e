"""Routes of version 1: the operation of version 2 behind each, and the way to run it.

Version 1 gets no new routes. It has neither live tracking of an order (`orders.track`) nor the drivers' feed with its
tickets; a driver's app of version 1 polls `GET /api/v1/drivers/me/orders`.

An operation that both versions share is one row: `as_it_is`, unless its body or its list differs by more
than names.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.values import frozen
from api.v1.handlers import HandlerV1, Routes, as_it_is, bare, replaced, transition
from api.v1.numbered_pages import listed

Way = Callable[[str, str, Routes], HandlerV1]


@frozen
class Row:
    """A route of version 1.

    Attributes:
        operation: name in version 2; its declaration guards the route. `orders.transition` is not one: its permissions
        depend on the written status, so its handler checks them.
        way: how the operation is run.
    """

    operation: str
    method: str
    path: str
    way: Way = as_it_is


TRANSITION = "orders.transition"
TABLE: tuple[Row, ...] = (
    Row("auth.register", "POST", "/api/v1/auth/register"),
    Row("auth.login", "POST", "/api/v1/auth/login"),
    Row("auth.refresh", "POST", "/api/v1/auth/refresh"),
    Row("auth.logout", "POST", "/api/v1/auth/logout"),
    Row("auth.me", "GET", "/api/v1/me"),
    Row("users.list", "GET", "/api/v1/users", listed),
    Row("users.create", "POST", "/api/v1/users"),
    Row("users.get", "GET", "/api/v1/users/{id}"),
    Row("users.update", "PUT", "/api/v1/users/{id}", replaced),
    Row("zones.list", "GET", "/api/v1/zones", listed),
    Row("zones.create", "POST", "/api/v1/zones"),
    Row("zones.get", "GET", "/api/v1/zones/{id}"),
    Row("zones.update", "PUT", "/api/v1/zones/{id}", replaced),
    Row("stores.list", "GET", "/api/v1/stores", listed),
    Row("stores.create", "POST", "/api/v1/stores"),
    Row("stores.get", "GET", "/api/v1/stores/{id}"),
    Row("stores.update", "PUT", "/api/v1/stores/{id}", replaced),
    Row("stores.delete", "DELETE", "/api/v1/stores/{id}", replaced),
    Row("stores.products", "GET", "/api/v1/stores/{id}/products", listed),
    Row("products.list", "GET", "/api/v1/products", listed),
    Row("products.create", "POST", "/api/v1/products"),
    Row("products.get", "GET", "/api/v1/products/{id}"),
    Row("products.update", "PUT", "/api/v1/products/{id}", replaced),
    Row("products.delete", "DELETE", "/api/v1/products/{id}", replaced),
    Row("orders.list", "GET", "/api/v1/orders", listed),
    Row("orders.create", "POST", "/api/v1/orders"),
    Row("orders.get", "GET", "/api/v1/orders/{id}"),
    Row(TRANSITION, "PATCH", "/api/v1/orders/{id}", transition),
    Row("orders.events", "GET", "/api/v1/orders/{id}/events"),
    Row("orders.ready_time", "PUT", "/api/v1/orders/{id}/ready-time"),
    Row("payments.create", "POST", "/api/v1/payments"),
    Row("payments.get", "GET", "/api/v1/payments/{id}"),
    Row("payments.refund", "POST", "/api/v1/payments/{id}/refund", bare),
    Row("drivers.list", "GET", "/api/v1/drivers", listed),
    Row("drivers.me", "GET", "/api/v1/drivers/me"),
    Row("drivers.my_orders", "GET", "/api/v1/drivers/me/orders"),
    Row("drivers.availability", "PUT", "/api/v1/drivers/me/availability"),
    Row("drivers.location", "PUT", "/api/v1/drivers/me/location"),
)
