"""Admission control: limits per user, per address and per instance.

Four limits, each with a name of its own in the RateLimit fields (draft-ietf-httpapi-ratelimit-headers): the rate of
a user, the rate of an address, the requests in flight of one user, and those of this instance. The numbers are
settings; the declaration of an operation names the policy that counts it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from hashlib import sha256
from typing import Any, NoReturn, Protocol

import structlog
from aiohttp import web

from actors.clock import Clock
from actors.cluster.node import Cluster
from actors.values import frozen
from api.auth.access_tokens import Principal
from api.auth.permissions import (
    AUTH,
    COMMANDS,
    DOCUMENTS,
    LOCATIONS,
    OPENINGS,
    ORDERS,
    PAGE_FILES,
    READS,
    REFRESH,
    SHARES,
    SILENT_OPENINGS,
    STRANGERS,
    UNKNOWN,
    Access,
)
from api.contract.problems import Problem
from api.ratelimit.client_address import client_address, count_under, read_networks
from api.ratelimit.headers import seconds
from api.ratelimit.login_attempts import LoginAttempts
from config import metrics
from config.settings import Settings
from dispatch.payments import PAY_ROUTE
from dispatch.service import CREATE_ROUTE
from storage.errors import StorageError
from storage.redis.client import Client
from storage.redis.keys import Keyspace
from storage.redis.limits import Allowance, Claim, Policy, RateLimits

log = structlog.get_logger()

# Ranks of load shedding: browsing is refused first, then other reads, other writes, and last the commands that keep
# orders moving.
BROWSE, READ, WRITE, VITAL = range(4)
# Share of MALL_IN_FLIGHT_MAX at which each rank is refused.
_PARTS = (0.5, 0.7, 0.85, 1.0)
# Retry-After of each rank in seconds: the rank that is refused first comes back last.
_BACK_S = (5, 3, 2, 1)
# Failures count for the network: see api/ratelimit/login_attempts.py.
_TRIED = frozenset({AUTH.name, REFRESH.name})
_BROWSED = frozenset({"stores", "products", "zones", "docs", "pages"})
_READING = frozenset({READS.name, SHARES.name, DOCUMENTS.name, PAGE_FILES.name})
_VITAL = frozenset({ORDERS.name, COMMANDS.name, LOCATIONS.name})
# Limit of look-ups whether a creation over its limit is a repetition.
_LOOKS = Policy("looks", READS.limit, shared=False)
# Suffix that tells the two policies of one request apart.
_OF_ADDRESS = "-address"
UNDER_WAY = "under-way"


class LimitedRequest(Protocol):
    """A request as admission control sees it: its caller, its address, and its allowance."""

    request: web.Request
    principal: Principal | None
    allowance: Allowance | None

    @property
    def who(self) -> Principal:
        """The caller, once authenticated."""
        ...

    def key(self, *, required: bool = False) -> str:
        """The Idempotency-Key."""
        ...


class KnownKeys(Protocol):
    """Lookup whether a creation's key was used before; implemented by dispatch.records.Records."""

    async def is_key_known(self, customer: int, route: str, digest: bytes) -> bool:
        """True when the customer has already created something under this key; `digest` is its SHA-256."""
        ...


@frozen
class Rule:
    """A policy with the numbers of the settings.

    `own` limits one user (or one address without a user), `address` one address with all its users.
    """

    own: Policy
    address: Policy


def rank_of(operation: str, access: Access, *, streams: bool) -> int | None:
    """Rank of an operation in load shedding; None: never refused, as probes, and sockets, which are not requests."""
    room, _, verb = operation.partition(".")
    if room == "health" or (room == "feed" and streams):
        return None
    if access.policy is not None and access.policy.name in _VITAL:
        return VITAL
    if access.policy is not None and access.policy.name not in _READING:
        return WRITE
    return BROWSE if room in _BROWSED or verb == "list" else READ


