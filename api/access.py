"""One table: who may call what, and which limit counts it. A route without a row does not start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.redis.limits import Policy

AUTH = Policy("auth", 5)
ORDERS = Policy("orders", 20)
READS = Policy("reads", 100)

# A scope names a resource and an action; `own` means that the handler looks at whose it is.
ROLE_SCOPES: Mapping[str, frozenset[str]] = {
    "customer": frozenset(
        {"me", "catalogue:read", "orders:create", "orders:read", "orders:cancel", "zones:read"}
    ),
    "driver": frozenset(
        {"me", "catalogue:read", "orders:read", "orders:carry", "drivers:self", "feed:open", "zones:read"}
    ),
    "admin": frozenset(
        {
            "me", "catalogue:read", "catalogue:write", "orders:create", "orders:read", "orders:cancel",
            "orders:operate", "users:admin", "drivers:read", "zones:read", "zones:write",
        }
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Access:
    """A row: the scope that is needed (None: anybody), and the limit that counts the request."""

    scope: str | None
    policy: Policy | None = None


ACCESS: Mapping[str, Access] = {
    "auth.register": Access(None, AUTH),
    "auth.login": Access(None, AUTH),
    "auth.refresh": Access(None, AUTH),
    "auth.logout": Access("me"),
    "auth.me": Access("me", READS),
    "auth.jwks": Access(None),
    "users.list": Access("users:admin", READS),
    "users.create": Access("users:admin"),
    "users.get": Access("users:admin", READS),
    "users.update": Access("users:admin"),
    "zones.list": Access("zones:read", READS),
    "zones.create": Access("zones:write"),
    "zones.get": Access("zones:read", READS),
    "zones.update": Access("zones:write"),
    "stores.list": Access("catalogue:read", READS),
    "stores.create": Access("catalogue:write"),
    "stores.get": Access("catalogue:read", READS),
    "stores.update": Access("catalogue:write"),
    "stores.delete": Access("catalogue:write"),
    "stores.products": Access("catalogue:read", READS),
    "products.list": Access("catalogue:read", READS),
    "products.create": Access("catalogue:write"),
    "products.get": Access("catalogue:read", READS),
    "products.update": Access("catalogue:write"),
    "products.delete": Access("catalogue:write"),
    "orders.list": Access("orders:read", READS),
    "orders.create": Access("orders:create", ORDERS),
    "orders.get": Access("orders:read", READS),
    "orders.events": Access("orders:read", READS),
    "orders.track": Access("orders:read", READS),
    "orders.ready_time": Access("orders:operate"),
    "orders.accept": Access("orders:carry"),
    "orders.decline": Access("orders:carry"),
    "orders.pickup": Access("orders:carry"),
    "orders.delivery": Access("orders:carry"),
    "orders.failure": Access("orders:carry"),
    "orders.cancel": Access("orders:cancel"),
    "orders.assign": Access("orders:operate"),
    "orders.release": Access("orders:operate"),
    "drivers.list": Access("drivers:read", READS),
    "drivers.me": Access("drivers:self", READS),
    "drivers.my_orders": Access("drivers:self", READS),
    "drivers.availability": Access("drivers:self"),
    "drivers.location": Access("drivers:self"),
    "feed.open": Access(None),  # the handshake looks at header or ticket itself
    "feed.ticket": Access("feed:open"),
    "docs.openapi": Access(None),
    "docs.asyncapi": Access(None),
    "docs.problems": Access(None),
    "docs.problem": Access(None),
    "docs.page": Access(None),
    "docs.script": Access(None),
    "docs.style": Access(None),
    "health.liveness": Access(None),
    "health.readiness": Access(None),
    "health.startup": Access(None),
}


def allows(role: str, scope: str) -> bool:
    """True when the role has the scope."""
    return scope in ROLE_SCOPES.get(role, frozenset())
