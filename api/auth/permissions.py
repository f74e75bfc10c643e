"""One table: who may call what, and which limit counts it. A route without a row does not start."""

from __future__ import annotations

from collections.abc import Mapping

from actors.values import frozen
from storage.redis.limits import Policy

# Requests a minute of one user; settings MALL_LIMIT_... have the last word (api/ratelimit/admission.py).
AUTH = Policy("auth", 5)  # failures of one network: api/ratelimit/login_attempts.py
REFRESH = Policy("refresh", 60)  # the same
ORDERS = Policy("orders", 20)
READS = Policy("reads", 100)
WRITES = Policy("writes", 120)
TICKETS = Policy("tickets", 20)
COMMANDS = Policy("commands", 600, shared=False)
LOCATIONS = Policy("locations", 240, shared=False)
# Requests with an invalid token, of one address.
STRANGERS = Policy("strangers", 300, shared=False)
# Feeds that a driver opens: a bad line may do so again and again, but each time it costs a snapshot.
OPENINGS = Policy("openings", 60, shared=False)
# Feeds that are opened without a token, of one address: browsers of a whole mall may share one.
SILENT_OPENINGS = Policy("silent-openings", 1200, shared=False)
# Requests that no route takes, of one address.
UNKNOWN = Policy("unknown", 600, shared=False)
# Documents and keys, of one address: a page of them takes eight.
DOCUMENTS = Policy("documents", 600, shared=False)

# A scope names a resource and an action; `own` means that the handler looks at whose it is, and everything else
# is as if it did not exist. Who may `any` may `own`.
_GRANTED: Mapping[str, frozenset[str]] = {
    "customer": frozenset(
        {
            "account:read:own", "account:write:own", "catalog:read", "zones:read", "orders:create",
            "orders:read:own", "orders:cancel:own", "payments:create", "payments:read:own",
        }
    ),
    "driver": frozenset(
        {
            "account:read:own", "account:write:own", "catalog:read", "zones:read", "orders:read:own",
            "orders:accept", "orders:carry:own", "drivers:profile:read:own", "drivers:availability:write:own",
            "drivers:location:write:own", "feed:open:own",
        }
    ),
    "admin": frozenset(
        {
            "account:read:own", "account:write:own", "catalog:read", "catalog:write", "zones:read",
            "zones:write", "orders:create", "orders:read:any", "orders:cancel:any", "orders:operate",
            "users:admin", "drivers:read:any", "payments:read:any", "payments:refund",
        }
    ),
}  # fmt: skip
ROLE_SCOPES: Mapping[str, frozenset[str]] = {
    role: scopes | {s.removesuffix("any") + "own" for s in scopes if s.endswith(":any")}
    for role, scopes in _GRANTED.items()
}


@frozen
class Access:
    """A row: the scope that is needed (None: anybody), and the limit that counts the request."""

    scope: str | None
    policy: Policy | None = None


ACCESS: Mapping[str, Access] = {
    "auth.register": Access(None, AUTH),
    "auth.login": Access(None, AUTH),
    "auth.refresh": Access(None, REFRESH),
    "auth.logout": Access("account:write:own", WRITES),
    "auth.password": Access("account:write:own", AUTH),
    "auth.reset": Access(None, AUTH),
    "auth.me": Access("account:read:own", READS),
    "auth.jwks": Access(None, DOCUMENTS),
    "users.list": Access("users:admin", READS),
    "users.create": Access("users:admin", WRITES),
    "users.get": Access("users:admin", READS),
    "users.update": Access("users:admin", WRITES),
    "users.delete": Access("users:admin", WRITES),
    "users.password": Access("users:admin", WRITES),
    "users.reset": Access("users:admin", WRITES),
    "zones.list": Access("zones:read", READS),
    "zones.create": Access("zones:write", WRITES),
    "zones.get": Access("zones:read", READS),
    "zones.update": Access("zones:write", WRITES),
    "stores.list": Access("catalog:read", READS),
    "stores.create": Access("catalog:write", WRITES),
    "stores.get": Access("catalog:read", READS),
    "stores.update": Access("catalog:write", WRITES),
    "stores.delete": Access("catalog:write", WRITES),
    "stores.products": Access("catalog:read", READS),
    "products.list": Access("catalog:read", READS),
    "products.create": Access("catalog:write", WRITES),
    "products.get": Access("catalog:read", READS),
    "products.update": Access("catalog:write", WRITES),
    "products.delete": Access("catalog:write", WRITES),
    "orders.list": Access("orders:read:own", READS),
    "orders.create": Access("orders:create", ORDERS),
    "orders.get": Access("orders:read:own", READS),
    "orders.events": Access("orders:read:own", READS),
    "orders.track": Access("orders:read:own", READS),
    "orders.track_ticket": Access("orders:read:own", TICKETS),
    "orders.ready_time": Access("orders:operate", COMMANDS),
    "orders.accept": Access("orders:accept", COMMANDS),
    "orders.decline": Access("orders:accept", COMMANDS),
    "orders.pickup": Access("orders:carry:own", COMMANDS),
    "orders.delivery": Access("orders:carry:own", COMMANDS),
    "orders.failure": Access("orders:carry:own", COMMANDS),
    "orders.cancel": Access("orders:cancel:own", WRITES),
    "orders.assign": Access("orders:operate", COMMANDS),
    "orders.reassign": Access("orders:operate", COMMANDS),
    "orders.conclude": Access("orders:operate", COMMANDS),
    "orders.release": Access("orders:operate", COMMANDS),
    "payments.create": Access("payments:create", ORDERS),
    "payments.list": Access("payments:read:own", READS),
    "payments.get": Access("payments:read:own", READS),
    "payments.refund": Access("payments:refund", WRITES),
    "payments.settle": Access("payments:refund", WRITES),
    "drivers.list": Access("drivers:read:any", READS),
    "drivers.me": Access("drivers:profile:read:own", READS),
    "drivers.my_orders": Access("drivers:profile:read:own", READS),
    "drivers.take_offline": Access("orders:operate", COMMANDS),
    "drivers.availability": Access("drivers:availability:write:own", COMMANDS),
    "drivers.location": Access("drivers:location:write:own", LOCATIONS),
    "feed.open": Access(None),  # the handshake looks at header or ticket itself
    "feed.ticket": Access("feed:open:own", TICKETS),
    "docs.openapi": Access(None, DOCUMENTS),
    "docs.versions": Access(None, DOCUMENTS),
    "docs.migration": Access(None, DOCUMENTS),
    "docs.asyncapi": Access(None, DOCUMENTS),
    "docs.problems": Access(None, DOCUMENTS),
    "docs.problem": Access(None, DOCUMENTS),
    "docs.front": Access(None, DOCUMENTS),
    "docs.page": Access(None, DOCUMENTS),
    "docs.script": Access(None, DOCUMENTS),
    "docs.style": Access(None, DOCUMENTS),
    "health.liveness": Access(None),
    "health.readiness": Access(None),
    "health.startup": Access(None),
}


def allows(role: str, scope: str) -> bool:
    """True when the role has the scope."""
    return scope in ROLE_SCOPES.get(role, frozenset())