class AdmissionControl:
    """Rate limits and load shedding of one instance.

    Args:
        settings: the numbers.
        limits: counts the rates.
        keys: finds repetitions of creations, which count as reads.
    """

    def __init__(self, settings: Settings, limits: RateLimits, keys: KnownKeys) -> None:
        self._keys = keys
        self.on = settings.rate_limits == "on"
        self.limits = limits
        # By rank: the number of requests in flight above which it is refused.
        self.bounds = tuple(int(part * settings.in_flight_max) for part in _PARTS)
        self._numbers: Mapping[str, int] = {
            "auth": settings.limit_auth_per_min,
            "refresh": settings.limit_refresh_per_min,
            "orders": settings.limit_orders_per_min,
            "reads": settings.limit_reads_per_min,
            "writes": settings.limit_writes_per_min,
            "tickets": settings.limit_tickets_per_min,
            "commands": settings.limit_commands_per_min,
            "locations": settings.limit_locations_per_min,
        }
        self._factor = settings.limit_address_factor
        self._rules: dict[str, Rule] = {}
        self._proxies = read_networks(settings.trusted_proxies)
        self._told_of_proxies = False
        self._each_max = settings.under_way_max
        self._under_way: dict[int, int] = {}
        self.attempts = LoginAttempts(limits.clock)

    def rule(self, policy: Policy) -> Rule:
        """The policy with the numbers of the settings."""
        rule = self._rules.get(policy.name)
        if rule is None:
            own = replace(policy, limit=self._numbers.get(policy.name, policy.limit))
            address = replace(own, name=policy.name + _OF_ADDRESS, limit=own.limit * self._factor)
            rule = self._rules[policy.name] = Rule(own, address)
        return rule

    # -- rates --------------------------------------------------------------------------------

    async def admit(self, policy: Policy, context: LimitedRequest) -> None:
        """Count a request with a known caller, or one that needs no caller.

        Raises:
            Problem: rate_limited.
        """
        rule, who = self.rule(policy), context.principal
        if who is None:
            address = self.address_of(context.request)
            if policy.name in _TRIED:
                self._judge(context, await self._attempt(rule.own, address))
                return
            allowance = (
                await self.limits.hit((rule.own, address))
                if policy.shared
                else self.limits.hit_here(rule.own, address)
            )
        elif policy.shared:
            allowance = await self.limits.hit(*self._claims(rule, context))
        else:
            # Real-time traffic has a limit that no honest driver reaches. Each instance counts alone: a driver's
            # requests come over one connection, and so none of them waits for Redis.
            allowance = self.limits.hit_here(rule.own, who.number)
        if not allowance.allowed and policy.name == ORDERS.name and await self._is_replay(context):
            return
        self._judge(context, allowance)

    async def _attempt(self, policy: Policy, network: str) -> Allowance:
        """Count an attempt of an unauthenticated client."""
        allowance = await self.limits.hit(*self.attempts.claims(policy, network))
        if allowance.allowed:
            tried = self.limits.hit_here(self.attempts.tries(policy, network), network)
            return allowance if tried.allowed else tried
        self.attempts.hasten(allowance, network)
        return allowance

    async def take_back(self, context: LimitedRequest) -> None:
        """Uncount an attempt that succeeded, or that was not carried out."""
        allowance = context.allowance
        if allowance is not None and allowance.receipt is not None:
            await self.limits.give_back(allowance.receipt)
            allowance.receipt, allowance.remaining = None, allowance.remaining + 1

    def admit_stranger(self, context: LimitedRequest) -> None:
        """Count a request with an invalid token: guessing is limited by address.

        Raises:
            Problem: rate_limited.
        """
        self._judge(context, self.limits.hit_here(self.rule(STRANGERS).own, self.address_of(context.request)))

    def admit_opening(self, context: LimitedRequest, number: int | None) -> None:
        """Count the opening of a feed: by driver, or by address without authentication.

        Raises:
            Problem: rate_limited.
        """
        if not self.on:
            return
        policy = SILENT_OPENINGS if number is None else OPENINGS
        who = self.address_of(context.request) if number is None else number
        self._judge(context, self.limits.hit_here(self.rule(policy).own, who))

    def admit_unknown(self, request: web.BaseRequest) -> None:
        """Count a request that matches no route: probing for paths is limited by address.

        Raises:
            Problem: rate_limited.
        """
        if not self.on:
            return
        allowance = self.limits.hit_here(UNKNOWN, self.address_of(request))
        if not allowance.allowed:
            self._refuse(request, allowance)

    def count_commands(self, number: int, times: int) -> float:
        """Count commands of the feed together with those over REST.

        Returns 0, or, when none was counted, the seconds after which they may be repeated.
        """
        if not self.on:
            return 0.0
        own = self.rule(COMMANDS).own
        allowance = self.limits.hit_here(own, number, min(times, own.limit))
        if allowance.allowed:
            return 0.0
        metrics.RATE_LIMITED.labels(COMMANDS.name).inc()
        return max(allowance.wait_s, 0.001)

    async def count_replay(self, context: LimitedRequest) -> None:
        """Count the repetition of an earlier creation as a read instead.

        Without a read left it goes on counting as a creation, so that repetitions are limited, too.
        """
        counted = context.allowance
        receipt = None if counted is None else counted.receipt
        if receipt is None or receipt.claims[0][0].name == READS.name:
            return
        allowance = await self.limits.move(receipt, *self._claims(self.rule(READS), context))
        if allowance.allowed:
            context.allowance = allowance

    async def _is_replay(self, context: LimitedRequest) -> bool:
        """True for the repetition of a creation, which is admitted as a read although no creation is left."""
        number = context.who.number
        if not self.limits.hit_here(self.rule(_LOOKS).own, number).allowed:
            return False
        try:
            # This policy counts only these two operations, in every version.
            route = PAY_ROUTE if context.request.path.endswith("/payments") else CREATE_ROUTE
            digest = sha256(context.key(required=True).encode()).digest()
            known = await self._keys.is_key_known(number, route, digest)
        except (Problem, StorageError):
            return False
        if not known:
            return False
        allowance = await self.limits.hit(*self._claims(self.rule(READS), context))
        if allowance.allowed:
            context.allowance = allowance
        return allowance.allowed

    def _claims(self, rule: Rule, context: LimitedRequest) -> tuple[Claim, ...]:
        return (rule.own, context.who.number), (rule.address, self.address_of(context.request))

    def address_of(self, request: web.BaseRequest) -> str:
        """The network that a request counts for: an address or a /64, without the configured proxies."""
        return count_under(client_address(request.remote, request.headers, self._proxies))

    def _judge(self, context: LimitedRequest, allowance: Allowance) -> None:
        context.allowance = allowance
        if not allowance.allowed:
            self._refuse(context.request, allowance)

    def _refuse(self, request: web.BaseRequest, allowance: Allowance) -> NoReturn:
        metrics.RATE_LIMITED.labels(allowance.policy.name).inc()
        self._mind_proxies(request, allowance)
        raise _exceeded({"Retry-After": str(seconds(allowance.wait_s))}, *allowance.violated)

    def _mind_proxies(self, request: web.BaseRequest, allowance: Allowance) -> None:
        """Log once that a proxy is not configured: all clients behind it share one address."""
        headers = request.headers
        if self._proxies or self._told_of_proxies:
            return
        if "X-Forwarded-For" in headers or "Forwarded" in headers:
            self._told_of_proxies = True
            log.warning(
                "ignored_forwarded_header", policy=allowance.policy.name, setting="MALL_TRUSTED_PROXIES"
            )

    # -- in flight ----------------------------------------------------------------------------

    def under_way(self, who: Principal | None, *, streams: bool) -> AbstractContextManager[None]:
        """A context in which a request of this caller is in flight; streams and anonymous requests are not counted.

        Raises:
            Problem: rate_limited, on entering, when the caller has too many.
        """
        if who is None or streams or not self.on:
            return _UNCOUNTED
        return _UnderWay(self._under_way, who.number, self._each_max)

    def refuse(self, rank: int) -> None:
        """Refuse a request of this rank for overload.

        Raises:
            Problem: overloaded, always.
        """
        metrics.REQUESTS_SHED.labels(("browse", "read", "write", "vital")[rank]).inc()
        fields = {"Retry-After": str(_BACK_S[rank])}
        raise Problem("overloaded", "Too many requests are being answered.", headers=fields)


