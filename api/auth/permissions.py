"""Permissions: roles with their scopes, and rate limit policies. An operation's declaration names those it needs."""

from __future__ import annotations

from collections.abc import Mapping

from actors.values import frozen
from storage.redis.limits import Policy

# Requests a minute of one user; the settings MALL_LIMIT_... replace these numbers (api/ratelimit/admission.py).
AUTH = Policy("auth", 5)  # failures of one network: api/ratelimit/login_attempts.py
REFRESH = Policy("refresh", 60)  # failures of one network
ORDERS = Policy("orders", 20)
READS = Policy("reads", 100)
WRITES = Policy("writes", 120)
TICKETS = Policy("tickets", 20)
COMMANDS = Policy("commands", 600, shared=False)
LOCATIONS = Policy("locations", 240, shared=False)
# Requests with an invalid token, per address.
STRANGERS = Policy("strangers", 300, shared=False)
# Feeds that a driver opens. A bad network may do so again and again, but each one costs a snapshot.
OPENINGS = Policy("openings", 60, shared=False)
# Feeds that are opened without a token, per address: browsers of a whole mall may share one.
SILENT_OPENINGS = Policy("silent-openings", 1200, shared=False)
# Requests that match no route, per address.
UNKNOWN = Policy("unknown", 600, shared=False)
# Documents and keys, per address: a page of documents takes eight requests.
DOCUMENTS = Policy("documents", 600, shared=False)
# Orders that are followed over share links, per address: an office may share one, and a page asks every five seconds.
SHARES = Policy("shares", 1200, shared=False)
# Files of pages, per address: a page takes some forty, and a whole office may share an address.
PAGE_FILES = Policy("page-files", 6000, shared=False)

# Policies of operations, in the order of the documents.
POLICIES = (AUTH, REFRESH, WRITES, READS, SHARES, DOCUMENTS, PAGE_FILES, ORDERS, TICKETS, COMMANDS, LOCATIONS)

# A scope names a resource and an action. With `own` the handler checks the owner, and treats all other resources as
# not existing. `any` includes `own`.
_GRANTED: Mapping[str, frozenset[str]] = {
    "customer": frozenset(
        {
            "account:read:own", "account:write:own", "catalog:read", "zones:read", "orders:create",
            "orders:read:own", "orders:cancel:own", "orders:share:own", "payments:create", "payments:read:own",
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
            "zones:write", "orders:create", "orders:read:any", "orders:cancel:any", "orders:share:any",
            "orders:operate", "users:admin", "drivers:read:any", "payments:read:any", "payments:refund",
            "webhooks:manage", "events:read",
            "jobs:read", "jobs:manage",
            "reports:read",
            "console:watch",
        }
    ),
}  # fmt: skip
ROLE_SCOPES: Mapping[str, frozenset[str]] = {
    role: scopes | {s.removesuffix("any") + "own" for s in scopes if s.endswith(":any")}
    for role, scopes in _GRANTED.items()
}


@frozen
class Access:
    """The required scope (None: open to anybody), and the rate limit policy of the request."""

    scope: str | None
    policy: Policy | None = None


def allows(role: str, scope: str) -> bool:
    """True when the role has the scope."""
    return scope in ROLE_SCOPES.get(role, frozenset())
