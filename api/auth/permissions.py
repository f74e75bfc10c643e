"""Roles and their scopes, and the rate limits; which operation needs which stands in its declaration."""

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

# Those of operations, in the order in which the documents show them.
POLICIES = (AUTH, REFRESH, WRITES, READS, DOCUMENTS, ORDERS, TICKETS, COMMANDS, LOCATIONS)

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
    """The scope that is needed (None: anybody), and the limit that counts the request."""

    scope: str | None
    policy: Policy | None = None


def allows(role: str, scope: str) -> bool:
    """True when the role has the scope."""
    return scope in ROLE_SCOPES.get(role, frozenset())