class _UnderWay:
    """Counts one request of a user while the context is open. A generator would cost twice the time."""

    __slots__ = ("_counts", "_most", "_number")

    def __init__(self, counts: dict[int, int], number: int, most: int) -> None:
        self._counts = counts
        self._number = number
        self._most = most

    def __enter__(self) -> None:
        count = self._counts.get(self._number, 0)
        if count >= self._most:
            metrics.RATE_LIMITED.labels(UNDER_WAY).inc()
            fields = {
                "Retry-After": "1",
                "RateLimit-Policy": f'"{UNDER_WAY}";q={self._most};qu="concurrent-requests"',
                "RateLimit": f'"{UNDER_WAY}";r=0;t=1',
            }
            raise _exceeded(fields, UNDER_WAY)
        self._counts[self._number] = count + 1

    def __exit__(self, *error: object) -> None:
        count = self._counts.pop(self._number) - 1
        if count:
            self._counts[self._number] = count


_UNCOUNTED: AbstractContextManager[None] = nullcontext()


def _exceeded(fields: Mapping[str, str], *policies: str) -> Problem:
    """The problem, with the member of the draft's problem type `quota-exceeded`."""
    members: dict[str, Any] = {"violated-policies": list(policies)}
    return Problem("rate_limited", headers=fields, **members)


@asynccontextmanager
async def open_limits(
    redis: Client, clock: Clock, cluster: Cluster, keys: Keyspace
) -> AsyncIterator[RateLimits]:
    """The rate limits of an instance, counted together with the other instances of its cluster until the block ends."""
    limits = RateLimits(
        redis,
        clock,
        keys=keys,
        instances=lambda: len(cluster.reconciler.membership.active),
        failed=metrics.REDIS_ERRORS.labels("limits").inc,
        changed=_tell,
    )
    async with limits.running():
        yield limits


def _tell(alone: bool) -> None:
    metrics.LIMITS_ALONE.set(alone)
    log.info("limits_count_alone" if alone else "limits_count_together")
